use super::*;
use crate::store::Memory;

const OBJECTS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge }
spec: { gatewayClassName: organza, listeners: [{ name: http, port: 80, protocol: HTTP }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: one }
spec: { parentRefs: [{ name: edge }], rules: [{ matches: [{ path: { type: RegularExpression, value: '(' } }] }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: two }
spec: { parentRefs: [{ name: edge }], rules: [{ matches: [{ path: { type: RegularExpression, value: '(' } }] }] }
";

#[tokio::test]
async fn a_scraper_is_told_what_is_wrong_by_kind_and_nothing_of_what_is_wrong_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = crate::tests::config(folder.path());
    // A port that is free; nobody is in the way on an address of loopback that is ours alone.
    config.metrics = Some(([127, 0, 0, 1], 0).into());
    let (core, _) = crate::open(&config, Arc::new(Memory::default())).unwrap();
    let (serving, is_serving) = watch::channel(false);
    let listener = tokio::net::TcpListener::bind(config.metrics.unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let door = tokio::spawn(crate::dashboard::serve("metrics", listener, router(core.clone(), is_serving)));
    let scraped = async || {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    };
    let read = |text: &str| {
        let (objects, problems) = frontends::file::parse("all.yaml", text);
        assert!(problems.is_empty(), "{problems:?}");
        core.read(crate::files::Read { objects, problems: Vec::new() });
    };
    let has = |text: &str, line: &str| assert!(text.lines().any(|told| told == line), "{line}\n{text}");
    let encoded = |text: &str| text.lines().find_map(|line| line.strip_prefix("organza_control_encoded_total{} ")?.parse::<f64>().ok());
    read(OBJECTS);
    let before = scraped().await;
    has(&before, "organza_control_problems{severity=\"error\",kind=\"HTTPRoute\"} 2.0");
    has(&before, "organza_control_serving{} 0.0");
    has(&before, "organza_control_connections_crowded_total{of=\"stranger\"} 0.0");
    let strangers: Vec<_> = (0..crate::limits::STRANGERS + 1).filter_map(|_| core.room.take(None)).collect();
    has(&scraped().await, "organza_control_connections_crowded_total{of=\"stranger\"} 1.0");
    drop(strangers);
    read(OBJECTS);
    let same = scraped().await;
    assert!(encoded(&before) > Some(0.0) && encoded(&same) == encoded(&before), "what is as it was is encoded no more: {same}");
    read(&OBJECTS.replacen("value: '('", "value: '/a'", 1));
    assert_eq!(encoded(&scraped().await), encoded(&before).map(|count| count + 1.0), "and what changed once");
    serving.send_replace(true);
    let (first, _) = OBJECTS.split_once("---").unwrap();
    read(first);
    let after = scraped().await;
    assert!(!after.contains("HTTPRoute"), "{after}");
    has(&after, "organza_control_problems{severity=\"error\",kind=\"\"} 0.0");
    has(&after, "organza_control_serving{} 1.0");
    door.abort();
}
