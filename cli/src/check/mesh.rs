//! What a control plane says of its mesh, on Kubernetes and off it: who is behind, what is refused, which certificates end. Pure.

use super::fact::{Fact, some};
use crate::units;
use wire::api::{CertificateList, EdgeList, Located, ProblemList, ProxyList, Security, Severity, Status};

const CONTROL: &str = "control plane";
const PROXIES: &str = "proxies";
const CERTIFICATES: &str = "certificates";
const CALLS: &str = "calls";
const TOKENS: &str = "tokens";
/// A root that ends sooner is warned of: to exchange it takes as long as the longest certificate under it.
const SOON: u64 = 30 * 86_400;

/// What was asked of the control plane, in this order.
pub struct Told {
    pub status: Status,
    pub proxies: ProxyList,
    pub certificates: CertificateList,
    pub edges: EdgeList,
    pub problems: ProblemList,
}

/// `now` in seconds since 1970.
pub fn facts(told: &Told, own_version: &str, now: u64) -> Vec<Fact> {
    let mut facts = control(&told.status, own_version);
    facts.extend(proxies(&told.proxies, &told.status, &told.problems));
    facts.extend(certificates(&told.certificates, now));
    facts.push(edges(&told.edges));
    facts.push(plaintext(&told.problems));
    facts.push(keys(&told.problems));
    facts
}

fn control(status: &Status, own: &str) -> Vec<Fact> {
    let mut facts = vec![Fact::good(CONTROL, format!("it answers: mesh {}, generation {}", status.mesh, status.generation))];
    facts.push(match status.version == own {
        true => Fact::good(CONTROL, format!("it is of this release, {own}")),
        false => Fact::warning(
            CONTROL,
            format!("it is of release {}, this organza of {own}", status.version),
            "use the same release for both: organza up --upgrade, or organza install --apply",
        ),
    });
    // Keys of issuers are a fact of their own.
    let is_read = |problem: &&Located| problem.severity == Severity::Error && problem.reason != Located::KEYS_NOT_FETCHED;
    let errors: Vec<String> = status.problems.iter().filter(is_read).map(|p| p.message.clone()).collect();
    facts.push(match errors.len() {
        0 => Fact::good(CONTROL, "what it reads is free of errors"),
        1 => Fact::bad(CONTROL, format!("it reads an error: {}", errors[0]), "organza status says where"),
        n => Fact::bad(CONTROL, format!("it reads {n} errors, the first: {}", errors[0]), "organza status lists them"),
    });
    facts
}

fn proxies(list: &ProxyList, status: &Status, problems: &ProblemList) -> Vec<Fact> {
    let names = |which: &dyn Fn(&wire::api::Proxy) -> bool| -> Vec<String> {
        list.items.iter().filter(|proxy| which(proxy)).map(|proxy| proxy.name.clone()).collect()
    };
    let judge = |found: Vec<String>, good: &str, bad: &str, hint: &str| match found.is_empty() {
        true => Fact::good(PROXIES, good),
        false => Fact::bad(PROXIES, format!("{bad}: {}", some(&found)), hint),
    };
    let mut facts = Vec::new();
    let gone = names(&|proxy| !proxy.connected);
    facts.push(judge(
        gone,
        &format!("all {} are connected", list.items.len()),
        "not connected",
        "organza logs NAME, or is its machine away?",
    ));
    // Whoever is refused something has the rest of that generation.
    let behind =
        names(&|proxy| proxy.connected && proxy.refused.is_empty() && proxy.acknowledged.is_none_or(|had| had < status.generation));
    let lag = match behind.is_empty() || status.proxies_current >= status.proxies_connected {
        true => Fact::good(PROXIES, "all that are connected have what concerns them"),
        false => {
            Fact::bad(PROXIES, format!("behind: {}", some(&behind)), "look again; who stays behind says why in organza get proxies -o wide")
        }
    };
    facts.push(lag);
    // What cannot be given to a proxy is told among what it refuses; it was not sent.
    let closed: Vec<&Located> = problems.items.iter().filter(|problem| problem.reason == "OlderRelease").collect();
    let ungiven = |proxy: &str| closed.iter().filter(|problem| problem.object.strip_prefix("Proxy ") == Some(proxy)).count();
    let refusing = names(&|proxy| proxy.refused.len() > ungiven(&proxy.name));
    facts.push(judge(
        refusing,
        "none refuses what it was sent",
        "refusing what they were sent",
        "organza get proxies -o json says what and why",
    ));
    let said: Vec<String> = closed.iter().map(|problem| format!("{}: {}", problem.object, problem.message)).collect();
    facts.push(judge(
        said,
        "none is of a release that does not know what guards",
        "of an older release (OlderRelease)",
        "upgrade them: organza up --upgrade, or organza run anew",
    ));
    let insecure = names(&|proxy| proxy.connected && !proxy.mtls);
    facts.push(judge(
        insecure,
        "all speak to the control plane by mutual TLS",
        "without a certificate of their own",
        "start them anew, so that they join again",
    ));
    let old = names(&|proxy| proxy.connected && proxy.version != status.version);
    facts.push(match old.is_empty() {
        true => Fact::good(PROXIES, "all are of the control plane's release"),
        false => {
            Fact::warning(PROXIES, format!("of another release: {}", some(&old)), "organza up --upgrade, or let their pods be replaced")
        }
    });
    facts
}

fn certificates(list: &CertificateList, now: u64) -> Vec<Fact> {
    let mut facts = Vec::new();
    let early: Vec<String> = list.items.iter().filter(|c| c.not_before > now + 300).map(|c| c.identity.clone()).collect();
    facts.push(match early.is_empty() {
        true => Fact::good(CERTIFICATES, "the clock here is not behind those who signed"),
        false => Fact::bad(CERTIFICATES, format!("not valid yet: {}", some(&early)), "set the clocks of both machines by NTP"),
    });
    for root in list.items.iter().filter(|certificate| certificate.kind == "root") {
        facts.push(match units::left(root.not_after, now) {
            None => Fact::bad(CERTIFICATES, format!("{} is over", root.identity), "organza ca rotate"),
            Some(left) if root.not_after - now < SOON => {
                Fact::warning(CERTIFICATES, format!("{} ends {left}", root.identity), "organza ca rotate")
            }
            Some(left) => Fact::good(CERTIFICATES, format!("{} ends {left}", root.identity)),
        });
    }
    let over: Vec<String> = list
        .items
        .iter()
        .filter(|certificate| certificate.kind != "root" && certificate.not_after <= now)
        .map(|certificate| if certificate.proxy.is_empty() { certificate.identity.clone() } else { certificate.proxy.clone() })
        .collect();
    facts.push(match over.is_empty() {
        true => Fact::good(CERTIFICATES, "those of the control plane and of proxies are valid"),
        false => Fact::bad(
            CERTIFICATES,
            format!("over, and not renewed: {}", some(&over)),
            "read the logs of who holds them: renewing goes on by itself",
        ),
    });
    facts
}

/// Between members of the mesh nothing goes in plain; what does leaves it, or comes from outside. What was refused before it was sent to anybody has no
/// destination, and went in no way.
fn edges(list: &EdgeList) -> Fact {
    let plain =
        list.items.iter().filter(|edge| edge.security == Security::Plain && !edge.source.is_empty() && !edge.destination.is_empty());
    let plain: Vec<String> = plain.map(|edge| format!("{} → {}", edge.source, edge.destination)).collect();
    match plain.is_empty() {
        true => Fact::good(CALLS, "no call that was seen between workloads was in plain"),
        false => Fact::warning(
            CALLS,
            format!("calls in plain: {}", some(&plain)),
            "put whoever is called into the mesh, or TLS before it (organza graph)",
        ),
    }
}

/// Issuers of tokens whose keys proxies cannot fetch.
fn keys(list: &ProblemList) -> Fact {
    let all: Vec<&Located> = list.items.iter().filter(|problem| problem.reason == Located::KEYS_NOT_FETCHED).collect();
    let said: Vec<String> = all.iter().map(|problem| format!("{}: {}", problem.object, problem.message)).collect();
    let hint = all.first().and_then(|problem| problem.fix.clone()).unwrap_or_default();
    match all.iter().any(|problem| problem.severity == Severity::Error) {
        _ if all.is_empty() => Fact::good(TOKENS, "no proxy says that it cannot fetch an issuer's keys"),
        true => Fact::bad(TOKENS, some(&said), hint),
        false => Fact::warning(TOKENS, some(&said), hint),
    }
}

/// What settings let in beside mutual TLS, for as long as they do.
fn plaintext(list: &ProblemList) -> Fact {
    let found: Vec<String> =
        list.items.iter().filter(|problem| problem.reason == "Plaintext").map(|problem| problem.object.clone()).collect();
    match found.is_empty() {
        true => Fact::good(CALLS, "nothing but mutual TLS is let in to workloads"),
        false => Fact::warning(
            CALLS,
            format!("plaintext is let in to workloads (mtls: Permissive) by {}", some(&found)),
            "organza access suggest --mtls says whom Strict would cut",
        ),
    }
}

#[cfg(test)]
mod tests;
