//! Policies and calls by chance, from alphabets small enough that they meet often.

use crate::{Claim, Consumer, Moment, Place, Request, Token};
use model::access::*;
use model::{Cidr, HeaderBlock, HostPattern, Key, Kind, Labels, Method, ObjectRef, Origin, Regex, Source, SpiffeId, TrustDomain};
use std::net::IpAddr;
use std::sync::Arc;

/// Draws that a seed repeats (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn of<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn many<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| make(self)).collect()
    }
}

const NAMESPACES: [&str; 2] = ["shop", "dev"];
const NAMES: [&str; 2] = ["web", "api"];
const DOMAINS: [&str; 2] = ["organza.local", "other.test"];
const ADDRESSES: [&str; 6] = ["10.0.0.1", "10.0.1.1", "192.168.0.1", "::1", "::ffff:10.0.0.1", "2001:db8::1"];
const BLOCKS: [&str; 7] = ["10.0.0.0/24", "10.0.0.0/8", "0.0.0.0/0", "::/0", "192.168.0.1", "2001:db8::/32", "10.0.0.0/31"];
const PORTS: [u16; 3] = [80, 81, 443];
const HOSTS: [&str; 3] = ["orders", "api.example.com", "example.com"];
const PATTERNS: [&str; 4] = ["*", "orders", "*.example.com", "example.com"];
const PATHS: [&str; 8] = ["/", "/a", "/a/", "/ab", "/a/b", "/a/b/c", "*", ""];
const TEMPLATES: [&str; 5] = ["/a/{id}", "/{x}", "/a/{**}", "/{**}/c", "/{a}/{**}/{b}"];
const WORDS: [&str; 5] = ["admin", "user", "admin,user", "ad", "a"];
const HEADERS: [&str; 2] = ["x-role", "x-team"];

pub fn service(name: &str) -> Key {
    Key::new(Source::files(), Kind::Service, "shop", name)
}

fn gate(kind: Kind, name: &str) -> Key {
    Key::new(Source::files(), kind, "shop", name)
}

fn text(dice: &mut Dice, from: &[&str]) -> TextMatch {
    let word: Arc<str> = dice.of(from).into();
    match dice.below(7) {
        0 => TextMatch::Present,
        1 => TextMatch::Prefix(word),
        2 => TextMatch::Suffix(word),
        3 => TextMatch::Contains(word),
        4 => TextMatch::Regex(Regex::new(dice.of(&["a.*", ".*,.*", ".*r", "[ab]dmin", "sho.*"])).unwrap()),
        _ => TextMatch::Exact(word),
    }
}

fn identity(dice: &mut Dice) -> SpiffeId {
    SpiffeId::new(TrustDomain::parse(dice.of(&DOMAINS)).unwrap(), dice.of(&NAMESPACES), dice.of(&NAMES)).unwrap()
}

fn path(dice: &mut Dice) -> AccessPath {
    let path = dice.of(&PATHS[..6]);
    match dice.below(7) {
        6 => AccessPath::Regex(Regex::new(dice.of(&["/a/.*", "/.*b", "/[ab]", ".*"])).unwrap()),
        0 => AccessPath::Letters(path.into()),
        1 => AccessPath::Suffix(path.into()),
        2 => AccessPath::Template(PathTemplate::parse(dice.of(&TEMPLATES)).unwrap()),
        3 => AccessPath::Exact(path.into()),
        _ => AccessPath::segments(path),
    }
}

fn one(dice: &mut Dice, kind: usize) -> AccessMatch {
    if dice.one_in(40) {
        return AccessMatch::Unknown;
    }
    let word = |dice: &mut Dice| text(dice, &WORDS);
    match kind {
        0 => AccessMatch::Identity(match dice.below(4) {
            0 => IdentityMatch::Any,
            1 => IdentityMatch::Prefix(
                dice.of(&["spiffe://organza.local/ns/shop/", "spiffe://o", "spiffe://organza.local/ns/shop/sa/web"]).into(),
            ),
            2 => IdentityMatch::Suffix(dice.of(&["/sa/web", "shop/sa/api", "x"]).into()),
            _ => IdentityMatch::Exact(identity(dice)),
        }),
        1 => AccessMatch::ServiceAccount { namespace: dice.of(&NAMESPACES).into(), name: dice.of(&NAMES).into() },
        2 => AccessMatch::Namespace(text(dice, &NAMESPACES)),
        3 => AccessMatch::TrustDomain(TrustDomain::parse(dice.of(&DOMAINS)).unwrap()),
        4 => AccessMatch::PeerAddress(Cidr::parse(dice.of(&BLOCKS)).unwrap()),
        5 => AccessMatch::Port(dice.of(&PORTS)),
        6 => AccessMatch::ClientAddress(Cidr::parse(dice.of(&BLOCKS)).unwrap()),
        7 => AccessMatch::Host(HostPattern::parse(dice.of(&PATTERNS)).unwrap()),
        8 => AccessMatch::Method(dice.of(&[Method::Get, Method::Post])),
        9 => AccessMatch::Path(path(dice)),
        10 => AccessMatch::Header { name: dice.of(&HEADERS).into(), value: word(dice) },
        11 => AccessMatch::Issuer(word(dice)),
        12 => AccessMatch::Subject(word(dice)),
        13 => AccessMatch::Audience(word(dice)),
        14 => AccessMatch::Consumer(word(dice)),
        15 => AccessMatch::ConsumerGroup(word(dice)),
        16 => AccessMatch::ServerName(text(dice, &HOSTS)),
        _ => AccessMatch::Claim { path: vec![dice.of(&["role", "team"]).into()], value: word(dice) },
    }
}

/// Mostly matches of one kind, as people write them.
fn term(dice: &mut Dice, kinds: std::ops::Range<usize>) -> Term {
    // What rules are found by is worth more draws.
    let kind = if kinds.contains(&9) && dice.one_in(2) { 9 } else { kinds.start + dice.below(kinds.len()) };
    let mixed = dice.one_in(8);
    let mut any = dice.many(2, |dice| {
        let kind = if mixed { dice.below(18) } else { kind };
        one(dice, kind)
    });
    if any.is_empty() && !dice.one_in(6) {
        any.push(one(dice, kind));
    }
    Term { negated: dice.one_in(4), any }
}

fn clause(dice: &mut Dice, kinds: std::ops::Range<usize>, terms: usize) -> Clause {
    let groups = if dice.one_in(12) { 0 } else { 1 + dice.below(2) };
    let group = |dice: &mut Dice| {
        let terms = if dice.one_in(15) { 0 } else { 1 + dice.below(terms) };
        Group((0..terms).map(|_| term(dice, kinds.clone())).collect())
    };
    Clause((0..groups).map(|_| group(dice)).collect())
}

fn rule(dice: &mut Dice, at: usize) -> AccessRule {
    let mut clauses = Vec::new();
    if !dice.one_in(3) {
        clauses.push(clause(dice, 0..5, 1));
    }
    if !dice.one_in(3) {
        clauses.push(clause(dice, 5..11, 2));
    }
    if dice.one_in(6) {
        clauses.push(clause(dice, 11..18, 1));
    }
    AccessRule { name: format!("rule-{at}").into(), clauses }
}

fn target(dice: &mut Dice) -> AccessTarget {
    let labels = |dice: &mut Dice| Labels::from([("app".into(), dice.of(&NAMES).into())]);
    match dice.below(9) {
        0 => AccessTarget::Namespace(dice.of(&NAMESPACES).into()),
        1 => AccessTarget::Workloads { namespace: dice.of(&NAMESPACES).into(), labels: labels(dice) },
        2 | 3 => AccessTarget::Service { service: service(dice.of(&NAMES)), port: None },
        4 => AccessTarget::Service { service: service(dice.of(&NAMES)), port: Some(dice.of(&PORTS)) },
        5 => AccessTarget::Gateway(gate(Kind::Gateway, "edge")),
        6 => AccessTarget::Listener(gate(Kind::Listener, dice.of(&["edge.web", "edge.api"]))),
        7 => AccessTarget::Route(gate(Kind::Route, dice.of(&["httproute.a", "httproute.b"]))),
        _ => AccessTarget::Mesh,
    }
}

pub fn policy(dice: &mut Dice, at: usize) -> AccessPolicy {
    let name = format!("accesspolicy.p{at}");
    let targets = (0..1 + dice.below(3)).map(|_| target(dice)).collect();
    let rules = (0..dice.below(4)).map(|i| rule(dice, i)).collect();
    AccessPolicy {
        key: Key::new(Source::files(), Kind::Access, "shop", &name),
        origin: Origin::new(ObjectRef::new("organza.dev", "AccessPolicy", "shop", &name), ""),
        tier: dice.of(&[Tier::Admin, Tier::Namespace, Tier::Namespace, Tier::Baseline]),
        action: dice.of(&[Action::Allow, Action::Allow, Action::Deny]),
        enforcement: if dice.one_in(6) { Enforcement::DryRun } else { Enforcement::Enforce },
        targets,
        rules,
    }
}

pub fn policies(dice: &mut Dice) -> Vec<Arc<AccessPolicy>> {
    (0..dice.below(7)).map(|at| Arc::new(policy(dice, at))).collect()
}

pub fn settings(dice: &mut Dice) -> Vec<Arc<AccessSettings>> {
    let mut all = Vec::new();
    for namespace in ["", "shop"] {
        if dice.one_in(2) {
            all.push(Arc::new(AccessSettings {
                key: Key::new(Source::files(), Kind::AccessSettings, namespace, "default"),
                origin: Origin::new(ObjectRef::new("organza.dev", "MeshConfig", namespace, "default"), ""),
                default_access: dice.of(&[DefaultAccess::Allow, DefaultAccess::AllowMeshed, DefaultAccess::Deny]),
                egress: Egress::Any,
                explain_denials: ExplainDenials::Meshed,
                mtls: dice.of(&[Mtls::Strict, Mtls::Permissive]),
                mtls_of: dice.many(3, |dice| MtlsOf {
                    service: service(dice.of(&NAMES)),
                    port: dice.one_in(2).then(|| dice.of(&PORTS)),
                    mtls: dice.of(&[Mtls::Strict, Mtls::Permissive]),
                }),
            }));
        }
    }
    all
}

/// Namespace, labels, services.
type Workload = (&'static str, Labels, Vec<(Key, u16)>);

/// A call, owned.
#[derive(Debug, Clone)]
pub struct Call {
    pub peer: Option<SpiffeId>,
    pub address: IpAddr,
    /// `None`: at the gateway.
    pub workload: Option<Workload>,
    pub gateway: (Key, Key, Option<Key>),
    pub ports: Vec<u16>,
    pub server_name: Option<&'static str>,
    pub kind: Kinds,
    pub host: &'static str,
    pub method: Method,
    pub path: &'static str,
    pub headers: HeaderBlock,
    pub client: Option<IpAddr>,
    pub token: Option<Token>,
    pub consumer: Option<Consumer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinds {
    Opened,
    Stream,
    Request,
}

fn claim(dice: &mut Dice) -> Claim {
    Claim { path: vec![dice.of(&["role", "team"]).into()], texts: dice.many(2, |dice| dice.of(&WORDS).into()) }
}

pub fn call(dice: &mut Dice) -> Call {
    let address = |dice: &mut Dice| dice.of(&ADDRESSES).parse().unwrap();
    let services: Vec<(Key, u16)> = dice.many(3, |dice| (service(dice.of(&NAMES)), dice.of(&PORTS)));
    let ports = if services.is_empty() { vec![dice.of(&PORTS)] } else { services.iter().map(|(_, port)| *port).collect() };
    let labels = Labels::from([("app".into(), dice.of(&NAMES).into()), ("version".into(), "v1".into())]);
    let mut headers = HeaderBlock::default();
    for _ in 0..dice.below(4) {
        headers.push(dice.of(&["X-Role", "x-role", "x-team"]), dice.of(&WORDS).as_bytes());
    }
    let token = dice.one_in(2).then(|| Token {
        issuer: dice.of(&WORDS).into(),
        subject: dice.of(&WORDS).into(),
        audiences: dice.many(2, |dice| dice.of(&WORDS).into()),
        claims: dice.many(2, claim),
    });
    let consumer = dice.one_in(2).then(|| Consumer { name: dice.of(&WORDS).into(), groups: dice.many(2, |dice| dice.of(&WORDS).into()) });
    Call {
        peer: (!dice.one_in(4)).then(|| identity(dice)),
        address: address(dice),
        workload: (!dice.one_in(3)).then(|| (dice.of(&NAMESPACES), labels, services)),
        gateway: (
            gate(Kind::Gateway, dice.of(&["edge", "other"])),
            gate(Kind::Listener, dice.of(&["edge.web", "edge.api"])),
            (!dice.one_in(3)).then(|| gate(Kind::Route, dice.of(&["httproute.a", "httproute.b"]))),
        ),
        ports,
        server_name: dice.one_in(2).then(|| dice.of(&HOSTS)),
        kind: dice.of(&[Kinds::Opened, Kinds::Stream, Kinds::Request, Kinds::Request, Kinds::Request]),
        host: dice.of(&HOSTS),
        method: dice.of(&[Method::Get, Method::Post, Method::Delete]),
        path: dice.of(&PATHS),
        headers,
        client: (!dice.one_in(4)).then(|| address(dice)),
        token,
        consumer,
    }
}

impl Call {
    pub fn place(&self) -> Place<'_> {
        match &self.workload {
            Some((namespace, labels, services)) => Place::Workload { namespace, labels, services },
            None => Place::Gateway { gateway: &self.gateway.0, listener: &self.gateway.1, route: self.gateway.2.as_ref() },
        }
    }

    /// Beside a workload who proves nothing may be anyone.
    pub fn is_plaintext(&self) -> bool {
        self.workload.is_some() && self.peer.is_none()
    }

    pub fn attributes(&self) -> crate::Attributes<'_> {
        let moment = match self.kind {
            Kinds::Opened => Moment::Opened,
            Kinds::Stream => Moment::Stream,
            Kinds::Request => Moment::Request(Request {
                host: self.host,
                method: &self.method,
                path: self.path,
                headers: &self.headers,
                client: self.client,
                token: self.token.as_ref(),
                consumer: self.consumer.as_ref(),
            }),
        };
        crate::Attributes {
            peer: self.peer.as_ref(),
            plaintext: self.is_plaintext(),
            address: self.address,
            ports: &self.ports,
            server_name: self.server_name,
            moment,
        }
    }
}
