//! `organza validate --live`: what files would do to the mesh that runs: who is there to be named, and which of the calls that are made now they would cut.
//! The files are taken as if they were applied over what the mesh has; the verdicts are those of the code that carries traffic.

use crate::access;
use crate::access::called::{Brought, Called};
use crate::ask_flag::AskFlag;
use crate::failure::Outcome;
use crate::units::moment;
use frontends::{Object, Options, Place, Translation, judge};
use model::access::{AccessMatch, AccessRule};
use model::report::Step;
use model::{Key, Kind, Labels, Locality, Method, ObjectRef, Report, RequestHead, Resource, Severity, Source, SpiffeId, Tunnel};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use wire::api::{Call, CallList, Located, ObjectList, ProblemList, Proxy, ProxyList, Role, ServiceList, WorkloadList, path};

/// Calls that one policy is told to cut, one by one; of more their number.
const TOLD: usize = 10;

pub struct Live {
    objects: Vec<Object>,
    workloads: Vec<model::Workload>,
    calls: Vec<Call>,
    /// The called side of each service that calls were seen of, as its proxy has it now.
    called: BTreeMap<(String, String), Called>,
    /// Issuers whose keys proxies cannot fetch.
    keyless: Vec<Located>,
}

impl Live {
    pub async fn ask(ask: &AskFlag) -> Outcome<Self> {
        let client = ask.client().await?;
        let objects: ObjectList = client.get(&format!("{}?manifests=true", path::OBJECTS)).await?;
        let services: ServiceList = client.get(path::SERVICES).await?;
        let workloads: WorkloadList = client.get(path::WORKLOADS).await?;
        let proxies: ProxyList = client.get(path::PROXIES).await?;
        let calls: CallList = client.get(path::CALLS).await?;
        let mut all: Vec<Object> = objects.items.iter().filter_map(object).collect();
        // Who joined for a service that no file declares stands for it all the same.
        for service in &services.items {
            let declared = |o: &Object| o.is("", "Service") && *o.object.namespace == *service.namespace && *o.object.name == *service.name;
            if !all.iter().any(declared) {
                let ports: Vec<_> = service.ports.iter().map(|port| json!({"port": port.number, "appProtocol": port.protocol})).collect();
                let value = json!({"apiVersion": "v1", "kind": "Service", "spec": {"ports": ports}});
                all.push(Object::new(ObjectRef::new("", "Service", &service.namespace, &service.name), "v1", value));
            }
        }
        let mut called = BTreeMap::new();
        for call in &calls.items {
            let place = (call.namespace.clone(), call.service.clone());
            let beside = |proxy: &&Proxy| proxy.role == Role::Workload && proxy.connected && stands_for(proxy, &workloads, &place);
            if let Some(proxy) = proxies.items.iter().find(beside).filter(|_| !called.contains_key(&place)) {
                called.insert(place, access::live(&client, proxy).await?);
            }
        }
        let problems: ProblemList = client.get(path::PROBLEMS).await?;
        let keyless = problems.items.into_iter().filter(|problem| problem.reason == Located::KEYS_NOT_FETCHED).collect();
        Ok(Self { objects: all, workloads: workloads.items.iter().filter_map(workload).collect(), calls: calls.items, called, keyless })
    }

    /// Issuers of these files whose keys proxies cannot fetch, where the mesh has them at the same place.
    pub fn keyless(&self, files: &[Object]) -> Vec<Report> {
        let at = |object: &Object| object.at("/spec/jwks/uri").as_str().map(str::to_owned);
        let fetched = |object: &Object| self.objects.iter().find(|known| known.object == object.object).and_then(at);
        let same = files.iter().filter(|object| at(object).is_some() && at(object) == fetched(object));
        let told = |object: &Object| {
            let name = object.object.to_string();
            let report = |problem: &Located| Report {
                severity: Severity::Warning,
                object: object.object.clone(),
                path: ["spec", "jwks", "uri"].map(|field| Step::Field(field.into())).into(),
                reason: problem.reason.as_str().into(),
                message: problem.message.clone(),
                fix: problem.fix.clone(),
            };
            self.keyless.iter().filter(|problem| problem.object == name).map(report).collect::<Vec<_>>()
        };
        same.flat_map(told).collect()
    }

    /// What becomes of these files' objects over what the mesh has.
    pub fn translate(&self, files: &[Object]) -> Translation {
        judge::among(files, &self.objects, &Options { workloads: &self.workloads })
    }

    /// What no verdict could be given of, in words.
    pub fn unjudged(&self, resources: &[Resource]) -> Vec<String> {
        let mut silent: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for call in self.calls.iter().filter(|call| call.allowed > 0) {
            let place = (call.namespace.clone(), call.service.clone());
            if !self.called.contains_key(&place) {
                let name = if call.service.is_empty() { &call.workload } else { &call.service };
                *silent.entry((&call.namespace, name)).or_default() += call.allowed;
            }
        }
        let mut told: Vec<String> = silent
            .iter()
            .map(|((namespace, name), count)| {
                format!("{count} calls to {namespace}/{name}: no proxy of it is connected, or no Service leads there")
            })
            .collect();
        let plain: BTreeSet<&str> =
            self.calls.iter().filter(|call| call.allowed > 0 && !call.is_proven()).map(|call| call.source.as_str()).collect();
        if !plain.is_empty() {
            told.push(format!("{} callers that proved no identity were taken for callers in plaintext on this machine", plain.len()));
        }
        let rules =
            resources.iter().filter_map(|resource| if let Resource::Access(policy) = resource { Some(&policy.rules) } else { None });
        let blind = rules.flatten().filter(|rule| matches_of(rule).any(is_beyond_calls)).count();
        if blind > 0 {
            told.push(format!("{blind} rules read headers, hosts, tokens, keys or addresses, of which calls seen keep nothing: they were judged as if the calls brought none"));
        }
        told
    }

    /// Calls that are let through now and would not be under these resources, told of the object that would deny them.
    pub fn cuts(&self, resources: &[Resource]) -> Vec<Report> {
        let access: Vec<Resource> =
            resources.iter().filter(|r| matches!(r, Resource::Access(_) | Resource::AccessSettings(_))).cloned().collect();
        let mut cut: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for ((namespace, service), now) in &self.called {
            let then = now.with(&access);
            for call in self.calls.iter().filter(|c| c.allowed > 0 && c.namespace == *namespace && c.service == *service) {
                if let Some(denied) = verdict(&then, call).filter(|(allowed, ..)| !allowed)
                    && verdict(now, call).is_some_and(|(allowed, ..)| allowed)
                {
                    let (_, by, why) = denied;
                    cut.entry(by).or_default().push(format!("{}: {why}", told(call)));
                }
            }
        }
        cut.into_iter().flat_map(|(by, calls)| reports(&by, &calls)).collect()
    }
}

fn matches_of(rule: &AccessRule) -> impl Iterator<Item = &AccessMatch> {
    rule.clauses.iter().flat_map(|clause| &clause.0).flat_map(|group| &group.0).flat_map(|term| &term.any)
}

/// Whether what it asks is not kept of calls.
fn is_beyond_calls(one: &AccessMatch) -> bool {
    match one {
        AccessMatch::Method(_) | AccessMatch::Path(_) | AccessMatch::Unknown => false,
        AccessMatch::PeerAddress(_) => true,
        other => other.needs_request(),
    }
}

fn reports(by: &str, calls: &[String]) -> Vec<Report> {
    let object = named(by);
    let report = |message: String| Report {
        severity: Severity::Warning,
        object: object.clone(),
        path: Vec::new(),
        reason: "CutsCalls".into(),
        message,
        fix: Some("Allow it, or see to it that nobody calls so any more.".into()),
    };
    let more = calls.len().saturating_sub(TOLD);
    let mut all: Vec<Report> =
        calls.iter().take(TOLD).map(|call| report(format!("It would cut calls that are made now. {call}"))).collect();
    all.extend((more > 0).then(|| report(format!("It would cut {more} other kinds of calls that are made now."))));
    all
}

/// `AccessPolicy shop/orders`, as verdicts name objects.
fn named(by: &str) -> ObjectRef {
    let (kind, place) = by.split_once(' ').unwrap_or(("", by));
    let (namespace, name) = place.split_once('/').unwrap_or(("", place));
    ObjectRef::new("organza.dev", kind, namespace, name)
}

fn told(call: &Call) -> String {
    let what = if call.method.is_empty() { "bytes".to_owned() } else { format!("{} {}", call.method, call.path) };
    let who = if call.source.is_empty() { "nobody by name" } else { &call.source };
    let (to, last) = (format!("{}/{}:{}", call.namespace, call.service, call.port), moment(call.last_seen));
    format!("{who} to {to}, {what}, {} times in seven days, last {last}", call.allowed)
}

/// Whether the call is let through, by which object, and why; `None` where its port is no more.
fn verdict(called: &Called, call: &Call) -> Option<(bool, String, String)> {
    let caller = SpiffeId::parse(&call.source).ok();
    let head = (!call.method.is_empty()).then(|| request(call)).flatten();
    let verdicts = called.verdicts(caller.as_ref(), IpAddr::from([127, 0, 0, 1]), Some(call.port), Brought::of(head.as_ref()));
    let (_, verdict) = verdicts.into_iter().next()?;
    // Of bytes nothing but yes lets them through.
    Some((verdict.word == "yes", verdict.by.as_deref().unwrap_or("default").to_owned(), verdict.why))
}

/// One request of this kind.
fn request(call: &Call) -> Option<RequestHead> {
    let mut head = RequestHead::default();
    head.method = Method::parse(&call.method)?;
    head.set_authority(&call.service);
    head.set_target(&call.path.replace("{id}", "1").replace("{**}", "x"));
    Some(head)
}

fn stands_for(proxy: &Proxy, workloads: &WorkloadList, (namespace, service): &(String, String)) -> bool {
    let key = format!("/service/{namespace}/{service}");
    let own = |workload: &&wire::api::Workload| workload.namespace == proxy.namespace && workload.name == proxy.name;
    workloads.items.iter().find(own).is_some_and(|workload| workload.services.iter().any(|backed| backed.ends_with(&key)))
}

fn object(told: &wire::api::Object) -> Option<Object> {
    let manifest = told.manifest.clone()?;
    let version = manifest["apiVersion"].as_str()?.to_owned();
    let place = Place { file: told.place.as_str().into(), ..Place::default() };
    Some(Object { place, ..Object::new(ObjectRef::new(&told.group, &told.kind, &told.namespace, &told.name), &version, manifest) })
}

fn workload(told: &wire::api::Workload) -> Option<model::Workload> {
    let labels: Labels = told.labels.iter().map(|(key, value)| (Arc::from(key.as_str()), Arc::from(value.as_str()))).collect();
    Some(model::Workload {
        key: Key::new(Source::organza(), Kind::Workload, &told.namespace, &told.name),
        identity: SpiffeId::parse(&told.identity).ok()?,
        canonical_name: told.canonical_name.as_str().into(),
        revision: told.version.as_str().into(),
        cluster: "".into(),
        network: "".into(),
        locality: Locality::default(),
        labels,
        addresses: told.addresses.iter().filter_map(|text| text.parse().ok()).collect(),
        ports: Vec::new(),
        tunnel: Tunnel::None,
        services: Vec::new(),
        weight: 1,
        started: 0,
    })
}

#[cfg(test)]
mod tests;
