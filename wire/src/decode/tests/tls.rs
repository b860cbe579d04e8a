//! TLS that is not the mesh's own: all of it is read back, and none of it is taken for none.

use super::*;

#[test]
fn tls_towards_backends_is_read_back_and_never_taken_for_none() {
    let own = Shown::Own(key(Kind::Certificate, "c"));
    for shown in [Shown::Nothing, Shown::Gateways, own] {
        let verified = BackendTls::Verified(Arc::new(UpstreamTls { shown, roots: UpstreamRoots::System, ..(*tls()).clone() }));
        let broken = AttachedTls { port: Some(443), tls: BackendTls::Broken("why".into()) };
        let attached = vec![AttachedTls { port: None, tls: verified }, broken];
        let sample = Resource::Service(Arc::new(Service { tls: attached, ..service(Balancer::RoundRobin) }));
        assert_eq!(decode(&encode(&sample)).unwrap(), sample);
    }
    for shown in [GatewayCertificate::Shown(key(Kind::Certificate, "c")), GatewayCertificate::Broken("why".into())] {
        let sample = Resource::Listener(Arc::new(Listener { shown, ..listener() }));
        assert_eq!(decode(&encode(&sample)).unwrap(), sample);
    }
    let mut message = v1::Resource::decode(&*encode(&Resource::Service(Arc::new(service(Balancer::RoundRobin))))).unwrap();
    let Some(v1::resource::Resource::Service(service)) = &mut message.resource else { panic!("not a service") };
    service.tls.push(v1::AttachedTls { port: None, tls: None });
    assert!(decode(&message.encode_to_vec()).unwrap_err().to_string().contains("tls[0].tls"));
}
