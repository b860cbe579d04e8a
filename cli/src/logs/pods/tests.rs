use super::*;

/// Who breaks off does not end the others, and is not as who has said all.
#[tokio::test]
async fn what_broke_off_is_told_and_the_others_go_on() {
    let said = vec![
        ("a".to_owned(), Ok("one".to_owned())),
        ("a".to_owned(), Err(io::Error::other("it is gone"))),
        ("b".to_owned(), Ok("two".to_owned())),
    ];
    let mut shown = Vec::new();
    let outcome = tell(Box::pin(iter(said)), |name, line| shown.push(format!("{name} {line}"))).await;
    assert_eq!(shown, ["a one", "b two"]);
    assert_eq!(outcome.unwrap_err().what, "the log of a broke off");
    assert!(tell(Box::pin(iter(Vec::<(String, io::Result<String>)>::new())), |_, _| {}).await.is_ok());
}

#[test]
fn a_pod_is_meant_by_its_name_or_its_beginning() {
    let one = Speaker { namespace: "shop".into(), pod: "edge-organza-1a2b-c3".into() };
    assert!(is(&one, "edge") && is(&one, "edge-organza") && is(&one, "edge-organza-1a2b-c3"));
    assert!(!is(&one, "edg") && !is(&one, "organza"));
}
