//! `organza access`: who may call whom, asked of what the called side's proxies have acknowledged, or of files. The verdict is that of the code which
//! carries traffic.

pub mod called;
pub mod suggest;

use crate::ask_flag::AskFlag;
use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::join::{by_chance, hex};
use crate::output::Output;
use crate::{explain, files, table};
use called::{Brought, Called, Verdict};
use clap::{Args, Subcommand};
use model::{Method, RequestHead, SpiffeId};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::path::PathBuf;
use wire::api::{Proxy, ProxyList, ProxyResources, Role, path};

const EXAMPLES: &str = "\
Examples:
  organza access check web orders
  organza access check web orders --method POST --path /orders --expect Allow
  organza access check dev/web prod/orders --expect Deny -f DIR
  organza access matrix
  organza access matrix -o json
  organza access suggest > access.yaml
  organza access key                                   a key and its hash, for a Consumer

A caller is a service or proxy of the mesh ([NAMESPACE/]NAME), gateway/[NAMESPACE/]NAME, a SPIFFE ID, or nobody. Verdicts of a port are yes (whatever
is asked), no (nothing may be asked), or some (it depends on the request).";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AccessArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Tell whether one may call another, and by which policy
    Check(Box<CheckArgs>),
    /// Show who may call whom, all of them
    Matrix(MatrixArgs),
    /// Make a key for a Consumer: the key for whoever consumes, its hash for the object
    Key,
    /// Write policies that allow the calls of the last days, and nothing else
    Suggest(suggest::SuggestArgs),
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// Who calls: [NAMESPACE/]NAME, gateway/[NAMESPACE/]NAME, spiffe://…, or nobody
    caller: String,
    /// The service that is called: [NAMESPACE/]NAME
    service: String,
    /// One port of the service
    #[arg(long)]
    port: Option<u16>,
    /// Of a request; GET where there is a path
    #[arg(long)]
    method: Option<String>,
    /// Of a request, without query
    #[arg(long)]
    path: Option<String>,
    /// A header of the request, NAME:VALUE
    #[arg(short = 'H', long = "header", value_name = "NAME:VALUE")]
    headers: Vec<String>,
    /// The address that the connection comes from
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    source_ip: IpAddr,
    /// The request brings a key of this consumer: [NAMESPACE/]NAME
    #[arg(long, value_name = "CONSUMER")]
    consumer: Option<String>,
    /// Exit with 1 unless every port that is asked about says so
    #[arg(long, value_name = "Allow|Deny", value_parser = ["Allow", "Deny"])]
    expect: Option<String>,
    /// Ask files instead of a running mesh: labels of workloads are not known then
    #[arg(short = 'f', long = "filename", value_name = "PATH")]
    files: Vec<PathBuf>,
    #[arg(short, long, default_value = "default")]
    namespace: String,
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    ask: AskFlag,
}

#[derive(Debug, Args)]
struct MatrixArgs {
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    ask: AskFlag,
}

pub async fn run(args: AccessArgs) -> Outcome {
    match args.what {
        What::Check(args) => check(*args).await,
        What::Matrix(args) => matrix(args).await,
        What::Key => key(),
        What::Suggest(args) => suggest::run(&args).await,
    }
}

/// 256 bits by chance: what nobody guesses needs no slow hash.
fn key() -> Outcome {
    let key = by_chance::<32>()?;
    println!("key     {key}");
    println!("sha256  {}", hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_bytes()).as_ref()));
    Ok(())
}

async fn check(args: CheckArgs) -> Outcome {
    let head = request(&args)?;
    let (namespace, service) = args.service.split_once('/').unwrap_or((&args.namespace, &args.service));
    let (called, caller) = match args.files.is_empty() {
        true => {
            let client = args.ask.client().await?;
            let proxies: ProxyList = client.get(path::PROXIES).await?;
            let beside = proxies.items.iter().filter(|p| p.role == Role::Workload && p.namespace == namespace);
            let mut beside: Vec<&Proxy> = beside.filter(|p| p.service == service || p.name == service).collect();
            beside.sort_by_key(|proxy| (!proxy.connected, proxy.name.clone()));
            let proxy = beside.first().ok_or_else(|| {
                Failure::problem(format!("nobody answers for {namespace}/{service}"))
                    .remedy("organza get services -A shows who does; -f asks files")
            })?;
            let called = live(&client, proxy).await?;
            let caller = identity(&args.caller, &args.namespace, Some(&proxies), called.trust_domain())?;
            (called, caller)
        }
        false => {
            let called = Called::of_files(&files::read(&args.files)?.objects, namespace, service)?;
            let caller = identity(&args.caller, &args.namespace, None, called.trust_domain())?;
            (called, caller)
        }
    };
    let called = called.consuming(args.consumer.as_deref().map(|name| full_name(name, namespace)).as_deref())?;
    let verdicts = called.verdicts(caller.as_ref(), args.source_ip, args.port, Brought::of(head.as_ref()));
    if verdicts.is_empty() {
        return Err(Failure::problem(format!("{namespace}/{service} has no such port")));
    }
    tell(&args, &caller, &format!("{namespace}/{service}"), &verdicts);
    let meant = |verdict: &&(u16, Verdict)| match args.expect.as_deref() {
        Some("Allow") => verdict.1.word == "yes",
        Some(_) => verdict.1.word == "no",
        None => true,
    };
    match verdicts.iter().find(|verdict| !meant(verdict)) {
        None => Ok(()),
        Some((port, verdict)) => Err(Failure::problem(format!(
            "expected {} on port {port}, got {}: {}",
            args.expect.unwrap_or_default(),
            verdict.word,
            verdict.why
        ))),
    }
}

fn request(args: &CheckArgs) -> Outcome<Option<RequestHead>> {
    if args.method.is_none() && args.path.is_none() && args.headers.is_empty() {
        return Ok(None);
    }
    let mut head = RequestHead::default();
    let method = args.method.as_deref().unwrap_or("GET");
    head.method = Method::parse(method).ok_or_else(|| Failure::usage(format!("{method:?} is no method")))?;
    head.set_authority(args.service.rsplit('/').next().unwrap_or_default());
    head.set_target(args.path.as_deref().unwrap_or("/"));
    for text in &args.headers {
        let (name, value) = text.split_once(':').ok_or_else(|| Failure::usage(format!("{text:?} is not NAME:VALUE")))?;
        head.headers.push(name.trim(), value.trim().as_bytes());
    }
    Ok(Some(head))
}

fn tell(args: &CheckArgs, caller: &Option<SpiffeId>, service: &str, verdicts: &[(u16, Verdict)]) {
    let who = caller.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string);
    match args.output {
        Output::Text => {
            println!("{who} to {service}");
            for (port, verdict) in verdicts {
                println!("  port {port:<6} {:<5} {}", verdict.word, verdict.why);
                verdict.dry_run.iter().for_each(|told| println!("  {:<11} {:<5} {told}", "", "tried"));
            }
        }
        Output::Json => {
            let ports: Vec<Value> = verdicts
                .iter()
                .map(|(port, verdict)| {
                    let mut told = verdict.to_json();
                    told["port"] = (*port).into();
                    told
                })
                .collect();
            println!("{}", json!({"caller": who, "service": service, "ports": ports}));
        }
    }
}

/// `namespace/name`.
pub fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('/') { name.to_owned() } else { format!("{namespace}/{name}") }
}

/// What a caller's name stands for; `None` is nobody.
pub fn identity(name: &str, namespace: &str, proxies: Option<&ProxyList>, trust_domain: &str) -> Outcome<Option<SpiffeId>> {
    if name == "nobody" {
        return Ok(None);
    }
    let wrong = |why: model::identity::IdentityError| Failure::usage(format!("{name:?} is no caller: it {why}"));
    if name.starts_with("spiffe://") {
        return SpiffeId::parse(name).map(Some).map_err(wrong);
    }
    let (gateway, rest) = name.strip_prefix("gateway/").map_or((false, name), |rest| (true, rest));
    let (namespace, short) = rest.split_once('/').unwrap_or((namespace, rest));
    let role = if gateway { Role::Gateway } else { Role::Workload };
    let known = proxies
        .and_then(|all| all.items.iter().find(|p| p.role == role && p.namespace == namespace && (p.service == short || p.name == short)));
    let text = match known {
        Some(proxy) => proxy.identity.clone(),
        // Who has not joined is named by what it would be called.
        None if gateway => format!("spiffe://{trust_domain}/ns/{namespace}/sa/gateway-{short}"),
        None => format!("spiffe://{trust_domain}/ns/{namespace}/sa/{short}"),
    };
    SpiffeId::parse(&text).map(Some).map_err(wrong)
}

pub async fn live(client: &Client, proxy: &Proxy) -> Outcome<Called> {
    let acknowledged: ProxyResources = client.get(&path::resources(&proxy.name)).await?;
    Ok(Called::new(explain::compile(&acknowledged)?, &proxy.namespace, &proxy.name).without_keys(acknowledged.keyless))
}

async fn matrix(args: MatrixArgs) -> Outcome {
    let client = args.ask.client().await?;
    let proxies: ProxyList = client.get(path::PROXIES).await?;
    let mut callers: Vec<(String, SpiffeId)> = Vec::new();
    for proxy in &proxies.items {
        let Ok(id) = SpiffeId::parse(&proxy.identity) else { continue };
        if !callers.iter().any(|(_, known)| *known == id) {
            callers.push((format!("{}/{}", id.namespace(), id.service_account()), id));
        }
    }
    callers.sort();
    let mut columns: Vec<(String, Called)> = Vec::new();
    for proxy in proxies.items.iter().filter(|p| p.role == Role::Workload && !p.service.is_empty() && p.connected) {
        let name = format!("{}/{}", proxy.namespace, proxy.service);
        if !columns.iter().any(|(known, _)| *known == name) {
            columns.push((name, live(&client, proxy).await?));
        }
    }
    columns.sort_by(|a, b| a.0.cmp(&b.0));
    let local = IpAddr::from([127, 0, 0, 1]);
    let cell = |called: &Called, id: &SpiffeId| called::together(&called.verdicts(Some(id), local, None, Brought::Anything));
    match args.output {
        Output::Text => {
            let head: Vec<&str> = std::iter::once("CALLER").chain(columns.iter().map(|(name, _)| name.as_str())).collect();
            let row = |(name, id): &(String, SpiffeId)| {
                std::iter::once(name.clone()).chain(columns.iter().map(|(_, called)| cell(called, id).to_owned())).collect()
            };
            let rows: Vec<Vec<String>> = callers.iter().map(row).collect();
            print!("{}", table::columns(&head, &rows, table::cut()));
        }
        Output::Json => {
            let of = |(name, id): &(String, SpiffeId)| {
                let may: serde_json::Map<String, Value> =
                    columns.iter().map(|(service, called)| (service.clone(), cell(called, id).into())).collect();
                json!({"caller": name, "identity": id.to_string(), "may_call": may})
            };
            println!("{}", json!({"callers": callers.iter().map(of).collect::<Vec<_>>()}));
        }
    }
    Ok(())
}
