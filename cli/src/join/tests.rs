use super::*;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use identity::{Authority, Signer};
use model::TrustDomain;
use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;
use tokio::net::UnixListener;

/// A control plane that signs whatever it is asked to, for one identity.
fn signing(place: &Place, identity: SpiffeId) {
    let listener = UnixListener::bind(place.control_socket()).expect("a socket");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = service_fn(|request| sign_it(request, identity.clone()));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        }
    });
}

async fn sign_it(request: Request<Incoming>, identity: SpiffeId) -> Result<Response<http_body_util::Full<bytes::Bytes>>, hyper::Error> {
    use http_body_util::BodyExt;
    assert_eq!((request.method(), request.uri().path()), (&hyper::Method::POST, path::SIGN));
    let body = request.into_body().collect().await?.to_bytes();
    let asked: SignRequest = serde_json::from_slice(&body).expect("a sign request");
    let der = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        asked.csr.lines().filter(|line| !line.starts_with("-----")).collect::<String>(),
    );
    let csr = identity::SignRequest::parse(&der.expect("base64")).expect("a signing request");
    let now = SystemTime::now();
    let mut authority = Authority::create(identity.trust_domain().clone(), now).expect("an authority");
    let issued = authority.sign(&csr, &identity, now).expect("signed");
    let chain = identity::pem::encode_chain(issued.chain.iter().map(|der| &der[..]));
    let answer = SignResponse { identity: identity.to_string(), chain, roots: String::new(), not_after: 0 };
    Ok(Response::new(http_body_util::Full::new(serde_json::to_vec(&answer).expect("JSON").into())))
}

#[tokio::test]
async fn a_proxy_gets_a_page_of_data_and_a_key_that_only_its_owner_reads() {
    let folder = std::env::temp_dir().join(format!("organza-join-{}", std::process::id()));
    let place = Place::at(&folder, "test");
    place.prepare().expect("folders");
    let domain = TrustDomain::parse("test.mesh").expect("a trust domain");
    let identity = SpiffeId::new(domain, "shop", "web").expect("an identity");
    signing(&place, identity.clone());
    let registration = Registration {
        identity: identity.to_string(),
        proxy: "web-1".into(),
        workload: "organza/workload/shop/web-1".into(),
        services: vec!["files/service/shop/web".into()],
        xds_address: "127.0.0.1:15012".into(),
        control_identity: "spiffe://test.mesh/ns/organza-system/sa/control".into(),
        trust_roots: String::new(),
    };
    let outbound = Outbound { address: loopback(15001), secret: secret().expect("a secret") };
    let role = Role::Workload(Workload {
        services: registration.services.iter().map(|text| key(text)).collect::<Outcome<_>>().expect("keys"),
        application: Some(loopback(8000)),
        inbound: Some(loopback(41008)),
        outbound: Some(outbound),
        upstreams: vec![upstream(&Upstream { host: "catalog".into(), port: 80, local: 9001 })],
        strict: true,
    });
    let client = Client::control(&place);
    let signed = sign(&client, &registration.proxy, &identity).await.expect("signed");
    let path = write_proxy(&place, &registration, "shop".into(), role.clone(), &signed).expect("written");

    let config = Config::load(&path).expect("what a proxy reads");
    assert_eq!((&config.role, &config.identity, &*config.namespace), (&role, &identity, "shop"));
    let svid = identity::Svid::from_pem(&std::fs::read(&config.svid).expect("a file")).expect("an SVID");
    assert_eq!(svid.id(), &identity);
    for private in [&path, &config.svid] {
        let mode = std::fs::metadata(private).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", private.display());
    }
    std::fs::remove_dir_all(folder).expect("cleaned");
}
