use super::*;

#[test]
fn is_a_structured_field_whatever_goes_in() {
    assert_eq!(proxy_status("organza", Fault::ConnectRefused, None), "organza; error=connection_refused");
    let told = proxy_status("a gateway", Fault::NoRoute, Some("no \"route\"\r\n\\ é"));
    assert_eq!(told, r#""a gateway"; error=destination_not_found; details="no \"route\"??\\ ?""#);
}

#[test]
fn details_are_cut() {
    let long = "x".repeat(limits::DETAIL_BYTES * 4);
    let told = proxy_status("organza", Fault::NoRoute, Some(&long));
    assert_eq!(told.matches('x').count(), limits::DETAIL_BYTES + "destination_not_found".matches('x').count());
}
