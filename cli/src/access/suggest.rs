//! `organza access suggest`: a least-privilege set of AccessPolicies from the calls of the last days, with the evidence as comments. What was called is
//! allowed to those who called it, by port, method and path; everything else is closed. A pure function writes; nothing is applied.

use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::mesh_flag::MeshFlag;
use crate::units::{duration, moment};
use clap::Args;
use model::SpiffeId;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;
use wire::api::{Call, CallList, ServiceList, Status, path};

const EXAMPLES: &str = "\
Examples:
  organza access suggest > access.yaml
  organza access suggest -n shop --since 48h
  organza access suggest | organza validate -f -
  organza access suggest --mtls                        whom mtls: Strict would cut

Look at what it says before you apply it: who was silent for seven days is shut out. organza validate -f access.yaml --live says
which of the calls that are made now a file would cut.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SuggestArgs {
    /// Only this namespace; all of them where it is left out
    #[arg(short, long)]
    namespace: Option<String>,
    /// Only calls that were seen so lately, e.g. 48h
    #[arg(long, value_parser = duration, default_value = "168h")]
    since: Duration,
    /// Tell who would be cut if only mutual TLS were let in (mtls: Strict), in place of policies
    #[arg(long)]
    mtls: bool,
    #[command(flatten)]
    mesh: MeshFlag,
}

pub async fn run(args: &SuggestArgs) -> Outcome {
    let client = Client::control(&args.mesh.place()?);
    let status: Status = client.get(path::STATUS).await?;
    let calls: CallList = client.get(path::CALLS).await?;
    let services: ServiceList = client.get(path::SERVICES).await?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let wanted = |namespace: &str| args.namespace.as_deref().is_none_or(|only| only == namespace);
    let since = now.saturating_sub(args.since.as_secs());
    // What is only denied now was not made lately by anybody who may.
    let lately = |call: &&Call| wanted(&call.namespace) && call.last_allowed.map_or(call.last_seen, |last| last) >= since;
    let seen: Vec<&Call> = calls.items.iter().filter(lately).collect();
    // Where nothing was seen nobody can say whom it would cut.
    if !seen.iter().any(|call| call.allowed > 0) {
        let what = if args.mtls {
            "no call was seen, so that nobody can say whom it would cut"
        } else {
            "no call was seen that a policy could be written from"
        };
        return Err(Failure::problem(what)
            .why("calls are told by the proxies of the called side, each five seconds")
            .remedy("organza get calls -A shows what was seen"));
    }
    if args.mtls {
        print!("{}", mtls(&seen, calls.left_out, since, now));
        return Ok(());
    }
    let known: BTreeSet<(&str, &str)> =
        services.items.iter().filter(|s| wanted(&s.namespace)).map(|s| (s.namespace.as_str(), s.name.as_str())).collect();
    print!(
        "{}",
        written(&Seen { calls: &seen, services: &known, trust_domain: &status.trust_domain, left_out: calls.left_out, now, since })
    );
    Ok(())
}

/// How often each was let in, when last, and what is answered where it calls from.
type Callers<'a> = BTreeMap<&'a str, (u64, u64, &'a [String])>;

/// Whom `mtls: Strict` would cut: callers that were let in without proving who they are, by the address that they are known by
/// and the names that it has.
pub fn mtls(calls: &[&Call], left_out: u64, since: u64, now: u64) -> String {
    let mut cut: BTreeMap<(&str, &str), Callers<'_>> = BTreeMap::new();
    let mut safe: BTreeSet<(&str, &str)> = BTreeSet::new();
    for call in calls.iter().filter(|call| call.allowed > 0) {
        let called = (call.namespace.as_str(), if call.service.is_empty() { call.workload.as_str() } else { call.service.as_str() });
        if call.is_proven() {
            safe.insert(called);
            continue;
        }
        let known = cut.entry(called).or_default().entry(&call.source).or_default();
        *known = (known.0.saturating_add(call.allowed), known.1.max(call.last_allowed.unwrap_or(call.last_seen)), &call.source_services);
    }
    let mut out = format!("Of the calls let in between {} and {}, mtls: Strict would cut", moment(since), moment(now));
    out.push_str(if cut.is_empty() { " nobody.\n" } else { ":\n" });
    for ((namespace, service), callers) in &cut {
        for (source, (count, last, names)) in callers {
            let who = match (source.is_empty(), names.is_empty()) {
                (true, _) => "nobody by name".to_owned(),
                (false, true) => (*source).to_owned(),
                (false, false) => format!("{source} ({})", names.join(", ")),
            };
            _ = writeln!(out, "  {} to {namespace}/{}: {count} calls, last {}", plain(&who), plain(service), moment(*last));
        }
    }
    let names: Vec<String> =
        safe.iter().filter(|called| !cut.contains_key(*called)).map(|(namespace, name)| format!("{namespace}/{name}")).collect();
    if !names.is_empty() && !cut.is_empty() {
        _ = writeln!(out, "Nobody of those who called {}.", plain(&names.join(", ")));
    }
    if left_out > 0 {
        _ = writeln!(out, "{left_out} calls found no room and are not in it: it may cut more.");
    }
    out
}

/// What a suggestion is written from.
pub struct Seen<'a> {
    pub calls: &'a [&'a Call],
    /// All there are, called or not: (namespace, name).
    pub services: &'a BTreeSet<(&'a str, &'a str)>,
    pub trust_domain: &'a str,
    pub left_out: u64,
    pub now: u64,
    pub since: u64,
}

/// How many of each one policy may hold, as its schema has it.
const RULES: usize = 64;
const DESTINATIONS: usize = 32;
const PATHS: usize = 64;

/// One entry of a rule's destinations: paths, or bytes.
struct Destination<'a> {
    port: u16,
    method: &'a str,
    calls: Vec<&'a Call>,
}

struct Rule<'a> {
    source: &'a str,
    destinations: Vec<Destination<'a>>,
}

/// The policies as YAML. Whatever it says is data from calls: names are written as JSON strings, which YAML reads as they are.
pub fn written(seen: &Seen<'_>) -> String {
    let mut out = head(seen);
    let mut namespaces: BTreeSet<&str> = seen.services.iter().map(|(namespace, _)| *namespace).collect();
    namespaces.extend(seen.calls.iter().map(|call| call.namespace.as_str()));
    for namespace in namespaces {
        let mut services: BTreeMap<&str, Vec<&Call>> = BTreeMap::new();
        for call in seen.calls.iter().filter(|call| call.namespace == namespace && !call.service.is_empty()) {
            services.entry(&call.service).or_default().push(call);
        }
        for (service, calls) in &services {
            policies(&mut out, seen, namespace, service, calls);
        }
        let silent: Vec<&str> =
            seen.services.iter().filter(|(of, name)| *of == namespace && !services.contains_key(name)).map(|(_, name)| *name).collect();
        closed(&mut out, namespace, &silent);
    }
    out
}

fn head(seen: &Seen<'_>) -> String {
    let allowed: u64 = seen.calls.iter().map(|call| call.allowed).sum();
    let mut out = format!(
        "# Suggested from {allowed} calls between {} and {}.\n# What was not called in that time is shut out. Deny policies and the tier Admin hold beside it; other Allow policies for the same targets allow more.\n",
        moment(seen.calls.iter().map(|call| call.first_seen.max(seen.since)).min().unwrap_or(seen.since)),
        moment(seen.now)
    );
    if seen.left_out > 0 {
        _ = writeln!(out, "# {} calls found no room and are not in it.", seen.left_out);
    }
    let loose: BTreeSet<String> = seen
        .calls
        .iter()
        .filter(|call| call.service.is_empty() && call.allowed > 0)
        .map(|call| format!("{}/{}", call.namespace, call.workload))
        .collect();
    if !loose.is_empty() {
        let names: Vec<String> = loose.into_iter().collect();
        _ = writeln!(out, "# Not covered, and shut out: calls to workloads that no Service leads to: {}.", plain(&names.join(", ")));
    }
    out
}

/// What one service's callers did, as rules that the schema takes.
fn rules<'a>(calls: &[&'a Call]) -> Vec<Rule<'a>> {
    let mut callers: BTreeMap<&str, BTreeMap<(u16, &str), Vec<&Call>>> = BTreeMap::new();
    for call in calls.iter().filter(|call| call.allowed > 0 && call.is_proven() && !is_pathless(call)) {
        callers.entry(&call.source).or_default().entry((call.port, &call.method)).or_default().push(call);
    }
    let mut rules = Vec::new();
    for (source, by) in callers {
        let mut all = by.into_iter().flat_map(|((port, method), calls)| {
            let some: Vec<_> = calls.chunks(PATHS).map(|calls| Destination { port, method, calls: calls.to_vec() }).collect();
            some
        });
        loop {
            let destinations: Vec<_> = all.by_ref().take(DESTINATIONS).collect();
            if destinations.is_empty() {
                break;
            }
            rules.push(Rule { source, destinations });
        }
    }
    rules
}

/// `OPTIONS *`: of no path can a policy be written.
fn is_pathless(call: &Call) -> bool {
    !call.method.is_empty() && !call.path.starts_with('/')
}

fn policies(out: &mut String, seen: &Seen<'_>, namespace: &str, service: &str, calls: &[&Call]) {
    let rules = rules(calls);
    let denied: u64 = calls.iter().map(|call| call.denied).sum();
    let nameless: u64 = calls.iter().filter(|call| !call.is_proven()).map(|call| call.allowed).sum();
    out.push_str("---\n");
    if denied > 0 {
        _ = writeln!(out, "# {denied} calls to {} were denied, and stay so.", plain(service));
    }
    if nameless > 0 {
        _ = writeln!(out, "# Not covered, and shut out: {nameless} calls to {} by callers that proved no identity.", plain(service));
    }
    let pathless: u64 = calls.iter().filter(|call| is_pathless(call)).map(|call| call.allowed).sum();
    if pathless > 0 {
        _ = writeln!(out, "# Not covered, and shut out: {pathless} calls to {} that name no path (OPTIONS *).", plain(service));
    }
    for (n, some) in rules.chunks(RULES).enumerate() {
        // No Service has a dot in its name, so no two of these are one.
        let mut name = format!("seen.{service}");
        if n > 0 {
            _ = write!(name, ".{}", n + 1);
            out.push_str("---\n");
        }
        policy(out, namespace, &name, service);
        some.iter().for_each(|one| rule(out, seen, namespace, one));
    }
    if rules.is_empty() {
        _ = writeln!(out, "# So nobody may call {}.", plain(service));
    }
}

fn policy(out: &mut String, namespace: &str, name: &str, service: &str) {
    _ = write!(
        out,
        "apiVersion: organza.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {{name: {}, namespace: {}}}\nspec:\n  targetRefs: [{{kind: Service, name: {}}}]\n  action: Allow\n  rules:\n",
        quoted(name),
        quoted(namespace),
        quoted(service)
    );
}

fn rule(out: &mut String, seen: &Seen<'_>, namespace: &str, rule: &Rule<'_>) {
    let all: Vec<&Call> = rule.destinations.iter().flat_map(|one| &one.calls).copied().collect();
    _ = writeln!(out, "  # {}: {}", plain(rule.source), evidence(&all));
    _ = writeln!(out, "  - sources: [{}]\n    destinations:", caller(seen.trust_domain, namespace, rule.source));
    for Destination { port, method, calls } in &rule.destinations {
        if method.is_empty() {
            _ = writeln!(out, "    - ports: [{port}] # bytes: {}", evidence(calls));
            continue;
        }
        _ = writeln!(out, "    - ports: [{port}]\n      methods: [{}]\n      paths:", quoted(method));
        for call in calls {
            let kind = if call.path.contains('{') { "Template" } else { "Exact" };
            _ = writeln!(out, "      - {{type: {kind}, value: {}}} # {}", quoted(&call.path), evidence(&[call]));
        }
    }
}

/// `1200 calls, last 2026-11-26 16:20 UTC`.
fn evidence(calls: &[&Call]) -> String {
    let (all, last) = (calls.iter().map(|call| call.allowed).sum::<u64>(), calls.iter().map(|call| call.last_seen).max().unwrap_or(0));
    format!("{all} call{}, last {}", if all == 1 { "" } else { "s" }, moment(last))
}

fn caller(trust_domain: &str, namespace: &str, source: &str) -> String {
    match SpiffeId::parse(source) {
        Ok(id) if id.trust_domain().as_str() == trust_domain => {
            let (space, account) = (id.namespace(), id.service_account());
            let space = if space == namespace { String::new() } else { format!(", namespace: {}", quoted(space)) };
            format!("{{type: ServiceAccount, serviceAccount: {{name: {}{space}}}}}", quoted(account))
        }
        _ => format!("{{type: Identity, identity: {{value: {}}}}}", quoted(source)),
    }
}

/// What closes the rest of a namespace, what nobody called included.
fn closed(out: &mut String, namespace: &str, silent: &[&str]) {
    out.push_str("---\n");
    if !silent.is_empty() {
        _ = writeln!(out, "# Nobody called {}.", plain(&silent.join(", ")));
    }
    _ = write!(
        out,
        "apiVersion: organza.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {{name: seen-nothing-else, namespace: {0}}}\nspec:\n  targetRefs: [{{kind: Namespace, name: {0}}}]\n  action: Allow\n  rules: []\n",
        quoted(namespace)
    );
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Of a comment: nothing in it ends the line.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests;
