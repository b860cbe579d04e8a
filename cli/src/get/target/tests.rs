use super::*;

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn asked(text: &str) -> Vec<(Kind, Option<String>, Vec<String>)> {
    parse(&words(text)).expect(text).into_iter().map(|t| (t.kind, t.only, t.names)).collect()
}

#[test]
fn kinds_and_names_are_written_as_for_kubectl() {
    let names = |text: &str| words(text);
    assert_eq!(asked("routes"), [(Kind::Routes, None, vec![])]);
    assert_eq!(asked("svc web api"), [(Kind::Services, None, names("web api"))]);
    assert_eq!(asked("service/web"), [(Kind::Services, None, names("web"))]);
    assert_eq!(asked("route/a svc/web route/b"), [(Kind::Routes, None, names("a b")), (Kind::Services, None, names("web"))]);
    assert_eq!(asked("services,proxies"), [(Kind::Services, None, vec![]), (Kind::Proxies, None, vec![])]);
    let grpc = Some("GRPCRoute".to_owned());
    for form in ["grpcroutes", "GRPCRoute", "grpcroute.gateway.networking.k8s.io"] {
        assert_eq!(asked(form), [(Kind::Routes, grpc.clone(), vec![])], "{form}");
    }
    for form in ["gateways", "gateway", "gtw"] {
        assert_eq!(asked(form), [(Kind::Objects, Some("Gateway".into()), vec![])], "{form}");
    }
    assert_eq!(asked("gatewayclasses"), [(Kind::Objects, Some("GatewayClass".into()), vec![])]);
    assert_eq!(asked("gatewayparameters"), [(Kind::Objects, Some("GatewayParameters".into()), vec![])]);
    assert_eq!(asked("meshconfigs"), [(Kind::Objects, Some("MeshConfig".into()), vec![])]);
    assert_eq!(asked("backendtlspolicies"), [(Kind::Objects, Some("BackendTLSPolicy".into()), vec![])]);
    assert_eq!(asked("all").len(), 4);
}

#[test]
fn what_there_is_not_is_answered_with_what_there_is() {
    for wrong in ["pods", "", "route/", "/x", "routes service/x", "route/x y"] {
        let failure = parse(&words(wrong)).expect_err(wrong);
        assert_eq!(failure.code, crate::failure::Code::Usage, "{wrong}");
        assert!(failure.remedy.is_some(), "{wrong}");
    }
    assert!(parse(&words("pods")).expect_err("no kind").to_string().contains("proxies, services, routes"));
}
