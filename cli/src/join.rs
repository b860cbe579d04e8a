//! Makes a process part of the mesh: registers it with the control plane, has its key signed, writes the page of data that tells a proxy what it is,
//! and keeps that proxy running. Used by `run`, by the demo, and for each Gateway by `up`. Private keys are made here and never leave this
//! machine.

pub mod token;

use crate::client::Client;
use crate::failure::{Context, Failure, Outcome};
use crate::limits;
use crate::patience;
use crate::place::{Place, make_folder};
use crate::ports;
use crate::program;
use crate::proxy_process;
use crate::succession;
use crate::supervise::{Program, Released, Restart, State, Supervised};
use model::SpiffeId;
use proxy::config::{Config, Control, GatewayPorts, Log, Outbound, Role, Workload};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use wire::api::{Registration, RegistrationRequest, SignRequest, SignResponse, WorkloadPort, path};

/// A program that wants to be in the mesh.
#[derive(Debug, Clone)]
pub struct Member {
    pub name: String,
    pub namespace: String,
    pub service_account: String,
    /// None: a client only.
    pub service: Option<Served>,
    pub labels: Vec<(String, String)>,
    pub upstreams: Vec<Upstream>,
    pub strict: bool,
    /// Where other proxies reach this one's; loopback, or the address that leads to the control plane, where nobody says.
    pub address: Option<IpAddr>,
    /// On which port of it; any where nobody says.
    pub listen: Option<u16>,
}

/// What a member answers for.
#[derive(Debug, Clone)]
pub struct Served {
    pub service: String,
    /// The service's own port, which callers name.
    pub port: u16,
    /// Where the program listens, on loopback.
    pub target: u16,
}

/// `--upstream catalog:80=9001`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    pub host: String,
    pub port: u16,
    pub local: u16,
}

/// A proxy process and its place in the mesh.
#[derive(Debug)]
pub struct Joined {
    pub name: String,
    /// Where the program calls out (`http_proxy`), and the secret that this takes; for gateways the address is unused.
    pub outbound: SocketAddr,
    pub secret: String,
    /// Where other proxies reach it; `None` for clients and gateways.
    pub inbound: Option<SocketAddr>,
    place: Place,
    /// Where the registration is taken back; a process of another machine has its proxy do so.
    registrar: Option<Registrar>,
    admin: Client,
    child: Supervised,
}

/// Tells the control plane again and again who is here, for as long as it is not ended: one that forgot learns it so.
#[derive(Debug)]
struct Registrar {
    client: Client,
    request: Option<RegistrationRequest>,
    telling: tokio::task::JoinHandle<()>,
}

impl Registrar {
    /// Without a request it can only take the registration back.
    fn start(client: Client, proxy: &str, request: Option<RegistrationRequest>) -> Self {
        let (teller, path, told) = (client.clone(), registered(proxy), request.clone());
        let telling = tokio::spawn(async move {
            while let Some(request) = &told {
                tokio::time::sleep(limits::REGISTER_AGAIN).await;
                // A control plane that is away remembers us, or hears it when it is back; what it refuses stands in its log.
                let _: Outcome<bool> = teller.put(&path, request).await;
            }
        });
        Self { client, request, telling }
    }

    async fn take_back(mut self, proxy: &str) -> Outcome {
        // First, or it would be told once more.
        self.telling.abort();
        let _ = (&mut self.telling).await;
        self.client.delete(&registered(proxy)).await
    }
}

impl Drop for Registrar {
    fn drop(&mut self) {
        self.telling.abort();
    }
}

impl Joined {
    /// By the control plane's socket: the same machine, the same user.
    pub async fn member(place: &Place, member: Member) -> Outcome<Self> {
        let status: wire::api::Status = Client::control(place).get(path::STATUS).await?;
        let towards = status.xds_address.parse().doing(|| format!("read the address {}", status.xds_address))?;
        let prepared = Prepared::new(member, towards)?;
        let outbound = prepared.outbound.clone();
        let request = prepared.request.clone();
        let inbound = prepared.inbound;
        let joined = Self::start(place, request, |registration| prepared.role(registration), outbound.address, outbound.secret).await?;
        Ok(Self { inbound, ..joined })
    }

    /// By a token, from another machine.
    pub async fn by_token(place: &Place, member: Member, token: &identity::Token) -> Outcome<Self> {
        let control = token::address(token).await?;
        let prepared = Prepared::new(member, control)?;
        let (registration, svid) = token::join(token, control, prepared.request.clone()).await?;
        let namespace = SpiffeId::parse(&registration.identity).doing(|| "read the identity".into())?.namespace().to_owned();
        let (outbound, inbound) = (prepared.outbound.clone(), prepared.inbound);
        let config = write_proxy(place, &registration, namespace, prepared.role(&registration)?, &svid)?;
        let child = Supervised::start(program(place, &registration.proxy, &config, program::own()?, false))?;
        let joined = Self::begun(place, registration.proxy, outbound.address, outbound.secret, None, child).await?;
        Ok(Self { inbound, ..joined })
    }

    /// The process of a Gateway.
    pub async fn gateway(place: &Place, namespace: &str, name: &str, ports: GatewayPorts) -> Outcome<Self> {
        let called = format!("gateway-{name}");
        let request = RegistrationRequest {
            name: called.clone(),
            namespace: namespace.into(),
            service_account: called,
            service: None,
            ports: Vec::new(),
            protocol: None,
            labels: [("app".to_owned(), format!("gateway-{name}"))].into(),
            addresses: Vec::new(),
        };
        let gateway = model::Key::new(model::Source::files(), model::Kind::Gateway, namespace, name);
        Self::start(place, request, |_| Ok(Role::Gateway { gateway, ports }), loopback(0), String::new()).await
    }

    async fn start(
        place: &Place,
        request: RegistrationRequest,
        role: impl FnOnce(&Registration) -> Outcome<Role>,
        outbound: SocketAddr,
        secret: String,
    ) -> Outcome<Self> {
        let client = Client::control(place);
        let namespace = request.namespace.clone();
        let registration: Registration = client.post(path::REGISTRATIONS, &request).await?;
        let registrar = Registrar::start(client.clone(), &registration.proxy, Some(request));
        let started = async {
            let identity = SpiffeId::parse(&registration.identity).doing(|| format!("read the identity {}", registration.identity))?;
            let svid = sign(&client, &registration.proxy, &identity).await?;
            let config = write_proxy(place, &registration, namespace, role(&registration)?, &svid)?;
            Supervised::start(program(place, &registration.proxy, &config, program::own()?, false))
        };
        let child = match started.await {
            Ok(child) => child,
            Err(failure) => {
                // What failed is worth telling; that it could not be taken back is not.
                let _ = registrar.take_back(&registration.proxy).await;
                return Err(failure);
            }
        };
        Self::begun(place, registration.proxy, outbound, secret, Some(registrar), child).await
    }

    async fn begun(
        place: &Place,
        name: String,
        outbound: SocketAddr,
        secret: String,
        registrar: Option<Registrar>,
        child: Supervised,
    ) -> Outcome<Self> {
        let admin = Client::admin(&place.proxy(&name).join("admin.sock"), &name);
        let mut joined = Self { name, outbound, secret, inbound: None, place: place.clone(), registrar, admin, child };
        match joined.ready(place).await {
            Ok(()) => Ok(joined),
            Err(failure) => {
                joined.leave().await;
                Err(failure)
            }
        }
    }

    async fn ready(&mut self, place: &Place) -> Outcome {
        let (admin, child) = (&self.admin, &self.child);
        let running = || async move {
            match admin.text("/ready").await {
                Ok(_) => Some(true),
                Err(_) => (!matches!(*child.state.borrow(), State::Running { .. })).then_some(false),
            }
        };
        let what = match patience::until_ready(running).await {
            Some(true) => return Ok(()),
            Some(false) => "ended",
            None => "does not become ready",
        };
        let log = place.log(&log_name(&self.name));
        let why = last_words(&log);
        let remedy = match why.contains("held by") {
            true => "stop who holds it, or name another port".to_owned(),
            false => format!("read {}", log.display()),
        };
        Err(Failure::problem(format!("proxy {} {what}", self.name)).why(why).remedy(remedy))
    }

    /// Has a newer program take over; what it took over, in words. Where it does not, the one before goes on.
    pub async fn upgrade(&self, newer: &Path) -> Outcome<String> {
        let config = self.place.proxy(&self.name).join(CONFIG);
        let took = succession::of(&self.child, &self.admin, program(&self.place, &self.name, &config, newer, true)).await;
        took.map_err(|failure| {
            let log = self.place.log(&log_name(&self.name));
            failure.why(last_words(&log)).remedy(format!("read {}", log.display()))
        })
    }

    /// For the program that this process becomes: what it must know, and the processes.
    pub async fn release(self) -> (Known, Released) {
        let registered = self.registrar.as_ref().map(|registrar| serde_json::to_value(&registrar.request).unwrap_or_default());
        let known = Known { name: self.name, outbound: self.outbound, secret: self.secret, inbound: self.inbound, registered };
        (known, self.child.release().await)
    }

    pub fn adopt(place: &Place, known: Known, processes: Released) -> Outcome<Self> {
        let config = place.proxy(&known.name).join(CONFIG);
        let child = Supervised::adopt(program(place, &known.name, &config, program::own()?, true), processes)?;
        ports::keep([known.outbound].into_iter().chain(known.inbound).map(|address| address.port()).filter(|port| *port != 0));
        Ok(Self {
            // Of a later release it may say more than is understood here: then it is not told again.
            registrar: known
                .registered
                .map(|told| Registrar::start(Client::control(place), &known.name, serde_json::from_value(told).ok())),
            admin: Client::admin(&place.proxy(&known.name).join("admin.sock"), &known.name),
            place: place.clone(),
            name: known.name,
            outbound: known.outbound,
            secret: known.secret,
            inbound: known.inbound,
            child,
        })
    }

    /// Takes the registration back, so that no new call comes, then lets the proxy drain.
    pub async fn leave(self) {
        // A control plane that is away takes us out by itself when our stream does not come back.
        let _ = match self.registrar {
            Some(registrar) => registrar.take_back(&self.name).await,
            None => self.admin.post::<()>("/leave", &()).await,
        };
        self.child.stop().await;
    }
}

/// What there is to know of a proxy that runs.
#[derive(Debug, Serialize, Deserialize)]
pub struct Known {
    name: String,
    outbound: SocketAddr,
    secret: String,
    inbound: Option<SocketAddr>,
    /// What was registered by the socket of this machine's control plane; nothing where a token was used.
    registered: Option<serde_json::Value>,
}

/// What a member is before anybody gave it a name.
struct Prepared {
    request: RegistrationRequest,
    workload: Workload,
    outbound: Outbound,
    inbound: Option<SocketAddr>,
}

impl Prepared {
    /// `towards`: the control plane, whose neighbours must reach us.
    fn new(member: Member, towards: SocketAddr) -> Outcome<Self> {
        let ip = member.address.map_or_else(|| token::own_address(towards), Ok)?;
        let port = || member.listen.map_or_else(|| ports::any_on(ip), Ok);
        let inbound = member.service.as_ref().map(|_| port().map(|port| SocketAddr::new(ip, port))).transpose()?;
        let outbound = Outbound { address: loopback(ports::any()?), secret: secret()? };
        let workload = Workload {
            services: Vec::new(),
            application: member.service.as_ref().map(|served| loopback(served.target)),
            inbound,
            outbound: Some(outbound.clone()),
            upstreams: member.upstreams.iter().map(upstream).collect(),
            strict: member.strict,
        };
        let request = RegistrationRequest {
            name: member.name,
            namespace: member.namespace,
            service_account: member.service_account,
            ports: member.service.iter().map(|served| WorkloadPort { service: served.port, target: served.target }).collect(),
            service: member.service.map(|served| served.service),
            protocol: None,
            labels: member.labels.into_iter().collect(),
            addresses: inbound.iter().map(SocketAddr::to_string).collect(),
        };
        Ok(Self { request, workload, outbound, inbound })
    }

    fn role(self, registration: &Registration) -> Outcome<Role> {
        let services = registration.services.iter().map(|text| key(text)).collect::<Outcome<_>>()?;
        Ok(Role::Workload(Workload { services, ..self.workload }))
    }
}

fn write_proxy(place: &Place, registration: &Registration, namespace: String, role: Role, svid_pem: &str) -> Outcome<PathBuf> {
    let folder = place.proxy(&registration.proxy);
    make_folder(&folder)?;
    let identity = SpiffeId::parse(&registration.identity).doing(|| format!("read the identity {}", registration.identity))?;
    let svid = folder.join("svid");
    write_private(&svid, svid_pem.as_bytes())?;
    let metrics = place.metrics().map(ports::next).transpose()?.map(loopback);
    if let Some(address) = metrics {
        eprintln!("organza: metrics of {} are at http://{address}/metrics", registration.proxy);
    }
    let control = registration.xds_address.parse().doing(|| format!("read the address {}", registration.xds_address))?;
    let config = Config {
        mesh: place.mesh.clone(),
        proxy: registration.proxy.clone(),
        namespace,
        control: Control {
            addresses: vec![control],
            trust_roots: registration.trust_roots.clone(),
            trust_domain: identity.trust_domain().clone(),
        },
        identity,
        role,
        svid,
        admin: folder.join("admin.sock"),
        locality: place.locality().map(str::to_owned),
        state: folder.clone(),
        metrics,
        workers: None,
        log: Log { access: place.access_log(), ..Log::default() },
        drain_seconds: limits::DRAIN.as_secs(),
        linger_seconds: proxy::limits::LINGER.as_secs(),
        release: proxy::config::release(),
    };
    // Who had this name before left what that one knew: a new member begins with nothing, or it would act on what is long over.
    match std::fs::remove_file(config.snapshot_file()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).doing(|| "remove an old snapshot".into()),
        _ => {}
    }
    let path = folder.join(CONFIG);
    let text = serde_json::to_vec_pretty(&config).doing(|| "write the proxy's configuration".into())?;
    write_private(&path, &text)?;
    Ok(path)
}

/// A fresh key and the chain that the control plane signs for it, as PEM.
async fn sign(client: &Client, proxy: &str, identity: &SpiffeId) -> Outcome<String> {
    let csr = identity::Csr::generate(identity).doing(|| "make a key".into())?;
    let request = SignRequest { proxy: proxy.into(), csr: identity::pem::encode("CERTIFICATE REQUEST", &csr.der) };
    let signed: SignResponse = client.post(path::SIGN, &request).await?;
    let chain = identity::pem::certificates(signed.chain.as_bytes()).doing(|| "read the signed certificate".into())?;
    let svid =
        identity::Svid::new(chain.into_iter().map(|c| c.to_vec()).collect(), csr.key()).doing(|| "use the signed certificate".into())?;
    Ok(svid.to_pem().to_string())
}

/// The page of data of a proxy, in its folder.
const CONFIG: &str = "config.json";

fn program(place: &Place, name: &str, config: &Path, program: &Path, takes_over: bool) -> Program {
    let command = proxy_process::command(program, config, takes_over);
    Program {
        name: name.into(),
        command,
        environment: Vec::new(),
        log: Some(place.log(&log_name(name))),
        restart: Restart::Always,
        patience: limits::DRAIN,
    }
}

pub fn registered(proxy: &str) -> String {
    format!("{}/{proxy}", path::REGISTRATIONS)
}

fn log_name(proxy: &str) -> String {
    format!("proxy-{proxy}")
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn upstream(upstream: &Upstream) -> proxy::config::Upstream {
    proxy::config::Upstream { host: upstream.host.clone(), port: upstream.port, address: loopback(upstream.local) }
}

fn key(text: &str) -> Outcome<model::Key> {
    model::Key::parse(text).ok_or_else(|| Failure::problem(format!("the control plane named a service {text:?}, which is no key")))
}

/// 128 bits, in hexadecimal, so that it needs no escapes in a URL.
fn secret() -> Outcome<String> {
    by_chance::<16>()
}

/// So many bytes that nobody guesses, in hexadecimal.
pub fn by_chance<const BYTES: usize>() -> Outcome<String> {
    let mut bytes = [0u8; BYTES];
    aws_lc_rs::rand::fill(&mut bytes).doing(|| "make a secret".into())?;
    Ok(hex(&bytes))
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whole or not at all, for its owner alone.
pub fn write_private(path: &Path, bytes: &[u8]) -> Outcome {
    let temporary = path.with_extension("new");
    let write = || {
        // One that was left behind might be readable by others.
        let _ = std::fs::remove_file(&temporary);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().doing(|| format!("write {}", path.display()))
}

/// Why a process ended, where it said so at its end; else its last lines.
fn last_words(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = |n: usize| &lines[lines.len().saturating_sub(n)..];
    match last(4).iter().rev().find_map(|line| line.strip_prefix("  why: ")) {
        Some(why) => why.to_owned(),
        None => last(5).join("\n       "),
    }
}

#[cfg(test)]
mod tests;
