//! How each proxy is started for a case: its configuration from `bench/`, filled in, and which of its processes count. All are held to one processor each,
//! so that every one has a single worker, as its manual or its default makes of that.

use super::access;
use super::case::{Case, Load, Request, Speech, Way};
use super::load::{self, HOST, LARGE, SMALL};
use super::telling::{self, Collector, Telling, With};
use crate::peers;
use crate::running::{Running, free_ports, wait_for_port};
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The processor that proxies get; callers and backend get the others.
const PROCESSOR: &str = "0";

/// One header edit each way.
const MESH_ROUTE: &str = "---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: bench }
spec:
  parentRefs: [{ group: \"\", kind: Service, name: bench }]
  rules:
  - matches: [{ path: { type: PathPrefix, value: /items }, headers: [{ name: x-bench, value: \"1\" }] }]
    filters:
    - { type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: X-Request-Edge, value: bench }] } }
    - { type: ResponseHeaderModifier, responseHeaderModifier: { set: [{ name: X-Edge, value: bench }] } }
    backendRefs: [{ name: bench, port: 80 }]
";

pub struct Contender {
    pub name: String,
    pub port: u16,
    pub tls: bool,
    pub routes: usize,
    /// Callers bring a token.
    pub token: bool,
    pub load: Load,
    /// What its answers' heads must hold.
    pub head: &'static str,
    /// In the order in which they are ended.
    running: Vec<Running>,
    below: Option<&'static str>,
    pub folder: PathBuf,
}

impl Contender {
    pub fn spread(&self) -> bool {
        matches!(self.load, Load::Http1(_, Request::Spread))
    }

    /// Those whose time counts.
    pub fn processes(&self) -> Vec<u32> {
        self.running.iter().flat_map(|running| running.processes(self.below)).collect()
    }
}

pub struct Tools {
    pub organza: PathBuf,
    pub envoy: PathBuf,
    /// What Organza has beside what a case asks for.
    pub with: With,
}

/// By which Organza serves its sockets if nobody says anything.
const EPOLL: &str = "epoll";

/// What all contenders of a case share: the backend.
pub struct Field<'a> {
    pub tools: &'a Tools,
    pub folder: &'a Path,
    case: &'static Case,
    backend: u16,
    _backend: Running,
    collector: Option<(u16, Running)>,
}

impl<'a> Field<'a> {
    pub fn new(case: &'static Case, tools: &'a Tools, folder: &'a Path) -> Result<Self> {
        let [backend] = free_ports()?;
        let command = |program: &Path, word: &str, more: &[&str]| {
            let mut command = load::beside(program);
            command.arg(word).args(more);
            command
        };
        let mut command = match case.load {
            Load::Http2(_, _, Some(_)) => command(&tools.organza, "sample", &["--name", "bench", "--port", &backend.to_string()]),
            Load::Bulk(_) => command(&crate::process::own()?, "source", &[&backend.to_string()]),
            _ => {
                fs::write(folder.join("large"), "x".repeat(LARGE))?;
                let values = [
                    ("port", backend.to_string()),
                    ("dir", folder.display().to_string()),
                    ("small", "0123456789".repeat(SMALL / 10)),
                    ("h2", if back(case.way).http2() { "http2" } else { "" }.to_owned()),
                ];
                nginx(&peers::filled(&bench("backend.conf"), folder, &values)?)
            }
        };
        let _backend = Running::quietly(&mut command)?;
        wait_for_port(backend).context("the backend")?;
        let collector = telling::collector(if tools.with.traced { Collector::Takes } else { Collector::None })?;
        Ok(Self { tools, folder, case, backend, _backend, collector })
    }

    pub fn contenders(&self) -> Result<Vec<Contender>> {
        match self.case.way {
            Way::Edge { front, .. } => {
                let mut all = vec![self.haproxy()?, self.nginx()?, self.envoy()?, self.organza("organza", 1)?, self.organza_ringed()?];
                // It ends no TLS.
                if !front.tls() {
                    all.push(self.floor()?);
                }
                Ok(all)
            }
            Way::Mesh(speech) => {
                let mesh = self.mesh(speech)?;
                match self.case.load {
                    // The bare forwarder shows what two copies cost.
                    Load::Bulk(_) => Ok(vec![mesh, self.floor()?]),
                    _ => Ok(vec![mesh, self.haproxy()?]),
                }
            }
            Way::Access(numbers) => {
                let mut all = vec![self.haproxy_small()?];
                for number in numbers {
                    for token in [false, true] {
                        let word = format!("{number:>5}{}", if token { " jwt" } else { "" });
                        let filters = access::filters(*number, token)?;
                        all.push(Contender { token, ..self.envoy_with(&format!("envoy {word}"), filters)? });
                        let more = access::objects(*number, token)?;
                        all.push(Contender { token, ..self.organza_with(&format!("organza {word}"), &more)? });
                    }
                }
                Ok(all)
            }
            Way::Telling => {
                let told = telling::ALL.iter().map(|telling| self.organza_telling(*telling));
                std::iter::once(self.haproxy_small()).chain(told).collect()
            }
            Way::Routes(numbers) => {
                let mut all = vec![self.haproxy_small()?];
                for number in numbers {
                    all.push(self.organza(&format!("organza {number:>6}"), *number)?);
                }
                Ok(all)
            }
        }
    }

    fn haproxy(&self) -> Result<Contender> {
        let (front, back) = (front(self.case.way), back(self.case.way));
        let pair = self.folder.join("pair.pem");
        if front.tls() {
            let (certificate, key) = self.certificate()?;
            fs::write(&pair, certificate + &key)?;
        }
        let bind = match front {
            Speech::Http1 | Speech::Opaque => String::new(),
            Speech::Http2 => "proto h2".to_owned(),
            Speech::Tls1 => format!("ssl crt {} alpn http/1.1", pair.display()),
            Speech::Tls2 => format!("ssl crt {} alpn h2", pair.display()),
        };
        let server = if back.http2() { "proto h2" } else { "" };
        let values = [("bind", bind), ("server", server.to_owned())];
        let mut command = Command::new("haproxy");
        self.start("haproxy", |file| command.arg("-f").arg(file), "haproxy.cfg", &values, None)
    }

    /// The reference where the case itself is Organza's alone.
    fn haproxy_small(&self) -> Result<Contender> {
        let contender = self.haproxy()?;
        match contender.load {
            Load::Http1(connections, _) => Ok(Contender { load: Load::Http1(connections, Request::Small), ..contender }),
            _ => Ok(contender),
        }
    }

    fn nginx(&self) -> Result<Contender> {
        let (front, back) = (front(self.case.way), back(self.case.way));
        if front.tls() {
            self.certificate()?;
        }
        let folder = self.folder.display();
        let tls = match front.tls() {
            true => format!("ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem; ssl_protocols TLSv1.3;"),
            false => String::new(),
        };
        let listen = [front.tls().then_some("ssl"), front.http2().then_some("http2")].into_iter().flatten().collect::<Vec<_>>().join(" ");
        // To an HTTP/2 backend it speaks HTTP/2 only for gRPC; what is no gRPC has no trailers, which it minds not.
        let pass = if back.http2() { "grpc_pass grpc://backend;" } else { "proxy_pass http://backend;" };
        let values = [("listen", listen), ("tls", tls), ("pass", pass.to_owned())];
        let mut command = Command::new("nginx");
        let command = command.args(["-e", "/dev/null", "-c"]);
        self.start("nginx", |file| command.arg(file), "nginx.conf", &values, Some("nginx: worker"))
    }

    /// With as many policies as Organza has, by its filter for them.
    fn envoy(&self) -> Result<Contender> {
        self.envoy_with("envoy", self.tools.with.filters()?)
    }

    /// With filters before its router.
    fn envoy_with(&self, name: &str, filters: String) -> Result<Contender> {
        let (front, back) = (front(self.case.way), back(self.case.way));
        if front.tls() {
            self.certificate()?;
        }
        let folder = self.folder.display();
        let tls = match front {
            Speech::Tls1 | Speech::Tls2 => format!(
                "transport_socket: {{name: envoy.transport_sockets.tls, typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext, common_tls_context: {{alpn_protocols: [{}], tls_certificates: [{{certificate_chain: {{filename: {folder}/cert.pem}}, private_key: {{filename: {folder}/key.pem}}}}]}}}}}}",
                if front.http2() { "h2" } else { "http/1.1" }
            ),
            _ => "name: plain".to_owned(),
        };
        let speech = if back.http2() { "http2_protocol_options" } else { "http_protocol_options" };
        let codec = if front.http2() { "HTTP2" } else { "HTTP1" };
        let values = [("tls", tls), ("backend_protocol", speech.to_owned()), ("codec", codec.to_owned()), ("filters", filters)];
        let mut command = Command::new(&self.tools.envoy);
        let command = command.args(["--concurrency", "1", "--use-dynamic-base-id", "-l", "off"]);
        self.start(name, |file| command.arg("-c").arg(file), "envoy.yaml", &values, None)
    }

    fn floor(&self) -> Result<Contender> {
        let [port] = free_ports()?;
        let mut command = Command::new("taskset");
        command.args(["-c", PROCESSOR]).arg(crate::process::own()?).args(["floor", &port.to_string(), &self.backend.to_string()]);
        let running = vec![Running::quietly(&mut command)?];
        self.ready("floor", port, running, None)
    }

    fn organza(&self, name: &str, routes: usize) -> Result<Contender> {
        let more = if matches!(self.case.way, Way::Routes(_)) { routes_yaml(routes) } else { String::new() };
        Ok(Contender { routes, ..self.organza_with(name, &more)? })
    }

    /// With more objects than the bench's own.
    pub fn organza_with(&self, name: &str, more: &str) -> Result<Contender> {
        let [mesh] = free_ports()?;
        self.organza_up(name, &format!("bench-{mesh}"), more, &[], EPOLL)
    }

    /// Its row stands apart: no other proxy here is served by io_uring, and many clusters forbid it.
    fn organza_ringed(&self) -> Result<Contender> {
        let [mesh] = free_ports()?;
        self.organza_up("organza uring", &format!("bench-{mesh}"), "", &[], "uring")
    }

    /// With those who are told; they are no part of what is measured.
    fn organza_telling(&self, telling: Telling) -> Result<Contender> {
        let [mesh, nobody] = free_ports()?;
        let mesh = format!("bench-{mesh}");
        let collector = telling::collector(telling.collector)?;
        let more = telling.objects(collector.as_ref().map(|(port, _)| *port));
        let prometheus = format!("http://127.0.0.1:{nobody}");
        let words = ["--prometheus", &prometheus];
        let words = if telling.prometheus_down { &words[..] } else { &[] };
        let mut contender = self.organza_up(telling.name, &mesh, &more, words, EPOLL)?;
        contender.running.extend(collector.map(|(_, running)| running));
        if telling.tap {
            let mut tap = Command::new(&self.tools.organza);
            tap.args(["tap", "--mesh", &mesh, "-o", "json"]).env("XDG_STATE_HOME", self.folder);
            contender.running.insert(0, Running::quietly(&mut tap)?);
        }
        Ok(contender)
    }

    fn with(&self, target: access::Target) -> Result<String> {
        self.tools.with.objects(target, self.collector.as_ref().map(|(port, _)| *port))
    }

    fn organza_up(&self, name: &str, mesh: &str, more: &str, words: &[&str], io: &str) -> Result<Contender> {
        let (front, back) = (front(self.case.way), back(self.case.way));
        let (protocol, tls, secret) = match front.tls() {
            true => {
                let (certificate, key) = self.certificate()?;
                let block = |text: &str| text.trim().lines().fold(String::new(), |out, line| out + "    " + line + "\n");
                let secret = format!(
                    "---\napiVersion: v1\nkind: Secret\nmetadata: {{ name: bench }}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: |\n{}  tls.key: |\n{}",
                    block(&certificate),
                    block(&key)
                );
                ("HTTPS", ", tls: { certificateRefs: [{ name: bench }] }", secret)
            }
            false => ("HTTP", "", String::new()),
        };
        let values = [
            ("protocol", protocol.to_owned()),
            ("tls", tls.to_owned()),
            ("app", if back.http2() { "kubernetes.io/h2c" } else { "http" }.to_owned()),
            ("more", secret + &more.replace("{backend}", &self.backend.to_string()) + &self.with(access::GATEWAY)?),
        ];
        let mut up = Command::new(&self.tools.organza);
        let up = up.args(["up", "--mesh", mesh]).args(words).env("XDG_STATE_HOME", self.folder).env("ORGANZA_IO", io);
        self.start(name, |file| up.arg("-f").arg(file), "organza.yaml", &values, Some("proxy"))
    }

    /// A server with a proxy, and a named local listener of a client's proxy.
    fn mesh(&self, speech: Speech) -> Result<Contender> {
        let [port] = free_ports()?;
        let app = if speech == Speech::Opaque { "tcp" } else { "http" };
        let (more, target) = if speech == Speech::Opaque { ("", access::BYTES) } else { (MESH_ROUTE, access::SERVICE) };
        let more = more.to_owned() + &self.with(target)?;
        let file = peers::filled(&bench("mesh.yaml"), self.folder, &[("app", app.to_owned()), ("more", more)])?;
        let organza = |arguments: &[&str]| {
            let mut command = Command::new("taskset");
            command.args(["-c", PROCESSOR]).arg(&self.tools.organza).args(arguments).env("XDG_STATE_HOME", self.folder);
            command
        };
        let up = Running::quietly(organza(&["up", "--mesh", "bench", "-f"]).arg(file))?;
        let status = || organza(&["status", "--mesh", "bench"]).output();
        let end = std::time::Instant::now() + crate::running::PATIENCE;
        while !status()?.status.success() {
            if std::time::Instant::now() > end {
                bail!("the mesh does not come up");
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let backend = self.backend.to_string();
        let server = Running::quietly(&mut organza(&["run", "--mesh", "bench", "--service", "bench", "--port", &backend]))?;
        let upstream = format!("bench={port}");
        let client = Running::quietly(&mut organza(&["run", "--mesh", "bench", "--upstream", &upstream]))?;
        let mut contender = self.ready("organza × 2", port, vec![client, server, up], Some("proxy"))?;
        if speech == Speech::Opaque {
            contender.head = "";
        }
        Ok(contender)
    }

    fn start<'c>(
        &self,
        name: &str,
        command: impl FnOnce(PathBuf) -> &'c mut Command,
        template: &str,
        values: &[(&str, String)],
        below: Option<&'static str>,
    ) -> Result<Contender> {
        let [port] = free_ports()?;
        let mut all = vec![("port", port.to_string()), ("backend", self.backend.to_string()), ("dir", self.folder.display().to_string())];
        all.extend(values.iter().cloned());
        // One of its own for each: Organza follows its file, and another's would move it.
        let folder = self.folder.join(port.to_string());
        fs::create_dir_all(&folder)?;
        let file = peers::filled(&bench(template), &folder, &all)?;
        let given = command(file);
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", PROCESSOR]).arg(given.get_program()).args(given.get_args());
        pinned.envs(given.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let running = vec![Running::quietly(&mut pinned)?];
        self.ready(name, port, running, below)
    }

    fn ready(&self, name: &str, port: u16, running: Vec<Running>, below: Option<&'static str>) -> Result<Contender> {
        wait_for_port(port).with_context(|| format!("{name} does not listen"))?;
        let (load, tls) = (self.case.load, front(self.case.way).tls());
        let head = if name == "floor" { "" } else { "x-edge: bench" };
        Ok(Contender {
            name: name.to_owned(),
            port,
            tls,
            routes: 1,
            token: false,
            load,
            head,
            running,
            below,
            folder: self.folder.to_owned(),
        })
    }

    /// P-256, made once for a run.
    fn certificate(&self) -> Result<(String, String)> {
        let files = ["cert.pem", "key.pem"].map(|name| self.folder.join(name));
        if !files[0].exists() {
            let request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj"];
            let subject = format!("/CN={HOST}");
            let output =
                Command::new("openssl").args(request).arg(subject).arg("-out").arg(&files[0]).arg("-keyout").arg(&files[1]).output();
            if !output.context("cannot run openssl")?.status.success() {
                bail!("openssl made no certificate");
            }
        }
        Ok((fs::read_to_string(&files[0])?, fs::read_to_string(&files[1])?))
    }
}

fn front(way: Way) -> Speech {
    match way {
        Way::Edge { front, .. } => front,
        Way::Mesh(_) | Way::Routes(_) | Way::Access(_) | Way::Telling => Speech::Http1,
    }
}

fn back(way: Way) -> Speech {
    match way {
        Way::Edge { back, .. } => back,
        Way::Mesh(_) | Way::Routes(_) | Way::Access(_) | Way::Telling => Speech::Http1,
    }
}

fn bench(name: &str) -> PathBuf {
    crate::root().join("bench").join(name)
}

fn nginx(file: &Path) -> Command {
    let mut command = load::beside("nginx");
    command.args(["-e", "/dev/null", "-c"]).arg(file);
    command
}

/// A route for each number, spread over up to a thousand hosts.
fn routes_yaml(number: usize) -> String {
    let mut out = String::new();
    for host in 0..number.min(1000) {
        let _ = write!(
            out,
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{ name: routes-{host} }}\nspec:\n  parentRefs: [{{ name: bench }}]\n  hostnames: [host-{host}.{HOST}]\n  rules:\n"
        );
        for path in (host..number).step_by(1000) {
            let _ = write!(
                out,
                "  - matches: [{{ path: {{ type: PathPrefix, value: /items/{path} }}, headers: [{{ name: x-bench, value: \"1\" }}] }}]
    filters:
    - {{ type: RequestHeaderModifier, requestHeaderModifier: {{ set: [{{ name: X-Request-Edge, value: bench }}] }} }}
    - {{ type: ResponseHeaderModifier, responseHeaderModifier: {{ set: [{{ name: X-Edge, value: bench }}] }} }}
    backendRefs: [{{ name: backend, port: 80 }}]\n"
            );
        }
    }
    out
}

/// So many services, each with an endpoint and a route for its host.
pub fn services_yaml(number: usize) -> String {
    // A list each: of documents a file holds 20,000 at most.
    let one = |service: usize| {
        format!(
            "---\napiVersion: v1\nkind: List\nitems:\n\
- {{ apiVersion: v1, kind: Service, metadata: {{ name: service-{service} }}, spec: {{ ports: [{{ name: http, port: 80, appProtocol: http }}] }} }}\n\
- apiVersion: discovery.k8s.io/v1\n  kind: EndpointSlice\n  metadata: {{ name: service-{service}, labels: {{ kubernetes.io/service-name: service-{service} }} }}\n  \
addressType: IPv4\n  endpoints: [{{ addresses: [\"127.0.0.1\"] }}]\n  ports: [{{ name: http, port: {{backend}} }}]\n\
- apiVersion: gateway.networking.k8s.io/v1\n  kind: HTTPRoute\n  metadata: {{ name: service-{service} }}\n  \
spec: {{ parentRefs: [{{ name: bench }}], hostnames: [service-{service}.{HOST}], rules: [{{ backendRefs: [{{ name: service-{service}, port: 80 }}] }}] }}\n"
        )
    };
    (0..number).map(one).collect()
}
