//! Random worlds: users' objects, and next to them what they mean, for the reference. Seeded, so that a failure can be met again.

use serde_json::{Value, json};

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 33) as usize % n
    }
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
    pub fn one<T: Copy>(&mut self, all: &[T]) -> T {
        *self.pick(all)
    }
    pub fn some<'a, T>(&mut self, percent: usize, all: &'a [T]) -> Option<&'a T> {
        self.chance(percent).then(|| self.pick(all))
    }
}

/// A value as a rule wants it. Regular expressions come with what they mean and what they take.
#[derive(Clone, Copy)]
pub enum Want {
    Exact(&'static str),
    Regex { pattern: &'static str, holds: fn(&str) -> bool, example: &'static str },
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

const VALUES: [Want; 5] = [
    Want::Exact("1"),
    Want::Exact("two words"),
    Want::Exact("blue"),
    Want::Regex { pattern: "[0-9]+", holds: digits, example: "42" },
    Want::Regex { pattern: "b.*", holds: |text| text.starts_with('b'), example: "black" },
];

#[derive(Clone, Copy)]
pub enum Path {
    Any,
    Prefix(&'static str),
    Is(Want),
}

const PATHS: [Path; 13] = [
    Path::Any,
    Path::Prefix("/"),
    Path::Prefix("/a"),
    Path::Prefix("/a/b"),
    Path::Prefix("/a/b/"),
    Path::Prefix("/items"),
    Path::Is(Want::Exact("/")),
    Path::Is(Want::Exact("/a")),
    Path::Is(Want::Exact("/a/b/")),
    Path::Is(Want::Exact("/items/1")),
    Path::Is(Want::Regex { pattern: "/items/[0-9]+", holds: |p| p.strip_prefix("/items/").is_some_and(digits), example: "/items/1" }),
    Path::Is(Want::Regex { pattern: "/(a|b)/.*", holds: |p| p.starts_with("/a/") || p.starts_with("/b/"), example: "/b/x" }),
    Path::Is(Want::Regex { pattern: "/.*", holds: |p| p.starts_with('/'), example: "/q" }),
];

#[derive(Clone)]
pub struct Match {
    pub path: Path,
    pub method: Option<&'static str>,
    pub headers: Vec<(&'static str, Want)>,
    pub query: Vec<(&'static str, Want)>,
    /// For GRPCRoutes, instead of path and method: service and method.
    pub grpc: Option<(Option<&'static str>, Option<&'static str>)>,
}

/// One filter: its kind, and of a mirror where it goes and how often, in percent.
#[derive(Clone, Copy, PartialEq)]
pub enum Filter {
    RequestHeaders,
    ResponseHeaders,
    Redirect,
    Rewrite,
    Cors,
    Unknown,
    Mirror(&'static str, usize),
}

pub struct Backend {
    pub service: &'static str,
    pub filters: Vec<Filter>,
}

pub struct Rule {
    pub matches: Vec<Match>,
    pub filters: Vec<Filter>,
    pub backends: Vec<Backend>,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Parent {
    /// A listener of the gateway, or all of them.
    Gateway(Option<&'static str>),
    Service {
        namespace: &'static str,
        name: &'static str,
    },
}

pub struct Route {
    pub kind: &'static str,
    pub namespace: &'static str,
    pub name: String,
    /// Years after 2020.
    pub age: usize,
    pub parent: Parent,
    pub hosts: Vec<&'static str>,
    pub rules: Vec<Rule>,
}

pub struct Listener {
    pub name: &'static str,
    pub port: u16,
    pub host: &'static str,
    pub tls: bool,
    pub kind: &'static str,
}

const fn listener(name: &'static str, port: u16, host: &'static str, tls: bool, kind: &'static str) -> Listener {
    Listener { name, port, host, tls, kind }
}

/// No host name is any. The one that takes TCPRoutes alone is broken.
pub const LISTENERS: [Listener; 7] = [
    listener("any", 80, "", false, "HTTPRoute"),
    listener("wild", 80, "*.example.com", false, "HTTPRoute"),
    listener("one", 80, "a.example.com", false, "HTTPRoute"),
    listener("grpc", 80, "grpc.test", false, "GRPCRoute"),
    listener("broken", 80, "broken.test", false, "TCPRoute"),
    listener("tls-one", 443, "a.example.com", true, "HTTPRoute"),
    listener("tls-wild", 443, "*.example.com", true, "HTTPRoute"),
];
/// The listener whose paths have their slashes merged.
pub const MERGING: &str = "one";
/// The namespace whose services have their slashes merged.
pub const MERGING_NAMESPACE: &str = "back";
pub const HEADERS: [&str; 4] = ["x-a", "x-b", "x-env", "x-forwarded-proto"];
pub const QUERIES: [&str; 3] = ["q", "page", "v"];
const HOSTS: [&str; 6] = ["a.example.com", "b.example.com", "*.example.com", "*.sub.example.com", "x.sub.example.com", "other.test"];
/// Of these the last does not exist.
const BACKENDS: [&str; 4] = ["green", "blue", "gold", "gone"];
const METHODS: [&str; 4] = ["GET", "POST", "DELETE", "OPTIONS"];

pub struct World {
    pub routes: Vec<Route>,
}

impl World {
    pub fn random(random: &mut Random) -> Self {
        let mut routes = Vec::new();
        for i in 0..4 + random.below(4) {
            let section = random.some(40, &["any", "wild", "one", "tls-one", "tls-wild"]).copied();
            let mut hosts: Vec<_> = (0..random.below(3)).map(|_| random.one(&HOSTS)).collect();
            hosts.dedup();
            routes.push(route(random, "HTTPRoute", "shop", format!("edge-{i}"), Parent::Gateway(section), hosts));
        }
        let service = |namespace, name| Parent::Service { namespace, name };
        routes.push(route(random, "GRPCRoute", "shop", "grpc".into(), Parent::Gateway(Some("grpc")), Vec::new()));
        routes.push(route(random, "HTTPRoute", "shop", "red-1".into(), service("shop", "red"), Vec::new()));
        routes.push(route(random, "HTTPRoute", "shop", "red-2".into(), service("shop", "red"), Vec::new()));
        routes.push(route(random, "GRPCRoute", "shop", "talk".into(), service("shop", "talk"), Vec::new()));
        routes.push(route(random, "HTTPRoute", "back", "far-producer".into(), service("back", "far"), Vec::new()));
        if random.chance(50) {
            routes.push(route(random, "HTTPRoute", "shop", "far-consumer".into(), service("back", "far"), Vec::new()));
        }
        Self { routes }
    }
}

fn route(
    random: &mut Random,
    kind: &'static str,
    namespace: &'static str,
    name: String,
    parent: Parent,
    hosts: Vec<&'static str>,
) -> Route {
    let rules = (0..1 + random.below(4)).map(|_| rule(random, kind)).collect();
    Route { kind, namespace, name, age: random.below(3), parent, hosts, rules }
}

fn rule(random: &mut Random, kind: &str) -> Rule {
    let matches: Vec<Match> = (0..1 + random.below(3)).map(|_| one_match(random, kind)).collect();
    let mut kinds = vec![Filter::RequestHeaders, Filter::ResponseHeaders, Filter::Mirror("shadow", random.one(&[0, 50, 100]))];
    kinds.push(Filter::Mirror(random.one(&["shadow", "gone"]), 100));
    let redirects = kind == "HTTPRoute" && random.chance(12);
    if kind == "HTTPRoute" {
        kinds.push(Filter::Cors);
        kinds.push(if redirects { Filter::Redirect } else { Filter::Rewrite });
    }
    let mut filters = chosen(random, &kinds, 30);
    if redirects && !filters.contains(&Filter::Redirect) {
        filters.push(Filter::Redirect);
    }
    if random.chance(4) {
        filters.push(Filter::Unknown);
    }
    let mut names = BACKENDS.to_vec();
    let count = if redirects { 0 } else { random.one(&[0, 1, 1, 2, 2, 2, 3]) };
    let of_backend = [Filter::ResponseHeaders, Filter::Mirror("shadow", 100), Filter::RequestHeaders];
    let backends = (0..count).map(|_| {
        let service = names.swap_remove(random.below(names.len()));
        let mut filters = chosen(random, &of_backend, 20);
        filters.extend((kind == "HTTPRoute" && random.chance(10)).then_some(Filter::Rewrite));
        Backend { service, filters }
    });
    let backends = backends.collect();
    Rule { matches, filters, backends }
}

/// Some of these, in any order.
fn chosen(random: &mut Random, all: &[Filter], percent: usize) -> Vec<Filter> {
    let mut found = Vec::new();
    for filter in all {
        if random.chance(percent) {
            found.insert(random.below(found.len() + 1), *filter);
        }
    }
    found
}

fn one_match(random: &mut Random, kind: &str) -> Match {
    let conditions = |random: &mut Random, names: &[&'static str]| {
        let mut all: Vec<(&'static str, Want)> = Vec::new();
        for name in names {
            if random.chance(18) {
                let proto = *name == "x-forwarded-proto";
                all.push((*name, if proto { Want::Exact(random.one(&["http", "https"])) } else { random.one(&VALUES) }));
            }
        }
        all
    };
    let headers = conditions(random, &HEADERS);
    if kind == "GRPCRoute" {
        let (service, method) = (random.some(70, &["shop.Cart", "shop.Cat"]).copied(), random.some(60, &["Get", "Put"]).copied());
        return Match { path: Path::Any, method: None, headers, query: Vec::new(), grpc: Some((service, method)) };
    }
    let query = conditions(random, &QUERIES);
    Match { path: random.one(&PATHS), method: random.some(30, &METHODS).copied(), headers, query, grpc: None }
}

impl Filter {
    pub fn kind(self) -> &'static str {
        match self {
            Self::RequestHeaders => "RequestHeaderModifier",
            Self::ResponseHeaders => "ResponseHeaderModifier",
            Self::Redirect => "RequestRedirect",
            Self::Rewrite => "URLRewrite",
            Self::Cors => "CORS",
            Self::Unknown => "ExtensionRef",
            Self::Mirror(..) => "RequestMirror",
        }
    }

    fn object(self) -> Value {
        let kind = self.kind();
        match self {
            Self::RequestHeaders => json!({"type": kind, "requestHeaderModifier": {"set": [{"name": "x-set", "value": "1"}]}}),
            Self::ResponseHeaders => json!({"type": kind, "responseHeaderModifier": {"add": [{"name": "x-added", "value": "1"}]}}),
            Self::Redirect => json!({"type": kind, "requestRedirect": {"scheme": "https", "statusCode": 301}}),
            Self::Rewrite => {
                json!({"type": kind, "urlRewrite": {"hostname": "new.test", "path": {"type": "ReplaceFullPath", "replaceFullPath": "/new"}}})
            }
            Self::Cors => json!({"type": kind, "cors": {"allowOrigins": ["https://*.test"], "allowMethods": ["GET"]}}),
            Self::Unknown => json!({"type": kind, "extensionRef": {"group": "a.test", "kind": "Thing", "name": "x"}}),
            Self::Mirror(to, percent) => {
                json!({"type": kind, "requestMirror": {"backendRef": {"name": to, "port": 80}, "percent": percent}})
            }
        }
    }
}

impl Want {
    fn object(&self, name: Option<&str>) -> Value {
        let (kind, value) = match self {
            Self::Exact(value) => ("Exact", value),
            Self::Regex { pattern, .. } => ("RegularExpression", pattern),
        };
        match name {
            Some(name) => json!({"type": kind, "name": name, "value": value}),
            None => json!({"type": kind, "value": value}),
        }
    }

    pub fn example(&self) -> &'static str {
        match self {
            Self::Exact(value) => value,
            Self::Regex { example, .. } => example,
        }
    }
}

impl Match {
    fn object(&self) -> Value {
        let mut all = json!({});
        let named = |all: &[(&str, Want)]| all.iter().map(|(name, want)| want.object(Some(name))).collect::<Vec<_>>();
        match &self.path {
            Path::Any => {}
            Path::Prefix(prefix) => all["path"] = json!({"type": "PathPrefix", "value": prefix}),
            Path::Is(want) => all["path"] = want.object(None),
        }
        if let Some(method) = self.method {
            all["method"] = json!(method);
        }
        if let Some((service, method)) = self.grpc {
            let parts = [("service", service), ("method", method)];
            all["method"] = parts.into_iter().filter_map(|(name, part)| Some((name.to_owned(), json!(part?)))).collect();
        }
        all["headers"] = json!(named(&self.headers));
        all["queryParams"] = json!(named(&self.query));
        all
    }
}

impl Route {
    fn object(&self, random: &mut Random) -> Value {
        let filters = |all: &[Filter]| all.iter().map(|filter| filter.object()).collect::<Vec<_>>();
        let rules = self.rules.iter().map(|rule| {
            let backends: Vec<Value> = rule
                .backends
                .iter()
                .map(|to| json!({"name": to.service, "port": 80, "weight": random.below(4), "filters": filters(&to.filters)}))
                .collect();
            let mut all = json!({
                "matches": rule.matches.iter().map(Match::object).collect::<Vec<_>>(), "filters": filters(&rule.filters), "backendRefs": backends,
            });
            if random.chance(20) && self.kind == "HTTPRoute" {
                all["timeouts"] = json!({"request": "20s", "backendRequest": "10s"});
                all["retry"] = json!({"codes": [503], "attempts": 1});
            }
            if random.chance(30) {
                all["name"] = json!(format!("named-{}", random.below(1000)));
            }
            all
        });
        let rules: Vec<Value> = rules.collect();
        let parent = match self.parent {
            Parent::Gateway(None) => json!({"name": "edge"}),
            Parent::Gateway(Some(section)) => json!({"name": "edge", "sectionName": section}),
            Parent::Service { namespace, name } => json!({"group": "", "kind": "Service", "namespace": namespace, "name": name}),
        };
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": self.kind,
            "metadata": {"namespace": self.namespace, "name": self.name, "creationTimestamp": format!("{}-01-01T00:00:00Z", 2020 + self.age)},
            "spec": {"parentRefs": [parent], "hostnames": self.hosts, "rules": rules},
        })
    }
}

/// Services by namespace and name; all are answered at one address.
const SERVICES: [(&str, &str); 10] = [
    ("shop", "red"),
    ("shop", "green"),
    ("shop", "blue"),
    ("shop", "gold"),
    ("shop", "shadow"),
    ("shop", "talk"),
    ("back", "far"),
    ("back", "green"),
    ("back", "blue"),
    ("back", "gold"),
];

impl World {
    /// As users write it; services are answered at `port` of loopback, and HTTPS shows `certificate` (chain and key, PEM).
    pub fn objects(&self, random: &mut Random, port: u16, certificate: (&str, &str)) -> Vec<Value> {
        let listeners: Vec<Value> = LISTENERS.iter().map(Listener::object).collect();
        let mut all = vec![
            json!({
                "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"namespace": "shop", "name": "edge"},
                "spec": {"gatewayClassName": "organza", "listeners": listeners},
            }),
            json!({
                "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"namespace": "shop", "name": "edge"},
                "stringData": {"tls.crt": certificate.0, "tls.key": certificate.1},
            }),
        ];
        all.push(json!({
            "apiVersion": "organza.dev/v1alpha1", "kind": "MeshConfig", "metadata": {"namespace": MERGING_NAMESPACE, "name": "default"},
            "spec": {"pathNormalization": "MergeSlashes"},
        }));
        for (namespace, name) in SERVICES {
            all.push(json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": namespace, "name": name},
                "spec": {"ports": [{"port": 80, "appProtocol": "http"}]},
            }));
            all.push(json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {"namespace": namespace, "name": format!("{name}-1"), "labels": {"kubernetes.io/service-name": name}},
                "endpoints": [{"addresses": ["127.0.0.1"]}], "ports": [{"port": port}],
            }));
        }
        all.extend(self.routes.iter().map(|route| route.object(random)));
        all
    }
}

impl Listener {
    fn object(&self) -> Value {
        let protocol = if self.tls { "HTTPS" } else { "HTTP" };
        let mut all = json!({
            "name": self.name, "port": self.port, "protocol": protocol,
            "allowedRoutes": {"kinds": [{"kind": self.kind}], "namespaces": {"from": "All"}},
        });
        if !self.host.is_empty() {
            all["hostname"] = json!(self.host);
        }
        if self.tls {
            all["tls"] = json!({"certificateRefs": [{"name": "edge"}]});
        }
        all
    }
}
