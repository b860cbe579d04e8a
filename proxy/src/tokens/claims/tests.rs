use super::*;
use serde_json::json;

fn of(claims: Value) -> Token {
    token(claims.as_object().unwrap())
}

#[test]
fn so_many_claims_are_read_to_such_a_depth_and_told_up_to_a_length() {
    let many: Map<String, Value> = (0..=limits::CLAIMS).map(|i| (format!("c{i}"), json!("x"))).collect();
    assert_eq!(token(&many).claims.len(), limits::CLAIMS);
    let within = |depth: usize| (1..depth).fold(json!({"x": "deep"}), |inner, _| json!({ "x": inner }));
    let deep: Vec<usize> = of(within(limits::CLAIM_DEPTH)).claims.iter().map(|claim| claim.path.len()).collect();
    assert_eq!(deep, [limits::CLAIM_DEPTH]);
    assert!(of(within(limits::CLAIM_DEPTH + 1)).claims.is_empty());
    let told = |length: usize| header(&of(json!({ "c": "x".repeat(length) })), &["c".into()]).is_some();
    assert!(told(limits::CLAIM_HEADER_BYTES) && !told(limits::CLAIM_HEADER_BYTES + 1));
}
