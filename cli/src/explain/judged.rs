//! Whether the request may be: what the gateway would say, and the proxies beside the services that it would go to, each by what it has acknowledged.
//! What is decided and why is never worked out here.

use super::Known;
use super::question::{From, Question};
use super::story::Story;
use crate::access::called::{Brought, Called, Verdict, together};
use crate::access::{identity, live};
use crate::client::Client;
use crate::failure::{Failure, Outcome};
use frontends::Object;
use model::{RequestHead, ServiceRef, SpiffeId};
use proxy::access::{Asked, At, Standing, would};
use proxy::consumers;
use proxy::tokens::{self, Token};
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use wire::api::{Proxy, ProxyList, Role};

/// Who said what, and by which limits each counts.
#[derive(Debug, Default)]
pub struct Judged {
    verdicts: Vec<(String, Verdict)>,
    /// What is made of who the caller says it is.
    authentication: Vec<(String, String)>,
    limits: Vec<(String, String)>,
    /// Authorizers outside that are asked, and whom.
    asks: Vec<(String, String)>,
}

/// Where the proxies of the called side are found.
pub enum Whence<'a> {
    Mesh(&'a Client, &'a ProxyList),
    Files(&'a [Object]),
}

/// What the request shows of who brings it.
#[derive(Clone, Copy)]
pub struct Proofs<'a> {
    pub address: IpAddr,
    pub token: Option<&'a Token>,
    /// Whose key, as `namespace/name`.
    pub consumer: Option<&'a str>,
}

pub async fn judge(known: &Known, question: &Question, story: &Story, whence: Whence<'_>, proofs: Proofs<'_>) -> Outcome<Judged> {
    let mut judged = Judged::default();
    at_gateway(known, question, story, proofs, &mut judged)?;
    // A gateway reads keys itself, and keeps them.
    let consumer = proofs.consumer.filter(|_| matches!(question.from, From::Workload { .. }));
    let proxies = if let Whence::Mesh(_, proxies) = &whence { Some(*proxies) } else { None };
    // Datagrams come to nobody's proxy: who is behind the gateway is not asked.
    let services = if question.bytes.as_ref().is_some_and(|bytes| bytes.datagrams) { Vec::new() } else { story.services() };
    for (to, rewritten) in services {
        let called = match &whence {
            Whence::Mesh(client, proxies) => match beside(proxies, to) {
                Some(proxy) => live(client, proxy).await?,
                None => continue,
            },
            Whence::Files(objects) => match Called::of_files(objects, &to.service.namespace, &to.service.name) {
                Ok(called) => called,
                Err(_) => continue,
            },
        };
        let called = called.bearing(proofs.token).consuming(consumer)?;
        let caller = caller(&question.from, proxies, called.trust_domain())?;
        // What filters made of it is not at hand in full: then it is told whether any request may come.
        let brought = match (&question.bytes, rewritten) {
            (Some(_), _) => Brought::Bytes,
            (None, true) => Brought::Anything,
            (None, false) => Brought::Request(&question.head),
        };
        let verdicts = called.verdicts(caller.as_ref(), proofs.address, Some(to.port), brought);
        let word = together(&verdicts);
        let who = format!("{}/{}", to.service.namespace, to.service.name);
        // Bytes bring neither tokens nor keys.
        let read = question.bytes.is_none().then(|| called.authentication(to.port)).into_iter().flatten();
        judged.authentication.extend(read.map(|(_, told)| (who.clone(), told)));
        judged.limits.extend(called.limits(to.port).into_iter().map(|limit| (who.clone(), limit)));
        judged.asks.extend(called.authorizers(to.port).into_iter().map(|asks| (who.clone(), asks)));
        if let Some((_, verdict)) = verdicts.into_iter().next() {
            judged.verdicts.push((who, Verdict { word, ..verdict }));
        }
    }
    Ok(judged)
}

fn beside<'p>(proxies: &'p ProxyList, to: &ServiceRef) -> Option<&'p Proxy> {
    let ours = |p: &&Proxy| p.role == Role::Workload && *p.namespace == *to.service.namespace && *p.service == *to.service.name;
    proxies.items.iter().filter(ours).min_by_key(|proxy| (!proxy.connected, proxy.name.clone()))
}

fn caller(from: &From, proxies: Option<&ProxyList>, trust_domain: &str) -> Outcome<Option<SpiffeId>> {
    match from {
        From::Workload { namespace, name } => identity(name, namespace, proxies, trust_domain),
        From::Gateway { namespace, name } => identity(&format!("gateway/{namespace}/{name}"), namespace, proxies, trust_domain),
    }
}

/// What the gateway itself says to strangers, once it is known whose listener and route it is.
fn at_gateway(
    known: &Known,
    question: &Question,
    story: &Story,
    Proofs { address, token, consumer }: Proofs<'_>,
    judged: &mut Judged,
) -> Outcome {
    let From::Gateway { namespace, name } = &question.from else { return Ok(()) };
    let snapshot = known.snapshot();
    let way = story.gateway_way().and_then(|(listener, route)| {
        let listener = snapshot.table.listeners().find(|l| l.full_name() == listener)?;
        Some((listener, snapshot.table.routes().filter_map(|told| told.read()).find(|r| r.origin.object == *route)?))
    });
    let Some((listener, route)) = way else { return Ok(()) };
    let unknown =
        |name: &str| Failure::usage(format!("Consumer {name} is none whose keys are read there")).remedy("organza get consumers -A");
    let consumer = consumer.map(|name| snapshot.consumers.named(name).ok_or_else(|| unknown(name))).transpose()?.map(|one| &**one);
    let mut head: RequestHead = question.head.clone();
    let asked = match &question.bytes {
        Some(_) => Asked::Stream,
        None => {
            let Ok(path) = routing::normalise(head.path(), listener.normalisation).map(std::borrow::Cow::into_owned) else { return Ok(()) };
            head.set_path(&path);
            Asked::Request(&head)
        }
    };
    let at = At::Gateway { listener, route: &route.key };
    let behind = routing::origin::read(&listener.front.trusted, address, &question.head.headers).behind;
    let address = Some(SocketAddr::new(address, 0));
    let standing = Standing { address, behind, token, consumer, ..Standing::stranger(at) };
    let told = would(snapshot, &standing, asked);
    let who = format!("Gateway {namespace}/{name}");
    // Limits are of requests.
    let limits = question.bytes.is_none().then(|| proxy::rates::of(snapshot, &standing)).into_iter().flatten();
    judged.limits.extend(limits.map(|limit| (who.clone(), limit)));
    let asks = question.bytes.is_none().then(|| proxy::authorizers::of(snapshot, &standing)).into_iter().flatten();
    judged.asks.extend(asks.map(|asks| (who.clone(), asks)));
    let read = question.bytes.is_none().then(|| {
        let token = tokens::told(snapshot, tokens::Door::Gateway(listener), token, &known.keyless());
        token.into_iter().chain(consumers::told(snapshot, &standing)).collect::<Vec<_>>()
    });
    let read = read.unwrap_or_default();
    judged.authentication.extend(read.iter().map(|(_, told)| (who.clone(), told.clone())));
    if let Some((_, why)) = read.into_iter().find(|(passes, _)| !passes) {
        judged.verdicts.push((who, Verdict { word: "no", why, by: None, rule: None, dry_run: None }));
        return Ok(());
    }
    judged.verdicts.push((who, Verdict::of(if told.allowed { "yes" } else { "no" }, told)));
    Ok(())
}

impl Judged {
    pub fn lines(&self) -> Vec<String> {
        let line = |(i, (who, verdict)): (usize, &(String, Verdict))| {
            let head = if i == 0 { "access" } else { "" };
            let may = if verdict.word == "some" { "depends on the request: " } else { "" };
            format!("{head:<10} {who}: {may}{}", verdict.why)
        };
        let read = self.authentication.iter().enumerate().map(|(i, one)| ("proof", i, one));
        let limits = self.limits.iter().enumerate().map(|(i, one)| ("limits", i, one));
        let asks = self.asks.iter().enumerate().map(|(i, one)| ("asks", i, one));
        let more =
            read.chain(limits).chain(asks).map(|(head, i, (who, what))| format!("{:<10} {who}: {what}", if i == 0 { head } else { "" }));
        self.verdicts.iter().enumerate().map(line).chain(more).collect()
    }

    pub fn to_json(&self) -> Value {
        let one = |(who, verdict): &(String, Verdict)| {
            let mut told = verdict.to_json();
            told["by"] = who.as_str().into();
            told
        };
        json!(self.verdicts.iter().map(one).collect::<Vec<_>>())
    }

    pub fn authentication_to_json(&self) -> Value {
        json!(self.authentication.iter().map(|(who, told)| json!({"by": who, "proof": told})).collect::<Vec<_>>())
    }

    pub fn asks_to_json(&self) -> Value {
        json!(self.asks.iter().map(|(who, asks)| json!({"by": who, "asks": asks})).collect::<Vec<_>>())
    }

    pub fn limits_to_json(&self) -> Value {
        json!(self.limits.iter().map(|(who, limit)| json!({"by": who, "limit": limit})).collect::<Vec<_>>())
    }

    /// Whether no request of this kind gets through: the gateway denies it, or everybody behind does.
    pub fn denies(&self) -> bool {
        let denies = |(_, verdict): &(String, Verdict)| verdict.word == "no";
        let (gateway, behind): (Vec<_>, Vec<_>) = self.verdicts.iter().partition(|(who, _)| who.starts_with("Gateway "));
        gateway.into_iter().any(denies) || (!behind.is_empty() && behind.into_iter().all(denies))
    }

    /// `Allow`: everybody who is asked allows; `Deny`: somebody denies.
    pub fn is(&self, expected: &str) -> bool {
        match expected {
            "Allow" => !self.verdicts.is_empty() && self.verdicts.iter().all(|(_, verdict)| verdict.word == "yes"),
            _ => self.verdicts.iter().any(|(_, verdict)| verdict.word == "no"),
        }
    }
}
