//! `organza explain`: what would become of a request, and why: the whole split, and the chain of objects and rules behind it. Compiles what a
//! running proxy has acknowledged with the code that carries traffic.

mod judged;
mod past;
mod question;
mod state;
mod story;

use crate::access::full_name;
use crate::ask_flag::AskFlag;
use crate::failure::{Failure, Outcome};
use crate::files;
use crate::output::Output;
use base64::Engine;
use clap::Args;
use judged::{Proofs, Whence};
use model::Change;
use model::url::escaped;
use proxy::Snapshot;
use proxy::tokens::{self, Token};
use question::{From, Question};
use routing::Table;
use serde_json::Value;
use state::State;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use story::Story;
use wire::api::{Proxy, ProxyList, ProxyResources, Role, ServiceList, path};

const EXAMPLES: &str = "\
Examples:
  organza explain GET http://catalog/items --from web
  organza explain GET http://catalog/items --from web -H x-canary:1 --expect catalog-v2
  organza explain GET http://catalog/items --from web -f DIR
  organza explain GET http://catalog/items --from web --claims ann.json --expect Allow
  organza explain POST https://shop.example.com/cart --from gateway/shop --sni www.example.com
  organza explain --request 4bf92f3577b34da6a3ce929d0e0e4736
  organza explain udp://:53 --from gateway/shop --expect dns
  organza explain GET http://shop.example.com:8080/old --from gateway/shop --expect 301 -o json

-o json prints one object, in the words of the access log: entry, listener, route, place, rule, rule_index, match_index, host, matched,
filters, sent, split (backend, weight, percent, filters, sent, refused), request_timeout_ms, backend_timeout_ms, retry; outcome is forward, denied, answer,
refused, outside or no_connection, with response_code, location, fault, reason, verdict_by, alike; not_taken lists rules that came close.
Of a running mesh also what that proxy found out: left_out (service, endpoint, state, cause, since_ms, left_ms), breakers
and crowded.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArgs {
    /// GET, POST …; of bytes that nobody reads, udp://:PORT or tcp://:PORT and no URL
    #[arg(required_unless_present = "request")]
    method: Option<String>,
    /// As the caller writes it
    url: Option<String>,
    /// A header of the request, NAME:VALUE
    #[arg(short = 'H', long = "header", value_name = "NAME:VALUE")]
    headers: Vec<String>,
    /// Who sends: a service or proxy ([NAMESPACE/]NAME), or gateway/[NAMESPACE/]NAME
    #[arg(long, required_unless_present = "request")]
    from: Option<String>,
    /// What became of one that was sent, hop by hop: its X-Request-Id, or the identifier of its trace
    #[arg(long, value_name = "ID", conflicts_with_all = ["method", "url", "headers", "expect", "sni", "claims", "files"])]
    request: Option<String>,
    /// Exit with 1 unless the request goes to this backend, and no other; several for a split. A number is the status that Organza answers itself; Allow or Deny is what policies of access say
    #[arg(long, value_name = "BACKEND|STATUS")]
    expect: Vec<String>,
    /// The server name that TLS asks for at a gateway, where it is not the host of an https:// URL
    #[arg(long, value_name = "NAME")]
    sni: Option<String>,
    /// The address that the connection comes from, for policies of access and trusted proxies
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    source_ip: std::net::IpAddr,
    /// What the caller's token says, as a JSON file of its claims; it is taken for one that is believed
    #[arg(long, value_name = "FILE")]
    claims: Option<PathBuf>,
    /// The request brings a key of this consumer: [NAMESPACE/]NAME
    #[arg(long, value_name = "CONSUMER")]
    consumer: Option<String>,
    /// Ask files instead of a running mesh: nobody has joined, so that only Services of these files are known
    #[arg(short = 'f', long = "filename", value_name = "PATH")]
    files: Vec<PathBuf>,
    #[arg(short, long, default_value = "default")]
    namespace: String,
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    ask: AskFlag,
}

pub async fn run(args: ExplainArgs) -> Outcome {
    if let Some(id) = &args.request {
        return past::tell(&args.ask.client().await?, id, args.output).await;
    }
    let (method, from) = (args.method.as_deref().unwrap_or_default(), args.from.as_deref().unwrap_or_default());
    let from = From::parse(from, &args.namespace)?;
    let mut question = match &args.url {
        Some(url) => Question::new(method, url, &args.headers, args.sni.as_deref(), from)?,
        None => Question::bytes(method, from)?,
    };
    let (known, whence, seen) = if args.files.is_empty() { live(&args, &question).await? } else { offline(&args.files)? };
    let token = args.claims.as_deref().map(claims).transpose()?;
    let story = told(&known, &mut question, args.source_ip, token.as_ref());
    let consumer = args.consumer.as_deref().map(|name| full_name(name, &args.namespace));
    let proofs = Proofs { address: args.source_ip, token: token.as_ref(), consumer: consumer.as_deref() };
    let judged = match args.files.is_empty() {
        true => {
            let client = args.ask.client().await?;
            let proxies: ProxyList = client.get(path::PROXIES).await?;
            judged::judge(&known, &question, &story, Whence::Mesh(&client, &proxies), proofs).await?
        }
        false => {
            let objects = files::read(&args.files)?.objects;
            judged::judge(&known, &question, &story, Whence::Files(&objects), proofs).await?
        }
    };
    let state = seen.map(|(proxy, services)| State::of(&services, &proxy, &story.backends()));
    match args.output {
        Output::Text => {
            print!("{}", story.text(judged.denies()));
            judged.lines().iter().for_each(|line| println!("  {line}"));
            state.iter().flat_map(State::lines).for_each(|line| println!("  {line}"));
            println!("{whence}");
        }
        Output::Json => {
            let mut told = story.to_json(judged.denies());
            told["access"] = judged.to_json();
            told["authentication"] = judged.authentication_to_json();
            told["limits"] = judged.limits_to_json();
            told["asks"] = judged.asks_to_json();
            if let (Some(told), Some(Value::Object(state))) = (told.as_object_mut(), state.as_ref().map(State::to_json)) {
                told.extend(state);
            }
            println!("{told}");
        }
    }
    let (verdicts, places): (Vec<String>, Vec<String>) = args.expect.iter().cloned().partition(|word| word == "Allow" || word == "Deny");
    if let Some(other) = verdicts.iter().find(|word| !judged.is(word)) {
        let told = match judged.lines() {
            lines if lines.is_empty() => format!(" no verdict, for nobody of the mesh is asked: {}", story.ends()),
            lines => format!(":\n{}", lines.join("\n")),
        };
        return Err(Failure::problem(format!("expected {other}, got{told}")));
    }
    if places.is_empty() || story.goes_to(&places) {
        return Ok(());
    }
    Err(Failure::problem(format!("expected {}, got {}", places.join(" and "), story.ends())))
}

/// The story, with what tokens tell routes at a gateway, and without what strangers would tell in their place.
fn told(known: &Known, question: &mut Question, peer: std::net::IpAddr, token: Option<&Token>) -> Story {
    let story = story::tell(known, question, peer);
    let Some(name) = story.listener() else { return story };
    let Some(listener) = known.table().listeners().find(|l| l.full_name() == name) else { return story };
    tokens::would(known.snapshot(), tokens::Door::Gateway(listener), token, &mut question.head);
    story::tell(known, question, peer)
}

/// The claims that stand in a file.
fn claims(path: &Path) -> Outcome<Token> {
    let wrong = |why: &dyn std::fmt::Display| {
        Failure::usage(format!("{} holds no claims of a token", path.display()))
            .why(why)
            .remedy("write an object, such as {\"iss\": \"https://issuer.example\", \"sub\": \"ann\"}")
    };
    let text = std::fs::read(path).map_err(|error| wrong(&error))?;
    match serde_json::from_slice(&text) {
        Ok(Value::Object(claims)) => Ok(tokens::token(&claims)),
        Ok(_) => Err(wrong(&"it is no object")),
        Err(error) => Err(wrong(&error)),
    }
}

/// What is asked: files, of which nobody can say who answers, or what a proxy has acknowledged, with the issuers of which it has no keys.
enum Known {
    Files(Snapshot),
    Proxy(Snapshot, BTreeMap<String, String>),
}

impl Known {
    fn table(&self) -> &Table {
        match self {
            Self::Files(snapshot) | Self::Proxy(snapshot, _) => &snapshot.table,
        }
    }

    fn snapshot(&self) -> &Snapshot {
        match self {
            Self::Files(snapshot) | Self::Proxy(snapshot, _) => snapshot,
        }
    }

    fn keyless(&self) -> BTreeMap<String, String> {
        match self {
            Self::Files(_) => BTreeMap::new(),
            Self::Proxy(_, keyless) => keyless.clone(),
        }
    }
}

/// A proxy, and what is told of services.
type Seen = Option<(String, ServiceList)>;

/// What the proxy that would decide has acknowledged, and what it found out.
async fn live(args: &ExplainArgs, question: &Question) -> Outcome<(Known, String, Seen)> {
    let client = args.ask.client().await?;
    let proxies: ProxyList = client.get(path::PROXIES).await?;
    let proxy = asked(&proxies, &question.from)?;
    // A proxy asks for a service when it is first called, and would ask for this one.
    let host = escaped(&question.head.host().to_ascii_lowercase());
    let asked = if host.is_empty() { path::resources(&proxy.name) } else { path::resources_with(&proxy.name, &host) };
    let acknowledged: ProxyResources = client.get(&asked).await?;
    let first = if acknowledged.first_call { ", and as it will be told at its first call there" } else { "" };
    let whence = format!("as proxy {} has acknowledged it, generation {}{first}", proxy.name, acknowledged.generation);
    let services = client.get(path::SERVICES).await?;
    let known = Known::Proxy(compile(&acknowledged)?, acknowledged.keyless);
    Ok((known, whence, Some((proxy.name.clone(), services))))
}

/// What proxies would be told if these were all files of a mesh.
fn offline(paths: &[PathBuf]) -> Outcome<(Known, String, Seen)> {
    let objects = files::read(paths)?.objects;
    let translated = frontends::translate(&objects, &frontends::Options::default());
    let bad = translated.reports.iter().filter(|report| report.severity == model::Severity::Error).count();
    let problems = if bad == 0 { String::new() } else { format!(", which have {bad} problems: organza validate -f tells them") };
    let changes: Vec<Change> = translated.resources.into_iter().map(Change::Put).collect();
    Ok((Known::Files(Snapshot::default().apply(0, &changes, &BTreeMap::new())), format!("as the files say{problems}"), None))
}

/// The proxy that would decide: a gateway's own, or one beside a workload of that name.
fn asked<'a>(proxies: &'a ProxyList, from: &From) -> Outcome<&'a Proxy> {
    let (role, namespace, name) = match from {
        From::Gateway { namespace, name } => (Role::Gateway, namespace, name),
        From::Workload { namespace, name } => (Role::Workload, namespace, name),
    };
    let here = |proxy: &&Proxy| proxy.role == role && proxy.namespace == *namespace && (proxy.service == *name || proxy.name == *name);
    let mut found: Vec<&Proxy> = proxies.items.iter().filter(here).collect();
    // One that is connected knows the latest.
    found.sort_by_key(|proxy| (!proxy.connected, proxy.name.clone()));
    found.first().copied().ok_or_else(|| {
        Failure::problem(format!("no proxy stands for {namespace}/{name}")).remedy("organza get proxies -A shows what --from may name")
    })
}

pub fn compile(acknowledged: &ProxyResources) -> Outcome<Snapshot> {
    let mut changes = Vec::new();
    for resource in &acknowledged.items {
        let Some(encoded) = &resource.encoded else { continue };
        let strange = |why: &dyn std::fmt::Display| {
            Failure::problem(format!("resource {} is not understood", resource.key))
                .why(why)
                .remedy("use the same version of organza for both")
        };
        let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).map_err(|error| strange(&error))?;
        changes.push(Change::Put(wire::decode(&bytes).map_err(|error| strange(&error))?));
    }
    Ok(Snapshot::default().apply(acknowledged.generation, &changes, &BTreeMap::new()))
}
