use super::*;
use serde_json::json;

#[test]
fn who_calls_by_grpc_is_told_by_its_status_what_fails() {
    let told = |record: Value| of(&record);
    assert_eq!(told(json!({"response_code": 503})).as_deref(), Some("503"));
    assert_eq!(told(json!({"response_code": 200, "grpc_status": 0})).as_deref(), Some("200"));
    assert_eq!(told(json!({"response_code": 200, "grpc_status": 7})).as_deref(), Some("gRPC 7 PERMISSION_DENIED"));
    assert_eq!(told(json!({"response_code": 200, "grpc_status": 16})).as_deref(), Some("gRPC 16 UNAUTHENTICATED"));
    assert_eq!(told(json!({"response_code": 200, "grpc_status": 99})).as_deref(), Some("gRPC 99"));
    assert_eq!(told(json!({"response_code": 0})).as_deref(), Some("–"));
    assert_eq!(told(json!({"protocol": "tcp"})), None);
}
