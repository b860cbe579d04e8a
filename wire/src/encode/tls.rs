//! What is believed and shown in TLS that is not the mesh's own.

use super::{text, texts};
use crate::v1;
use bytes::Bytes;
use model::backend::{Shown, UpstreamRoots};
use model::{AttachedTls, BackendTls, ClientCertificates, GatewayCertificate, ListenerTls, UpstreamTls};

pub(super) fn upstream(tls: &UpstreamTls) -> v1::UpstreamTls {
    use v1::upstream_tls as m;
    let roots = match &tls.roots {
        UpstreamRoots::System => m::Roots::System(m::System {}),
        UpstreamRoots::Given(pem) => m::Roots::Given(Bytes::copy_from_slice(pem)),
    };
    let shown = match &tls.shown {
        Shown::Nothing => None,
        Shown::Gateways => Some(m::Shown::Gateways(m::OfGateway {})),
        Shown::Own(key) => Some(m::Shown::Own(text(key))),
    };
    v1::UpstreamTls { server_name: text(&tls.server_name), subject_alt_names: texts(&tls.subject_alt_names), roots: Some(roots), shown }
}

pub(super) fn attached(at: &AttachedTls) -> v1::AttachedTls {
    use v1::attached_tls::Tls;
    let tls = match &at.tls {
        BackendTls::Verified(tls) => Tls::Verified(upstream(tls)),
        BackendTls::Broken(why) => Tls::Broken(text(why)),
    };
    v1::AttachedTls { port: at.port.map(u32::from), tls: Some(tls) }
}

pub(super) fn listener(tls: &ListenerTls) -> v1::ListenerTls {
    use v1::client_certificates::Clients;
    let clients = match &tls.clients {
        ClientCertificates::Unasked => None,
        ClientCertificates::Required(roots) => Some(Clients::Required(Bytes::copy_from_slice(roots))),
        ClientCertificates::Insecure(roots) => Some(Clients::Insecure(Bytes::copy_from_slice(roots))),
    };
    let clients = clients.map(|clients| v1::ClientCertificates { clients: Some(clients) });
    v1::ListenerTls { certificates: texts(&tls.certificates), clients }
}

pub(super) fn shown(certificate: &GatewayCertificate) -> Option<v1::listener::Shown> {
    use v1::listener::Shown;
    match certificate {
        GatewayCertificate::Nothing => None,
        GatewayCertificate::Shown(key) => Some(Shown::ShownCertificate(text(key))),
        GatewayCertificate::Broken(why) => Some(Shown::ShownBroken(text(why))),
    }
}
