use super::*;

#[test]
fn is_a_structured_field_whatever_goes_in() {
    assert_eq!(proxy_status("organza", Fault::ConnectRefused, None), "organza; error=connection_refused");
    let told = proxy_status("a gateway", Fault::NoRoute, Some("no \"route\"\r\n\\ é"));
    assert_eq!(told, r#""a gateway"; error=destination_not_found; details="no \"route\"??\\ ?""#);
}
