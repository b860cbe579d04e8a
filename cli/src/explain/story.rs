//! The answer of `explain` as lines or JSON. What is decided and why is never worked out here: `proxy` and `routing` tell it, with what carries
//! traffic.

use super::Known;
use super::question::{From, Question};
use model::{Key, Kind, ObjectRef, ServiceRef, Source};
use proxy::explain::{Asker, explain, explain_live};
use routing::explain::{Explanation, Outcome, Ran, Refused, Share};
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// As routing tells it, with its label's room.
const GOES_TO: &str = "goes to    ";

#[derive(Debug)]
pub struct Story {
    request: String,
    from: String,
    explained: Explanation,
}

pub fn tell(known: &Known, question: &Question, peer: IpAddr) -> Story {
    let (head, table) = (&question.head, known.table());
    let explain = |asker: Asker<'_>| match known {
        Known::Files(snapshot) => explain(&snapshot.table, asker, head),
        Known::Proxy(snapshot, _) => explain_live(snapshot, asker, head),
    };
    let explained = match &question.from {
        From::Gateway { namespace, name } => {
            let here = table.listeners().find(|l| *l.gateway.namespace == **namespace && *l.gateway.name == **name);
            let nameless = Key::new(Source::files(), Kind::Gateway, namespace, name);
            let gateway = here.map_or(&nameless, |listener| &listener.gateway);
            let (port, sni) = (question.port, question.sni.as_ref().map(|name| name.as_deref()));
            match &question.bytes {
                Some(bytes) => explain(Asker::Bytes { gateway, port, datagrams: bytes.datagrams }),
                None => explain(Asker::Gateway { gateway, port, sni, peer }),
            }
        }
        From::Workload { namespace, .. } => explain(Asker::Workload { namespace }),
    };
    Story { request: question.text(), from: question.from.to_string(), explained }
}

impl Story {
    /// `denied`: it goes nowhere, for somebody on the way denies it.
    pub fn text(&self, denied: bool) -> String {
        let mut text = format!("{} from {}\n", self.request, self.from);
        for line in self.explained.lines() {
            match line.strip_prefix(GOES_TO).filter(|_| denied) {
                Some(rest) => text.push_str(&format!("  would go to{rest}\n")),
                None => text.push_str(&format!("  {line}\n")),
            }
        }
        text
    }

    /// One flat object, in the words of the access log; what there is nothing to say of is left out.
    pub fn to_json(&self, denied: bool) -> Value {
        let explained = &self.explained;
        let mut all = json!({"request": self.request, "from": self.from, "entry": explained.entry, "listener": explained.listener});
        let mut add = |more: Value| {
            if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
                all.extend(more);
            }
        };
        if let Some(chain) = &explained.chain {
            let millis = |limit: Option<std::time::Duration>| limit.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
            add(json!({
                "route": chain.route.to_string(), "place": words(&chain.place), "rule": chain.rule, "rule_index": chain.rule_index,
                "match_index": chain.match_index, "host": chain.host.to_string(), "matched": chain.matched, "filters": filters(&chain.filters),
                "sent": chain.sent, "split": chain.split.iter().map(share).collect::<Vec<_>>(), "request_timeout_ms": millis(chain.request_timeout),
                "backend_timeout_ms": millis(chain.backend_timeout), "retry": chain.retry,
            }));
        }
        add(match &explained.outcome {
            Outcome::Forward => json!({"outcome": if denied { "denied" } else { "forward" }}),
            Outcome::Answer { status, location } => json!({"outcome": "answer", "response_code": status, "location": location}),
            Outcome::Refused(why) => {
                let mut told = json!({"outcome": "refused"});
                told.as_object_mut().into_iter().for_each(|told| told.extend(refused(why)));
                told
            }
            Outcome::Outside { host, port, alike } => json!({"outcome": "outside", "reason": format!("for {host}:{port}"), "alike": alike}),
            Outcome::NoConnection { reason } => json!({"outcome": "no_connection", "reason": reason}),
        });
        let miss = |miss: &routing::explain::NearMiss| json!({"route": miss.route.to_string(), "place": words(&miss.place), "rule": miss.rule, "why": miss.why});
        add(json!({"not_taken": explained.near_misses.iter().map(miss).collect::<Vec<_>>()}));
        if let Some(all) = all.as_object_mut() {
            all.retain(|_, value| !value.is_null());
        }
        all
    }

    /// Whether every request of this kind ends at one of `expected`, and each of those gets some. A number is a status that Organza gives.
    pub fn goes_to(&self, expected: &[String]) -> bool {
        let status = match &self.explained.outcome {
            Outcome::Forward => {
                let reached = self.reached();
                let meant = |share: &Share, name: &String| share.refused.is_none() && is_called(&share.backend, name);
                return reached.iter().all(|share| expected.iter().any(|name| meant(share, name)))
                    && expected.iter().all(|name| reached.iter().any(|share| meant(share, name)));
            }
            Outcome::Answer { status, .. } => *status,
            Outcome::Refused(refused) => refused.fault.http_status(),
            Outcome::Outside { .. } | Outcome::NoConnection { .. } => return false,
        };
        expected.iter().all(|name| *name == status.to_string())
    }

    /// Where it ends, in a few words.
    pub fn ends(&self) -> String {
        match &self.explained.outcome {
            Outcome::Forward => self.reached().iter().map(|share| share.backend.as_str()).collect::<Vec<_>>().join(" and "),
            Outcome::Answer { status, .. } => status.to_string(),
            Outcome::Refused(refused) => format!("{} {}", refused.fault.http_status(), refused.fault.label()),
            Outcome::Outside { host, port, .. } => format!("{host}:{port} outside the mesh"),
            Outcome::NoConnection { .. } => "no connection".to_owned(),
        }
    }

    /// Services and hosts that may get the request, as the split names them.
    pub fn backends(&self) -> Vec<&str> {
        self.reached().into_iter().map(|share| share.backend.as_str()).collect()
    }

    /// Services that get some of the requests, and whether filters change the host or path on the way there.
    pub fn services(&self) -> Vec<(&ServiceRef, bool)> {
        let rewritten = self.explained.chain.as_ref().is_some_and(|chain| chain.sent.is_some());
        let service = |share: &'_ &Share| share.service.is_some();
        let of = |share: &Share| rewritten || share.sent.is_some();
        self.reached().into_iter().filter(service).filter_map(|share| Some((share.service.as_ref()?, of(share)))).collect()
    }

    /// At a gateway, the listener whose request it is.
    pub fn listener(&self) -> Option<&str> {
        self.explained.listener.as_deref()
    }

    /// At a gateway, the listener and the route whose request it is.
    pub fn gateway_way(&self) -> Option<(&str, &ObjectRef)> {
        Some((self.explained.listener.as_deref()?, &self.explained.chain.as_ref()?.route))
    }

    /// Backends that get some of the requests.
    fn reached(&self) -> Vec<&Share> {
        self.explained.chain.iter().flat_map(|chain| &chain.split).filter(|share| share.weight > 0).collect()
    }
}

fn words(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn filters(filters: &[Ran]) -> Vec<&str> {
    filters.iter().map(|ran| ran.name.as_str()).collect()
}

fn share(share: &Share) -> Value {
    json!({
        "backend": share.backend, "weight": share.weight, "percent": share.percent, "filters": filters(&share.filters), "sent": share.sent,
        "refused": share.refused.as_ref().map(refused),
    })
}

fn refused(refused: &Refused) -> Map<String, Value> {
    let told = json!({
        "response_code": refused.fault.http_status(), "fault": refused.fault.label(), "reason": refused.reason, "verdict_by": refused.object,
    });
    told.as_object().cloned().unwrap_or_default()
}

/// `default/catalog-v2:80` is called by that name and by `catalog-v2`, `catalog-v2:80`, `default/catalog-v2`.
fn is_called(backend: &str, name: &str) -> bool {
    let without_namespace = backend.split_once('/').map_or(backend, |(_, rest)| rest);
    let without_port = |text: &str| text.rsplit_once(':').map_or(text.to_owned(), |(rest, _)| rest.to_owned());
    [backend.to_owned(), without_namespace.to_owned(), without_port(backend), without_port(without_namespace)]
        .iter()
        .any(|other| other == name)
}

#[cfg(test)]
mod tests;
