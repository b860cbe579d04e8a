//! Policies of access and their settings, every word said.

use super::{id, key, labels, origin};
use model::access::*;
use model::{Cidr, HostPattern, Kind, Method, Regex, TrustDomain};

/// Every match and every target there is.
pub fn policy() -> AccessPolicy {
    let words = || {
        vec![
            TextMatch::Present,
            TextMatch::Exact("a".into()),
            TextMatch::Prefix("b".into()),
            TextMatch::Suffix("c".into()),
            TextMatch::Contains("d".into()),
            TextMatch::Regex(Regex::new("e+").unwrap()),
        ]
    };
    let block = || Cidr::parse("10.0.0.0/8").unwrap();
    let template = PathTemplate::parse("/users/{id}").unwrap();
    let segments = AccessPath::segments("/b");
    let paths = [AccessPath::Exact("/a".into()), segments, AccessPath::Letters("/c".into()), AccessPath::Suffix("d".into())];
    let mut any = vec![
        AccessMatch::Identity(IdentityMatch::Any),
        AccessMatch::Identity(IdentityMatch::Exact(id())),
        AccessMatch::Identity(IdentityMatch::Prefix("spiffe://".into())),
        AccessMatch::Identity(IdentityMatch::Suffix("/web".into())),
        AccessMatch::ServiceAccount { namespace: "shop".into(), name: "web".into() },
        AccessMatch::TrustDomain(TrustDomain::parse("organza.local").unwrap()),
        AccessMatch::PeerAddress(block()),
        AccessMatch::Port(80),
        AccessMatch::ClientAddress(block()),
        AccessMatch::Host(HostPattern::parse("*.example.com").unwrap()),
        AccessMatch::Method(Method::Post),
        AccessMatch::Path(AccessPath::Template(template)),
        AccessMatch::Path(AccessPath::Regex(Regex::new("/f/[0-9]+").unwrap())),
        AccessMatch::Unknown,
    ];
    any.extend(paths.into_iter().map(AccessMatch::Path));
    any.extend(words().into_iter().map(AccessMatch::Namespace));
    any.extend(words().into_iter().map(|value| AccessMatch::Header { name: "x-a".into(), value }));
    any.extend(words().into_iter().map(AccessMatch::ServerName));
    any.extend(words().into_iter().map(AccessMatch::Issuer));
    any.extend(words().into_iter().map(AccessMatch::Subject));
    any.extend(words().into_iter().map(AccessMatch::Audience));
    any.extend(words().into_iter().map(AccessMatch::Consumer));
    any.extend(words().into_iter().map(AccessMatch::ConsumerGroup));
    any.extend(words().into_iter().map(|value| AccessMatch::Claim { path: vec!["a".into(), "b".into()], value }));
    let clauses = vec![Clause(vec![Group(vec![Term::is(any), Term::is_not(vec![])]), Group(vec![])]), Clause(vec![])];
    AccessPolicy {
        key: key(Kind::Access, "accesspolicy.orders"),
        origin: origin("AccessPolicy"),
        tier: Tier::Baseline,
        action: Action::Deny,
        enforcement: Enforcement::DryRun,
        targets: vec![
            AccessTarget::Mesh,
            AccessTarget::Namespace("shop".into()),
            AccessTarget::Workloads { namespace: "shop".into(), labels: labels() },
            AccessTarget::Service { service: key(Kind::Service, "orders"), port: Some(80) },
            AccessTarget::Service { service: key(Kind::Service, "orders"), port: None },
            AccessTarget::Gateway(key(Kind::Gateway, "edge")),
            AccessTarget::Listener(key(Kind::Listener, "edge.web")),
            AccessTarget::Route(key(Kind::Route, "httproute.a")),
        ],
        rules: vec![AccessRule { name: "all".into(), clauses }, AccessRule { name: "none".into(), clauses: vec![] }],
    }
}

pub fn settings() -> AccessSettings {
    AccessSettings {
        key: key(Kind::AccessSettings, "default"),
        origin: origin("MeshConfig"),
        default_access: DefaultAccess::Deny,
        egress: Egress::Registered,
        explain_denials: ExplainDenials::Never,
        mtls: Mtls::Permissive,
        mtls_of: vec![
            MtlsOf { service: key(Kind::Service, "orders"), port: None, mtls: Mtls::Strict },
            MtlsOf { service: key(Kind::Service, "orders"), port: Some(80), mtls: Mtls::Permissive },
        ],
    }
}
