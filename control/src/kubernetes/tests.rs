use super::*;

fn kind(group: &str, kind: &str) -> KindName {
    KindName { group: group.into(), kind: kind.into() }
}

#[test]
fn what_a_cluster_lacks_is_said_with_what_to_do() {
    let told = |found: &Found| missing(found).iter().map(|p| format!("{:?} {}: {}", p.severity, p.reason, p.message)).collect::<Vec<_>>();
    assert!(told(&Found::default()).is_empty());
    let gateway = "gateway.networking.k8s.io";
    let found = Found {
        missing: vec![kind(gateway, "Gateway"), kind(gateway, "TCPRoute")],
        bundle: Some(Bundle { version: "v1.9.0".into(), channel: "standard".into() }),
        ..Found::default()
    };
    let expected = [
        "Error NoGatewayApi: the cluster has no Gateway: no Gateway is served",
        "Note NoKind: the cluster has no TCPRoute: objects of these kinds cannot be written",
        "Warning UnknownRelease: Gateway API v1.9.0 (standard channel) is not known here: what is new in it has no effect",
    ];
    assert_eq!(told(&found), expected);
}
