//! What is believed and shown in TLS that is not the mesh's own. A word that is not known here is refused: it must not be taken for nothing.

use super::read::{Read, Result, blob, list, port, some, text, texts};
use super::{hostname, key_of};
use crate::v1;
use model::backend::{Shown, UpstreamRoots};
use model::{AttachedTls, BackendTls, ClientCertificates, GatewayCertificate, Kind, ListenerTls, UpstreamTls};
use std::sync::Arc;

pub(super) fn upstream(m: v1::UpstreamTls) -> Result<UpstreamTls> {
    use v1::upstream_tls as tls;
    Ok(UpstreamTls {
        server_name: hostname(&m.server_name).at("server_name")?,
        subject_alt_names: texts(m.subject_alt_names, "subject_alt_names")?,
        roots: match some(m.roots).at("roots")? {
            tls::Roots::System(_) => UpstreamRoots::System,
            tls::Roots::Given(pem) => UpstreamRoots::Given(blob(pem).at("given")?),
        },
        shown: match m.shown {
            None => Shown::Nothing,
            Some(tls::Shown::Gateways(_)) => Shown::Gateways,
            Some(tls::Shown::Own(key)) => Shown::Own(key_of(&key, Kind::Certificate).at("own")?),
        },
    })
}

pub(super) fn attached(m: v1::AttachedTls) -> Result<AttachedTls> {
    use v1::attached_tls::Tls;
    Ok(AttachedTls {
        port: m.port.map(port).transpose().at("port")?,
        tls: match some(m.tls).at("tls")? {
            Tls::Verified(tls) => BackendTls::Verified(Arc::new(upstream(tls).at("verified")?)),
            Tls::Broken(why) => BackendTls::Broken(text(why).at("broken")?),
        },
    })
}

pub(super) fn listener(m: v1::ListenerTls) -> Result<ListenerTls> {
    use v1::client_certificates::Clients;
    let clients = match m.clients.map(|clients| some(clients.clients)).transpose().at("clients")? {
        None => ClientCertificates::Unasked,
        Some(Clients::Required(roots)) => ClientCertificates::Required(blob(roots).at("required").at("clients")?),
        Some(Clients::Insecure(roots)) => ClientCertificates::Insecure(blob(roots).at("insecure").at("clients")?),
    };
    Ok(ListenerTls { certificates: list(m.certificates, "certificates", |k| super::key(&k))?, clients })
}

pub(super) fn shown(m: Option<v1::listener::Shown>) -> Result<GatewayCertificate> {
    use v1::listener::Shown;
    Ok(match m {
        None => GatewayCertificate::Nothing,
        Some(Shown::ShownCertificate(key)) => GatewayCertificate::Shown(key_of(&key, Kind::Certificate).at("shown_certificate")?),
        Some(Shown::ShownBroken(why)) => GatewayCertificate::Broken(text(why).at("shown_broken")?),
    })
}
