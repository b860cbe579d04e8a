//! The rules of a policy, as the model has them. Each list is a clause or a term, whose members are any of them. A member that cannot be read is told.
//! A list of alternatives is then what the others say, for a rule that denies one thing or another denies the one without the other; where nothing of it can be
//! read, and in a list of what is none of a rule's business, such a member may hold or not.

use crate::Object;
use crate::kubernetes::text;
use crate::wrong::{Within, Wrong};
use model::access::{AccessMatch, AccessPath, AccessRule, Clause, Group, IdentityMatch, PathTemplate, Term, TextMatch};
use model::report::Step;
use model::{Cidr, HostPattern, Method, Report, Severity, SpiffeId, TrustDomain};
use serde_json::Value;

type Read<T = AccessMatch> = fn(&Value, &str) -> Result<T, Wrong>;

/// Lists of a destination, what is none of which first.
const LISTS: [(&str, &str, Read); 5] = [
    ("notPorts", "ports", port),
    ("notHosts", "hosts", host),
    ("notMethods", "methods", method),
    ("notPaths", "paths", path),
    ("notHeaders", "headers", header),
];

pub fn rules(object: &Object, told: &mut Vec<Report>) -> Vec<AccessRule> {
    let mut reader = Reader { object, told };
    object.list("/spec/rules").iter().enumerate().map(|(i, rule)| reader.rule(rule, i)).collect()
}

struct Reader<'r> {
    object: &'r Object,
    told: &'r mut Vec<Report>,
}

impl Reader<'_> {
    fn rule(&mut self, rule: &Value, at: usize) -> AccessRule {
        let name = text(rule, "name").map_or_else(|| format!("rule-{at}").into(), Into::into);
        let path = |field: &str| vec![Step::Field("spec".into()), Step::Field("rules".into()), Step::Index(at), Step::Field(field.into())];
        let mut clauses = Vec::new();
        if let Some(any) = self.list(rule, "sources", &path(""), source) {
            self.note_empty(rule, "sources", path("sources"), "nobody");
            clauses.push(Clause(readable(any, unknown_source).into_iter().map(Group).collect()));
        }
        if let Some(none) = self.list(rule, "notSources", &path(""), source) {
            self.note_empty(rule, "notSources", path("notSources"), "nobody, so that it keeps nobody out");
            clauses.extend(none_of(each(none, unknown_source)));
        }
        match rule.get("destinations") {
            None | Some(Value::Null) => {}
            Some(Value::Array(all)) => {
                self.note_empty(rule, "destinations", path("destinations"), "nothing");
                let group = |(i, one): (usize, &Value)| {
                    let mut path = path("destinations");
                    path.push(Step::Index(i));
                    self.destination(one, &path).map(Group)
                };
                clauses.push(Clause(readable(all.iter().enumerate().map(group).collect(), || Group(unknown_source()))));
            }
            Some(odd) => {
                self.tell(Wrong::new("Invalid", format!("{odd} is no list.")), &path("destinations"));
                clauses.push(unknown());
            }
        }
        AccessRule { name, clauses }
    }

    fn destination(&mut self, value: &Value, path: &[Step]) -> Option<Vec<Term>> {
        let mut terms = Vec::new();
        if !value.is_object() {
            self.tell(Wrong::new("Invalid", format!("{value} is no destination.")), path);
            return None;
        }
        for (none_of, any_of, read) in LISTS {
            let below = |field: &str| [path, &[Step::Field(field.into())]].concat();
            if let Some(any) = self.list(value, any_of, &below(""), read) {
                self.note_empty(value, any_of, below(any_of), "nothing");
                terms.push(Term::is(readable(any, || AccessMatch::Unknown)));
            }
            if let Some(none) = self.list(value, none_of, &below(""), read) {
                terms.push(Term::is_not(each(none, || AccessMatch::Unknown)));
            }
        }
        Some(terms)
    }

    /// The members of a list, where it is there; `None` for each that cannot be read. The last step of `path` is replaced by the list's own.
    fn list<T>(&mut self, value: &Value, field: &str, path: &[Step], read: Read<T>) -> Option<Vec<Option<T>>> {
        let mut path = path[..path.len() - 1].to_vec();
        path.push(Step::Field(field.into()));
        match value.get(field) {
            None | Some(Value::Null) => None,
            Some(Value::Array(all)) => {
                let namespace = &self.object.object.namespace;
                let members = all.iter().map(|one| read(one, namespace)).collect::<Vec<_>>();
                let told = members.into_iter().enumerate().map(|(i, read)| read.map_err(|wrong| self.tell(wrong.item(i), &path)).ok());
                Some(told.collect())
            }
            Some(odd) => {
                self.tell(Wrong::new("Invalid", format!("{odd} is no list.")), &path);
                Some(vec![None])
            }
        }
    }

    fn note_empty(&mut self, value: &Value, field: &str, path: Vec<Step>, what: &str) {
        if value.get(field).and_then(Value::as_array).is_some_and(Vec::is_empty) {
            let message = format!("An empty list is {what}; {field} that is left out is anything.");
            let wrong = Wrong::new("EmptyList", message).fix(format!("Remove {field}, or write who or what is meant."));
            self.told.push(Report { severity: Severity::Warning, path, ..wrong.report(&self.object.object) });
        }
    }

    fn tell(&mut self, wrong: Wrong, path: &[Step]) {
        let report = wrong.report(&self.object.object);
        self.told.push(Report { path: [path, &report.path[..]].concat(), ..report });
    }
}

/// Of alternatives those that can be read; where none can, one that may hold or not.
fn readable<T>(members: Vec<Option<T>>, unknown: fn() -> T) -> Vec<T> {
    let is_empty = members.is_empty();
    let read: Vec<T> = members.into_iter().flatten().collect();
    if read.is_empty() && !is_empty { vec![unknown()] } else { read }
}

/// Each member; one that cannot be read may hold or not.
fn each<T>(members: Vec<Option<T>>, unknown: fn() -> T) -> Vec<T> {
    members.into_iter().map(|member| member.unwrap_or_else(unknown)).collect()
}

fn unknown_source() -> Vec<Term> {
    vec![Term::is(vec![AccessMatch::Unknown])]
}

/// Of what is one thing none, and of what is several things at once never all.
fn none_of(sources: Vec<Vec<Term>>) -> Vec<Clause> {
    let (single, several): (Vec<_>, Vec<_>) = sources.into_iter().partition(|terms| terms.len() == 1);
    let none = Group(vec![Term::is_not(single.into_iter().flatten().flat_map(|term| term.any).collect())]);
    let not_all = |terms: Vec<Term>| Clause(terms.into_iter().map(|term| Group(vec![Term::is_not(term.any)])).collect());
    let mut clauses = vec![Clause(vec![none])];
    clauses.extend(several.into_iter().map(not_all));
    clauses
}

fn unknown() -> Clause {
    Clause(vec![Group(vec![Term::is(vec![AccessMatch::Unknown])])])
}

fn wrong(message: impl Into<String>) -> Wrong {
    Wrong::new("Invalid", message)
}

fn word<'v>(value: &'v Value, field: &str) -> Result<&'v str, Wrong> {
    text(value, field).ok_or_else(|| wrong(format!("{field} is missing.")))
}

/// A source; service accounts are of the policy's namespace where none is named.
fn source(value: &Value, namespace: &str) -> Result<Vec<Term>, Wrong> {
    match text(value, "type") {
        Some("JWT") => token(value.get("jwt").unwrap_or(&Value::Null)).at("jwt"),
        _ => one_source(value, namespace).map(|one| vec![Term::is(vec![one])]),
    }
}

/// What a token must say, all of it; the issuer always.
fn token(value: &Value) -> Result<Vec<Term>, Wrong> {
    let mut terms = vec![Term::is(vec![AccessMatch::Issuer(TextMatch::Exact(word(value, "issuer")?.into()))])];
    let texts = |value: &Value, field: &str| match value.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(all)) if !all.is_empty() && all.iter().all(Value::is_string) => {
            Ok(Some(all.iter().filter_map(Value::as_str).map(|text| TextMatch::Exact(text.into())).collect::<Vec<_>>()))
        }
        Some(odd) => Err(wrong(format!("{odd} is no list of texts.")).at(field)),
    };
    if let Some(all) = texts(value, "audiences")? {
        terms.push(Term::is(all.into_iter().map(AccessMatch::Audience).collect()));
    }
    if let Some(all) = texts(value, "subjects")? {
        terms.push(Term::is(all.into_iter().map(AccessMatch::Subject).collect()));
    }
    let claims = match value.get("claims") {
        None | Some(Value::Null) => &[][..],
        Some(Value::Array(all)) => all,
        Some(odd) => return Err(wrong(format!("{odd} is no list.")).at("claims")),
    };
    for (i, claim) in claims.iter().enumerate() {
        let read = || {
            let path: Vec<std::sync::Arc<str>> = word(claim, "name")?.split('.').map(Into::into).collect();
            let values = texts(claim, "values")?.unwrap_or_else(|| vec![TextMatch::Present]);
            Ok(Term::is(values.into_iter().map(|value| AccessMatch::Claim { path: path.clone(), value }).collect()))
        };
        terms.push(read().item(i).at("claims")?);
    }
    Ok(terms)
}

fn one_source(value: &Value, namespace: &str) -> Result<AccessMatch, Wrong> {
    let kind = text(value, "type").unwrap_or("");
    let part = |field: &str| value.get(field).cloned().unwrap_or(Value::Null);
    match kind {
        "ServiceAccount" => {
            let account = part("serviceAccount");
            let namespace = text(&account, "namespace").or(Some(namespace).filter(|own| !own.is_empty()));
            let namespace =
                namespace.ok_or_else(|| wrong("A service account of what namespace?").fix("Write its namespace.").at("serviceAccount"))?;
            Ok(AccessMatch::ServiceAccount { namespace: namespace.into(), name: word(&account, "name").at("serviceAccount")?.into() })
        }
        "Identity" => {
            let identity = part("identity");
            let value = word(&identity, "value").at("identity")?;
            if text(&identity, "type") == Some("Prefix") {
                return Ok(AccessMatch::Identity(IdentityMatch::Prefix(value.into())));
            }
            let read = SpiffeId::parse(value).map_err(|e| wrong(format!("{value:?} {e}.")).at("value").at("identity"));
            read.map(|id| AccessMatch::Identity(IdentityMatch::Exact(id)))
        }
        "Namespace" => Ok(AccessMatch::Namespace(TextMatch::Exact(word(&part("namespace"), "name").at("namespace")?.into()))),
        "TrustDomain" => {
            let domain = part("trustDomain");
            let read = TrustDomain::parse(word(&domain, "name").at("trustDomain")?);
            read.map(AccessMatch::TrustDomain).map_err(|e| wrong(format!("{e}.")).at("name").at("trustDomain"))
        }
        "Consumer" => {
            let consumer = part("consumer");
            let namespace = text(&consumer, "namespace").or(Some(namespace).filter(|own| !own.is_empty()));
            let namespace = namespace.ok_or_else(|| wrong("A consumer of what namespace?").fix("Write its namespace.").at("consumer"))?;
            match (text(&consumer, "name"), text(&consumer, "group")) {
                (Some(name), None) => Ok(AccessMatch::Consumer(TextMatch::Exact(format!("{namespace}/{name}").into()))),
                (None, Some(group)) => Ok(AccessMatch::ConsumerGroup(TextMatch::Exact(format!("{namespace}/{group}").into()))),
                _ => Err(wrong("A consumer has either a name or a group here.").fix("Set one of name and group.").at("consumer")),
            }
        }
        "IPBlock" => {
            let block = part("ipBlock");
            let text = word(&block, "cidr").at("ipBlock")?;
            let of = match (block.get("address"), crate::kubernetes::text(&block, "address")) {
                (None | Some(Value::Null), _) | (_, Some("Peer")) => AccessMatch::PeerAddress,
                (_, Some("Client")) => AccessMatch::ClientAddress,
                (Some(odd), _) => {
                    return Err(wrong(format!("{odd} is nobody's address.")).fix("Use Peer or Client.").at("address").at("ipBlock"));
                }
            };
            Cidr::parse(text).map(of).ok_or_else(|| {
                wrong(format!("{text:?} is no address and no block of addresses."))
                    .fix("Write 10.0.0.0/8, or an address.")
                    .at("cidr")
                    .at("ipBlock")
            })
        }
        _ => Err(wrong(format!("{kind:?} is no kind of source.")).at("type")),
    }
}

fn port(value: &Value, _: &str) -> Result<AccessMatch, Wrong> {
    let number = value.as_u64().and_then(|number| u16::try_from(number).ok()).filter(|number| *number != 0);
    number.map(AccessMatch::Port).ok_or_else(|| wrong(format!("{value} is no port.")))
}

fn host(value: &Value, _: &str) -> Result<AccessMatch, Wrong> {
    let text = value.as_str().unwrap_or("");
    HostPattern::parse(text).map(AccessMatch::Host).map_err(|e| wrong(format!("Host {text:?} {e}.")))
}

fn method(value: &Value, _: &str) -> Result<AccessMatch, Wrong> {
    let text = value.as_str().unwrap_or("");
    Method::parse(text).map(AccessMatch::Method).ok_or_else(|| wrong(format!("{value} is no method.")))
}

fn path(value: &Value, _: &str) -> Result<AccessMatch, Wrong> {
    let wanted = word(value, "value")?;
    let path = match text(value, "type") {
        Some("Exact") => AccessPath::Exact(wanted.into()),
        None | Some("Prefix") => AccessPath::segments(wanted),
        Some("Suffix") => AccessPath::Suffix(wanted.into()),
        Some("Template") => AccessPath::Template(PathTemplate::parse(wanted).map_err(|e| wrong(format!("The template {e}.")).at("value"))?),
        Some(other) => return Err(wrong(format!("{other:?} is no way to match a path.")).at("type")),
    };
    Ok(AccessMatch::Path(path))
}

fn header(value: &Value, _: &str) -> Result<AccessMatch, Wrong> {
    let name = word(value, "name")?.to_ascii_lowercase();
    if name.is_empty() || !name.bytes().all(model::http::is_token_byte) {
        return Err(wrong(format!("{name:?} is no name of a header.")).at("name"));
    }
    let wanted = || word(value, "value").map(Into::into);
    let value = match text(value, "type") {
        None | Some("Exact") => TextMatch::Exact(wanted()?),
        Some("Prefix") => TextMatch::Prefix(wanted()?),
        Some("Suffix") => TextMatch::Suffix(wanted()?),
        Some("Present") => TextMatch::Present,
        Some(other) => return Err(wrong(format!("{other:?} is no way to match a header.")).at("type")),
    };
    Ok(AccessMatch::Header { name: name.into(), value })
}
