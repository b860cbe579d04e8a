//! What Organza needs of a Kubernetes cluster, and how it stands there. What is judged is looked up by `seen`; the functions that judge are pure.

mod seen;

use super::fact::{Fact, some};
use control::kubernetes::{AskError, Bundle, is_understood};
pub use seen::{Seen, look};
use serde_json::Value;

const SERVER: &str = "kubernetes";
const KINDS: &str = "kinds";
const RIGHTS: &str = "rights";
const CONTROL: &str = "control plane";
const GATEWAYS: &str = "gateways";
/// CRDs of Gateway API v1.6 have rules that older API servers do not know.
const OLDEST_MINOR: u32 = 31;
const INSTALL: &str = "organza install --apply";
const CONTROLLER: &str = frontends::gateway_api::CONTROLLER;

pub type Answer = Result<Option<Value>, AskError>;

/// What the API server says, and which kinds it has. The first fact is whether it is reached at all.
pub fn server(seen: &Seen) -> Vec<Fact> {
    let version = match &seen.version {
        Ok(Some(version)) => version,
        Ok(None) => return vec![Fact::bad(SERVER, "it has no /version", "is that an API server? see --context")],
        Err(why) => {
            return vec![Fact::bad(SERVER, format!("the API server is not reached: {why}"), "kubectl cluster-info, or another --context")];
        }
    };
    let said = version["gitVersion"].as_str().unwrap_or("?");
    let minor: Option<u32> = version["minor"].as_str().and_then(|minor| minor.trim_end_matches('+').parse().ok());
    let mut facts = vec![Fact::good(SERVER, "the API server answers")];
    facts.push(match minor {
        Some(minor) if minor >= OLDEST_MINOR => Fact::good(SERVER, format!("its version is {said}")),
        Some(_) => Fact::bad(
            SERVER,
            format!("its version is {said}, older than v1.{OLDEST_MINOR}"),
            format!("upgrade it to v1.{OLDEST_MINOR} or newer"),
        ),
        None => Fact::unknown(SERVER, format!("its version is {said}, of which nothing is known"), "none, if it is newer than v1.31"),
    });
    facts
}

pub fn kinds(seen: &Seen, pre: bool) -> Vec<Fact> {
    let found = match &seen.found {
        Ok(found) => found,
        Err(why) => {
            return vec![Fact::unknown(
                KINDS,
                format!("which kinds there are is not told: {why}"),
                "ask as somebody who may use discovery",
            )];
        }
    };
    let missing = |own: bool, required: bool| -> Vec<String> {
        let is_own = |group: &str| group == frontends::organza::GROUP;
        let kinds = found.missing.iter().filter(|name| is_own(&name.group) == own);
        let kinds = kinds.filter(|name| own || control::kubernetes::REQUIRED.contains(&&*name.kind) == required);
        kinds.map(|name| name.kind.clone()).collect()
    };
    let gateway_api = "install CRDs of Gateway API v1.6 or newer: https://gateway-api.sigs.k8s.io/guides/getting-started/";
    let mut facts = vec![match missing(false, true) {
        none if none.is_empty() => Fact::good(KINDS, "the CRDs of Gateway API are there"),
        missing => Fact::bad(KINDS, format!("CRDs of Gateway API are not there: {}", some(&missing)), gateway_api),
    }];
    let others = missing(false, false);
    if !others.is_empty() {
        let hint = "none, unless you want them: they are of the experimental channel or of newer releases";
        facts.push(Fact::unknown(KINDS, format!("kinds that this cluster does not have: {}", some(&others)), hint));
    }
    facts.extend(found.bundle.as_ref().map(bundle));
    // They are part of what is installed.
    if !pre {
        facts.push(match missing(true, true) {
            none if none.is_empty() => Fact::good(KINDS, "the CRDs of group organza.dev are there"),
            missing => Fact::bad(KINDS, format!("CRDs of group organza.dev are not there: {}", some(&missing)), INSTALL),
        });
    }
    facts
}

fn bundle(bundle: &Bundle) -> Fact {
    let says = format!("Gateway API is {}, {} channel", bundle.version, bundle.channel);
    match is_understood(bundle) {
        true => Fact::good(KINDS, says),
        false => Fact::warning(
            KINDS,
            format!("{says}, which this release does not know"),
            "what is new in it has no effect; a newer Organza knows it",
        ),
    }
}

/// What installing needs to be allowed, and that nothing stands in its way.
pub fn before(seen: &Seen) -> Vec<Fact> {
    let mut facts: Vec<Fact> = seen
        .rights
        .iter()
        .map(|(resource, answer)| match answer {
            Ok(true) => Fact::good(RIGHTS, format!("you may create {resource}")),
            Ok(false) => Fact::bad(RIGHTS, format!("you may not create {resource}"), "install as an administrator of the cluster"),
            Err(why) => Fact::unknown(RIGHTS, format!("whether you may create {resource} is not told: {why}"), "ask an administrator"),
        })
        .collect();
    let other = |class: &Value| class["spec"]["controllerName"].as_str().filter(|name| *name != CONTROLLER).map(str::to_owned);
    facts.push(match &seen.class {
        Ok(Some(class)) if let Some(other) = other(class) => {
            Fact::bad(GATEWAYS, format!("GatewayClass organza is another controller's, {other}"), "give that class another name")
        }
        Ok(Some(class)) if is_leaving(class) => {
            let says = "GatewayClass organza is being deleted, and what is installed over it goes with it";
            Fact::bad(GATEWAYS, says, "docs/kubernetes.md (taking it away) says what holds it and how it is let go")
        }
        Ok(_) => Fact::good(GATEWAYS, "the name of GatewayClass organza is free, or ours"),
        Err(why) => Fact::unknown(GATEWAYS, format!("GatewayClass organza cannot be read: {why}"), "ask an administrator"),
    });
    facts
}

/// The control plane as it stands: what it may, who leads, whether its pods are confined.
pub fn control(seen: &Seen, own_image: &str, now: u64) -> Vec<Fact> {
    let mut facts = Vec::new();
    let there = |what: &str, answer: &Answer, judge: &dyn Fn(&Value) -> Fact| match answer {
        Ok(Some(value)) => judge(value),
        Ok(None) => Fact::bad(CONTROL, format!("{what} is not there"), INSTALL),
        Err(why) => Fact::unknown(CONTROL, format!("{what} cannot be read: {why}"), "ask as somebody who may read it"),
    };
    facts.push(there("its namespace", &seen.namespace, &confined));
    for (what, wanted, answer) in &seen.roles {
        facts.push(there(what, answer, &|role| allowed(what, wanted, role)));
    }
    facts.push(there("its Deployment", &seen.deployment, &replicas));
    facts.push(there("its Deployment", &seen.deployment, &|deployment| image(deployment, own_image)));
    facts.push(there("the lease of its leader", &seen.lease, &|lease| leader(lease, &seen.pods, now)));
    facts.push(there("the EndpointSlice organza-control", &seen.slice, &|slice| found(slice, &seen.lease, &seen.pods)));
    facts.push(webhooks(seen));
    facts
}

fn confined(namespace: &Value) -> Fact {
    match namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"].as_str() {
        Some("restricted") => Fact::good(CONTROL, "its pods are confined: pod security is enforced as restricted"),
        other => {
            let says = format!("pod security of its namespace is {}, not restricted", other.unwrap_or("not enforced"));
            Fact::warning(CONTROL, says, format!("{INSTALL} labels the namespace; its pods need no more"))
        }
    }
}

/// Every rule that this release needs stands in the role; what is bound to whom, likewise.
fn allowed(what: &str, wanted: &Value, role: &Value) -> Fact {
    let lacking = |field: &str| {
        let there = role[field].as_array().map_or(&[][..], Vec::as_slice);
        wanted[field].as_array().into_iter().flatten().filter(|rule| !there.contains(rule)).count()
    };
    let lacks = lacking("rules") + lacking("subjects") + usize::from(wanted["roleRef"] != role["roleRef"]);
    match lacks {
        0 => Fact::good(CONTROL, format!("{what} is what this release needs")),
        n => Fact::bad(CONTROL, format!("{what} lacks {n} of what this release needs"), INSTALL),
    }
}

fn replicas(deployment: &Value) -> Fact {
    let number = |path: &str| deployment.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let (wanted, ready) = (number("/spec/replicas"), number("/status/readyReplicas"));
    let says = format!("{ready} of {wanted} replicas are ready");
    let hint =
        format!("kubectl -n {} get pods, and the log of the one that is not", deployment["metadata"]["namespace"].as_str().unwrap_or(""));
    match (ready, wanted) {
        (0, _) => Fact::bad(CONTROL, says, hint),
        (ready, wanted) if ready < wanted => Fact::warning(CONTROL, says, hint),
        (_, 1) => Fact::warning(CONTROL, "there is one replica: while it is replaced, nothing changes", "kubectl scale it to 2"),
        _ => Fact::good(CONTROL, says),
    }
}

fn image(deployment: &Value, own: &str) -> Fact {
    let image = deployment.pointer("/spec/template/spec/containers/0/image").and_then(Value::as_str).unwrap_or("");
    let tag = |image: &str| image.rsplit_once(':').map(|(_, tag)| tag.to_owned());
    match tag(image) == tag(own) {
        true => Fact::good(CONTROL, format!("its image is {image}")),
        false => Fact::warning(
            CONTROL,
            format!("its image is {image}, this organza is of {own}"),
            format!("{INSTALL} --image IMAGE of the release that you want"),
        ),
    }
}

/// Pods by name, with whether they are ready and their address.
fn pod<'p>(pods: &'p Answer, name: &str) -> Option<&'p Value> {
    let list = pods.as_ref().ok()?.as_ref()?["items"].as_array()?;
    list.iter().find(|pod| pod["metadata"]["name"] == name)
}

fn is_ready(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn leader(lease: &Value, pods: &Answer, now: u64) -> Fact {
    let Some(holder) = lease["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty()) else {
        return Fact::bad(CONTROL, "no replica leads, so no proxy is told anything", "read the log of its pods");
    };
    let length = lease["spec"]["leaseDurationSeconds"].as_u64().unwrap_or(15);
    let renewed = lease["spec"]["renewTime"].as_str().and_then(frontends::gateway_api::route::seconds);
    let stale = renewed.is_some_and(|renewed| renewed + length < now);
    match (pod(pods, holder), pods) {
        (None, Ok(_)) => {
            Fact::bad(CONTROL, format!("{holder} leads, and there is no such pod"), "another takes over within 15 s: look again")
        }
        (Some(pod), _) if !is_ready(pod) => Fact::warning(CONTROL, format!("{holder} leads, and is not ready"), "read its log"),
        _ if stale => Fact::warning(
            CONTROL,
            format!("{holder} leads, and has not renewed its lease in time"),
            "read its log; or the clock of this machine is ahead",
        ),
        _ => Fact::good(CONTROL, format!("{holder} leads")),
    }
}

/// Proxies find the leader by a Service without a selector.
fn found(slice: &Value, lease: &Answer, pods: &Answer) -> Fact {
    let holder = lease.as_ref().ok().and_then(Option::as_ref).and_then(|lease| lease["spec"]["holderIdentity"].as_str());
    let address = holder.and_then(|holder| pod(pods, holder)).and_then(|pod| pod["status"]["podIP"].as_str());
    let behind = slice.pointer("/endpoints/0/addresses/0").and_then(Value::as_str);
    match (behind, address) {
        (Some(behind), Some(address)) if behind != address => {
            let says = format!("the Service organza-control leads to {behind}, the leader is {address}");
            Fact::bad(CONTROL, says, "the leader writes it anew when it begins to lead: delete its pod")
        }
        (None, _) => Fact::bad(CONTROL, "nobody is behind the Service organza-control", "read the log of the leader"),
        _ => Fact::good(CONTROL, "the Service organza-control leads to the leader"),
    }
}

/// One that is left over, and of which nobody is behind, would refuse what others apply.
fn webhooks(seen: &Seen) -> Fact {
    let mut found = Vec::new();
    // Those that judge, then those that change.
    for (place, answer) in seen.webhooks.iter().enumerate() {
        match answer {
            Ok(list) => {
                let items = list.as_ref().and_then(|list| list["items"].as_array()).into_iter().flatten();
                let named = items.filter(|item| name_of(item).contains("organza"));
                found.extend(named.map(|item| (place == 0 && item["metadata"]["name"] == "organza", item)));
            }
            Err(why) => return Fact::unknown(CONTROL, format!("webhooks cannot be listed: {why}"), "none is needed"),
        }
    }
    let arguments =
        seen.deployment.as_ref().ok().and_then(Option::as_ref).map(|it| &it["spec"]["template"]["spec"]["containers"][0]["args"]);
    let is_answered = arguments.and_then(Value::as_array).is_some_and(|all| all.iter().any(|word| word == "--webhook"));
    let ours = found.iter().find(|(is_ours, _)| *is_ours && is_answered).map(|(_, item)| *item);
    let others: Vec<String> = found.iter().filter(|(is_ours, _)| !(*is_ours && is_answered)).map(|(_, item)| name_of(item)).collect();
    let is_believed = |ours: &Value| {
        let all = ours["webhooks"].as_array();
        all.is_some_and(|all| all.iter().all(|one| one["clientConfig"]["caBundle"].as_str().is_some_and(|roots| !roots.is_empty())))
    };
    let is_shut = seen.deployment.is_ok() && !is_answered && found.iter().any(|(is_ours, _)| *is_ours);
    match (ours, is_answered) {
        _ if is_shut => {
            let says = "the API server asks a webhook that the control plane does not answer: objects of organza.dev cannot be written";
            let hint = "kubectl delete validatingwebhookconfiguration organza, or install with --webhook again";
            Fact::bad(CONTROL, says, hint)
        }
        _ if !others.is_empty() => Fact::warning(
            CONTROL,
            format!("webhooks that this release does not have, or does not answer: {}", some(&others)),
            "kubectl delete them",
        ),
        (Some(ours), _) if !is_believed(ours) => {
            let says = "the API server has no roots by which it believes the webhook: objects of organza.dev are refused";
            Fact::bad(CONTROL, says, "the leader writes them: read its log, or kubectl delete validatingwebhookconfiguration organza")
        }
        (Some(_), _) => Fact::good(CONTROL, "the API server asks what is wrong with an object before it takes it"),
        (None, true) => {
            Fact::warning(CONTROL, "the control plane answers a webhook and nobody asks it", "organza install --webhook writes what asks")
        }
        (None, false) => Fact::good(CONTROL, "no webhook stands between you and the API server"),
    }
}

fn name_of(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

/// Classes of ours and their Gateways, as their statuses have it.
pub fn gateways(seen: &Seen) -> Vec<Fact> {
    let ours = |class: &&Value| class["spec"]["controllerName"] == CONTROLLER;
    let classes = match &seen.classes {
        Ok(list) => list.as_ref().and_then(|list| list["items"].as_array()).cloned().unwrap_or_default(),
        Err(why) => return vec![Fact::unknown(GATEWAYS, format!("GatewayClasses cannot be listed: {why}"), "ask as somebody who may")],
    };
    let classes: Vec<&Value> = classes.iter().filter(ours).collect();
    if classes.is_empty() {
        return vec![Fact::bad(GATEWAYS, "there is no GatewayClass of ours", INSTALL)];
    }
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let class = |class: &&Value| match is_leaving(class) {
        true => {
            let says = format!("GatewayClass {} is being deleted, and goes with the last Gateway that uses it", name(class));
            Fact::warning(GATEWAYS, says, "nobody can take that back: delete its Gateways, then write it anew (organza install --apply)")
        }
        false => judged(&format!("GatewayClass {}", name(class)), class, &["Accepted"]),
    };
    let mut facts: Vec<Fact> = classes.iter().map(class).collect();
    let names: Vec<String> = classes.iter().map(|class| name(class)).collect();
    match &seen.gateways {
        Ok(list) => {
            let list = list.as_ref().and_then(|list| list["items"].as_array()).into_iter().flatten();
            let is_served = |gateway: &&Value| names.iter().any(|name| gateway["spec"]["gatewayClassName"] == name.as_str());
            let served: Vec<&Value> = list.filter(is_served).collect();
            if served.is_empty() {
                facts.push(Fact::good(GATEWAYS, "there is no Gateway of it yet"));
            }
            for gateway in served {
                let what = format!("Gateway {}/{}", gateway["metadata"]["namespace"].as_str().unwrap_or_default(), name(gateway));
                facts.push(judged(&what, gateway, &["Accepted", "Programmed", "organza.dev/Applied"]));
            }
        }
        Err(why) => facts.push(Fact::unknown(GATEWAYS, format!("Gateways cannot be listed: {why}"), "ask as somebody who may")),
    }
    facts
}

fn is_leaving(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// Good where all these conditions are true, and of the object as it is now.
fn judged(what: &str, object: &Value, wanted: &[&str]) -> Fact {
    let conditions = || object["status"]["conditions"].as_array().into_iter().flatten();
    for kind in wanted {
        let Some(condition) = conditions().find(|condition| condition["type"] == *kind) else {
            return Fact::bad(GATEWAYS, format!("{what} is judged by nobody ({kind})"), "does a replica of the control plane lead?");
        };
        if condition["status"] != "True" {
            let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
            let says = format!("{what} is not {}: {}, {}", kind.trim_start_matches("organza.dev/"), text("reason"), text("message"));
            return Fact::bad(GATEWAYS, says.trim_end_matches('.').to_owned(), "kubectl describe says where; organza get does too");
        }
        let (seen, is) = (condition["observedGeneration"].as_u64(), object["metadata"]["generation"].as_u64());
        if seen < is {
            return Fact::warning(GATEWAYS, format!("{what} was changed and is not judged anew yet"), "look again");
        }
    }
    let word = wanted.last().map_or("", |kind| kind.trim_start_matches("organza.dev/")).to_lowercase();
    Fact::good(GATEWAYS, format!("{what} is {word}"))
}

#[cfg(test)]
mod tests;
