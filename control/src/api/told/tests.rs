use super::*;

/// `Programmed`, of an object that `accepted` and that so many proxies have.
fn programmed(accepted: (&str, &str), had: Had) -> (String, String, String) {
    let (status, reason) = accepted;
    let accepted = Condition { kind: "Accepted".into(), status: status.into(), reason: reason.into(), message: "spec.x: no".into() };
    let told = acknowledged(vec![accepted], had, true);
    let found = told.into_iter().find(|one| one.kind == "Programmed").unwrap();
    (found.status, found.reason, found.message)
}

fn told(status: &str, reason: &str, message: &str) -> (String, String, String) {
    (status.into(), reason.into(), message.into())
}

#[test]
fn what_every_proxy_has_is_not_waited_for_though_a_part_of_it_cannot_be_read() {
    assert_eq!(programmed(("True", "Accepted"), Had::By(7, 7)), told("True", "Programmed", "applied by 7 of 7 proxies"));
    assert_eq!(programmed(("True", "Accepted"), Had::By(6, 7)), told("False", "Pending", "applied by 6 of 7 proxies"));
    assert_eq!(programmed(("False", "Invalid"), Had::By(6, 7)), told("False", "Pending", "applied by 6 of 7 proxies"));
    assert_eq!(programmed(("False", "Invalid"), Had::By(7, 7)), told("False", "Invalid", "spec.x: no"));
}
