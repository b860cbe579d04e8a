//! A gateway's `/metrics`, as in a pod: it goes from process to process with the doors, and makes room for a listener that wants its port.

use super::*;
use crate::tests::resources::{backend, catalog, listener, route, rule};
use model::route::Target;

/// A gateway whose listener has one port, and its metrics another or the same.
async fn gateway(web: &Backend, port: u16, metrics: u16) -> Home {
    let to = Target::Listener(key(Kind::Listener, "edge.web"));
    let mut resources = vec![listener(port, None), route(to, rule(vec![backend("catalog", HTTP, 1)]))];
    resources.extend(catalog(&[Place::plain("catalog", web.address.port())]));
    let role = serde_json::json!({ "gateway": { "gateway": key(Kind::Gateway, "edge").to_string(), "ports": "exact" } });
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    Home::of(&resources, role, [address; 2], |document| document["metrics"] = format!("0.0.0.0:{metrics}").into())
}

/// What a scraper is told of, first the head.
fn scraped(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: catalog\r\nconnection: close\r\n\r\n").unwrap();
    let mut told = String::new();
    stream.read_to_string(&mut told).unwrap();
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scraper_is_answered_by_whichever_process_serves() {
    let web = Backend::http("catalog").await;
    let ports = testkit::free_ports(2);
    let home = gateway(&web, ports[0], ports[1]).await;
    let mut elder = home.start(Begin::Alone).await;
    good(home.http);
    // A request is counted once its answer is out.
    let end = Instant::now() + SOON;
    while !scraped(ports[1]).contains("istio_requests_total{") {
        assert!(Instant::now() < end, "no request is told of: {}", scraped(ports[1]));
    }
    let mut successor = home.start(Begin::AsSuccessor).await;
    assert_eq!(elder.ended().await, Ok(()));
    let told = scraped(ports[1]);
    assert!(told.contains("organza_config_generation") && !told.contains("istio_requests_total{"), "it begins to count anew: {told}");
    successor.stop();
    assert_eq!(successor.ended().await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_wants_the_port_gets_it_in_each_process() {
    let web = Backend::http("catalog").await;
    let port = testkit::free_ports(1)[0];
    let home = gateway(&web, port, port).await;
    let mut elder = home.start(Begin::Alone).await;
    good(home.http);
    let told = scraped(port);
    assert!(told.starts_with("HTTP/1.1 200") && !told.contains("organza_config_generation"), "the backend answers: {told}");
    let mut successor = home.start(Begin::AsSuccessor).await;
    assert_eq!(elder.ended().await, Ok(()));
    good(home.http);
    successor.stop();
    assert_eq!(successor.ended().await, Ok(()));
}
