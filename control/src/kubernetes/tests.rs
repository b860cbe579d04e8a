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

/// Time goes on only where nobody has anything to do.
#[tokio::test(start_paused = true)]
async fn an_api_server_that_says_nothing_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap()).parse().unwrap();
    let mut config = Config::new(url);
    bound(&mut config);
    assert_eq!(config.connect_timeout, Some(limits::API_CONNECT));
    let client = Client::try_from(config).unwrap();
    let begun = tokio::time::Instant::now();
    let asked = tokio::time::timeout(limits::API_QUIET * 3, client.apiserver_version()).await;
    assert!(asked.expect("it is given up").is_err());
    assert!(begun.elapsed() >= limits::API_QUIET);
}

#[test]
fn what_is_followed_may_be_quiet_and_is_reached_soon_or_never() {
    let mut config = Config::new("http://127.0.0.1:9".parse().unwrap());
    bound_to_follow(&mut config);
    assert_eq!((config.read_timeout, config.connect_timeout), (None, Some(limits::API_CONNECT)));
}
