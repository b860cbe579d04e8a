//! Keys by https, of an authority that the machine does not know: only who shows its certificate is believed, and keys are rotated while calls go on.

use super::*;
use crate::tests::backend_tls::{certificate, saying, verified};
use model::ClientCertificates;
use testkit::outsider::Outsider;

const NAME: &str = "keys.example";

/// Where keys are, by TLS with what this authority issued.
fn url(address: SocketAddr, authority: &Outsider) -> KeySource {
    let tls = Some(verified(authority, NAME, &[]));
    KeySource::Url(KeysUrl { host: ExternalName::Address(address.ip()), port: address.port(), path: "/jwks".into(), tls })
}

/// One request on a connection that stays.
async fn on(stream: &mut tokio::net::TcpStream, token: &str) -> u16 {
    let request = format!("GET / HTTP/1.1\r\nHost: catalog\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.split_once("content-length: ").map_or(0, |(_, rest)| rest.lines().next().unwrap().parse().unwrap());
    stream.read_exact(&mut vec![0; length]).await.unwrap();
    head[9..12].parse().unwrap()
}

#[tokio::test]
async fn keys_of_ones_own_authority_are_fetched_and_rotated_under_calls() {
    crate::tests::within(Duration::from_secs(90), async {
        let backend = Backend::http("catalog").await;
        let mut shop = Shop::new(backend.address);
        let (ours, theirs) = (Outsider::new("ours"), Outsider::new("theirs"));
        let (old, new) = (Issuer::new("k1"), Issuer::new("k2"));
        let says = Arc::new(Mutex::new(Issuer::jwks(&[&old])));
        let told = says.clone();
        let shown = certificate("keys", &ours, &[NAME]);
        let (address, seen) = saying(&shown, &ClientCertificates::Unasked, move || told.lock().unwrap().clone());
        tokio::task::spawn_local(fetch::run(shop.catalog.worker.clone()));
        let door = shop.web.named("catalog", HTTP);
        let [by_old, by_new] = [&old, &new].map(|issuer| issuer.token(&claims("ann")));
        // Whoever stands there with another authority's certificate says nothing.
        shop.mesh.put(vec![issuer(on_catalog(), url(address, &theirs), true)]);
        assert_eq!(get(door, Some(&by_old), &[]).await.0, 401);
        shop.mesh.put(vec![issuer(on_catalog(), url(address, &ours), true)]);
        let mut stream = tokio::net::TcpStream::connect(door).await.unwrap();
        while on(&mut stream, &by_old).await != 200 {}
        assert!(seen.borrow().iter().all(|(name, ..)| name == NAME), "it is asked for by its name");
        // The issuer signs by the new key, and drops the old one.
        *says.lock().unwrap() = Issuer::jwks(&[&new]);
        while on(&mut stream, &by_new).await != 200 {}
        assert_eq!(on(&mut stream, &by_old).await, 401, "what was believed of the old key is not any more");
    })
    .await;
}
