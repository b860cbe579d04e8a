//! Policies of access: `access shop/accesspolicy.orders Namespace Allow on service shop/orders:80`, each rule on a line, each clause below it.

use super::{backend, line, short};
use model::access::*;
use model::authorizer::{AskedBy, Asking, ExternalAuthorizer, Fields};
use model::consumer::Consumer;
use model::rate::RatePolicy;
use model::token::{KeySource, TokenIssuer};

pub fn policy(policy: &AccessPolicy, out: &mut String) {
    let tried = if policy.enforcement == Enforcement::DryRun { " DryRun" } else { "" };
    let targets: Vec<String> = policy.targets.iter().map(target).collect();
    let head = format!("access {} {} {}{tried}", short(&policy.key), policy.tier.as_str(), policy.action.as_str());
    line(out, 0, format!("{head} on {}", targets.join(", ")));
    for rule in &policy.rules {
        line(out, 1, rule.name.to_string());
        for clause in &rule.clauses {
            let groups: Vec<String> = clause.0.iter().map(group).collect();
            line(out, 2, if groups.is_empty() { "nothing".to_owned() } else { groups.join(" | ") });
        }
    }
}

pub fn settings(settings: &AccessSettings, out: &mut String) {
    let whose = if settings.key.namespace.is_empty() { "the mesh" } else { &settings.key.namespace };
    let default = settings.default_access.as_str();
    line(out, 0, format!("access of {whose} {default} egress {:?} denials {:?}", settings.egress, settings.explain_denials));
    if settings.is_ever_permissive() {
        line(out, 1, format!("mtls {:?}", settings.mtls));
        for one in &settings.mtls_of {
            let port = one.port.map(|port| format!(":{port}")).unwrap_or_default();
            line(out, 1, format!("{}{port} {:?}", short(&one.service), one.mtls));
        }
    }
}

pub fn rates(policy: &RatePolicy, out: &mut String) {
    let targets: Vec<String> = policy.targets.iter().map(target).collect();
    line(out, 0, format!("rates {} on {}", short(&policy.key), targets.join(", ")));
    for limit in &policy.limits {
        line(out, 1, format!("{}: {limit}", limit.name));
    }
}

pub fn issuer(issuer: &TokenIssuer, out: &mut String) {
    let targets: Vec<String> = issuer.targets.iter().map(target).collect();
    let need = if issuer.required { "required" } else { "optional" };
    line(out, 0, format!("issuer {} {need} on {}", short(&issuer.key), targets.join(", ")));
    let algorithms: Vec<&str> = issuer.algorithms.iter().map(|one| one.as_str()).collect();
    line(
        out,
        1,
        format!("{:?} for [{}] by {} within {:?}", issuer.issuer, issuer.audiences.join(" "), algorithms.join(" "), issuer.leeway),
    );
    line(
        out,
        1,
        match &issuer.keys {
            KeySource::None => "no keys".to_owned(),
            KeySource::Inline(set) => format!("keys {set}"),
            KeySource::Url(url) => {
                format!("keys at {:?} {} {} {}", url.host, url.port, url.path, if url.tls.is_some() { "by tls" } else { "plainly" })
            }
        },
    );
    for header in &issuer.headers {
        line(out, 1, format!("{} is {}", header.name, header.claim.join(".")));
    }
}

pub fn consumer(consumer: &Consumer, out: &mut String) {
    let targets: Vec<String> = consumer.targets.iter().map(target).collect();
    let need = if consumer.required { "required" } else { "optional" };
    let passed = if consumer.passed_on { " passed on" } else { "" };
    line(out, 0, format!("consumer {} {need}{passed} on {}", short(&consumer.key), targets.join(", ")));
    let from: Vec<String> = consumer.from.iter().map(ToString::to_string).collect();
    line(out, 1, format!("[{}] by {}", consumer.groups.join(" "), from.join(", ")));
    for hash in &consumer.keys {
        line(out, 1, format!("key {}", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>()));
    }
}

pub fn authorizer(one: &ExternalAuthorizer, out: &mut String) {
    let targets: Vec<String> = one.targets.iter().map(target).collect();
    line(out, 0, format!("authorizer {} on {}", short(&one.key), targets.join(", ")));
    line(out, 1, format!("ask {}", asking(&one.asked)));
}

pub fn asking(asking: &Asking) -> String {
    let fields = |fields: &Fields| match fields {
        Fields::All => "all".to_owned(),
        Fields::Only(names) => format!("[{}]", names.join(" ")),
    };
    let protocol = match &asking.protocol {
        AskedBy::Grpc => "grpc".to_owned(),
        AskedBy::Http { prefix, taken } => format!("http {prefix}/… taking {}", fields(taken)),
    };
    let open = if asking.fail_open { " or let through" } else { "" };
    let (told, body) = (fields(&asking.told), asking.body);
    format!("{} by {protocol} told {told} body {body} within {:?}{open}", backend(&asking.backend), asking.timeout)
}

fn target(target: &AccessTarget) -> String {
    match target {
        AccessTarget::Mesh => "mesh".to_owned(),
        AccessTarget::Namespace(name) => format!("namespace {name}"),
        AccessTarget::Workloads { namespace, labels } => {
            let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("workloads {namespace}{{{}}}", labels.join(","))
        }
        AccessTarget::Service { service, port } => {
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            format!("service {}{port}", short(service))
        }
        AccessTarget::Gateway(key) => format!("gateway {}", short(key)),
        AccessTarget::Listener(key) => format!("listener {}", short(key)),
        AccessTarget::Route(key) => format!("route {}", short(key)),
    }
}

fn group(group: &Group) -> String {
    let terms: Vec<String> = group.0.iter().map(term).collect();
    terms.join(" & ")
}

fn term(term: &Term) -> String {
    let any: Vec<String> = term.any.iter().map(ToString::to_string).collect();
    let any = if any.is_empty() { "nothing".to_owned() } else { any.join(", ") };
    if term.negated { format!("not ({any})") } else { any }
}
