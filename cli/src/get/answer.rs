//! What the control plane answers to one target of `organza get`: fetched, narrowed to what was asked for, each thing with its line and, where
//! documents are wanted, with its document. And what to say where there is nothing.

use super::tables::{self, Shown};
use super::target::{Kind, Target};
use super::{Format, GetArgs, manifest};
use crate::client::Client;
use crate::failure::{Failure, Outcome};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use wire::api::{Consumer, Object, ObjectList, Service, path};

pub struct Answer {
    pub target: Target,
    pub generation: Option<u64>,
    pub items: Vec<Item>,
    /// Namespace and name of everything of the kind, asked for or not.
    existing: Vec<(String, String)>,
}

impl Answer {
    pub fn empty(target: Target) -> Self {
        Self { target, generation: None, items: Vec::new(), existing: Vec::new() }
    }
}

pub struct Item {
    pub shown: Shown,
    /// `Null` where only lines are wanted.
    pub document: Value,
}

/// What the control plane is asked: each day of what consumers used only where it is shown.
pub fn question(kind: Kind, documents: bool) -> String {
    let days = if documents && kind == Kind::Consumers { "?days=true" } else { "" };
    format!("{}{days}", kind.path())
}

pub async fn fetch(client: &Client, target: &Target, args: &GetArgs) -> Outcome<Answer> {
    let documents = args.output.is_document();
    let mut whole: Value = client.get(&question(target.kind, documents)).await?;
    let Some(Value::Array(found)) = whole.get_mut("items").map(Value::take) else {
        return Err(Failure::problem("the control plane's answer has no items").remedy("use the same version of organza for both"));
    };
    let objects = match documents && matches!(target.kind, Kind::Routes | Kind::Services | Kind::Consumers | Kind::Objects) {
        true => manifests(client).await?,
        false => BTreeMap::new(),
    };
    let mut answer = Answer { generation: whole.get("generation").and_then(Value::as_u64), ..Answer::empty(target.clone()) };
    for item in found {
        let shown = tables::shown(target.kind, &item, args.output == Format::Wide).map_err(|error| {
            Failure::problem("an item of the control plane's answer is not understood")
                .why(error)
                .remedy("use the same version of organza for both")
        })?;
        if target.only.as_ref().is_some_and(|only| *only != shown.object_kind) {
            continue;
        }
        answer.existing.push((shown.namespace.clone(), shown.name.clone()));
        if asked_for(&shown, target, args) {
            let document = if documents { document(&shown, item, target.kind, &objects) } else { Value::Null };
            answer.items.push(Item { shown, document });
        }
    }
    answer.items.sort_by(|a, b| a.shown.order().cmp(&b.shown.order()));
    answer.existing.sort();
    answer.existing.dedup();
    Ok(answer)
}

type Manifests = BTreeMap<(String, String, String), Object>;

async fn manifests(client: &Client) -> Outcome<Manifests> {
    let objects: ObjectList = client.get(&format!("{}?manifests=true", path::OBJECTS)).await?;
    Ok(objects.items.into_iter().map(|o| ((o.kind.clone(), o.namespace.clone(), o.name.clone()), o)).collect())
}

fn asked_for(shown: &Shown, target: &Target, args: &GetArgs) -> bool {
    // What has no namespace (an authority, a GatewayClass) belongs to all.
    let here = args.all_namespaces || shown.namespace.is_empty() || shown.namespace == args.namespace;
    let named = target.names.is_empty() || target.names.iter().any(|name| shown.is_called(name));
    here && named && args.selector.matches(&shown.labels)
}

/// Objects as they were written. Edges, calls, certificates and proxies were written by nobody: they are reports, as the API gives them.
fn document(shown: &Shown, item: Value, kind: Kind, objects: &Manifests) -> Value {
    let object = objects.get(&(shown.object_kind.clone(), shown.namespace.clone(), shown.name.clone()));
    let service = (kind == Kind::Services).then(|| Service::deserialize(&item).ok()).flatten();
    let consumer = (kind == Kind::Consumers).then(|| Consumer::deserialize(&item).ok()).flatten();
    match (object, service) {
        (Some(object), service) => manifest::whole(object, service.as_ref(), consumer.as_ref()),
        (None, Some(service)) => manifest::joined(&service),
        (None, None) => {
            let mut document = json!({"metadata": {"name": shown.name, "namespace": shown.namespace, "labels": shown.labels}});
            if let (Some(fields), Value::Object(told)) = (document.as_object_mut(), item) {
                fields.extend(told);
            }
            document
        }
    }
}

/// A failure that names what was asked for and is not there, and says what is.
pub fn missing(answers: &[Answer], args: &GetArgs) -> Option<Failure> {
    let (mut told, mut why) = (Vec::new(), None);
    for answer in answers {
        for name in &answer.target.names {
            if answer.items.iter().any(|item| item.shown.is_called(name)) {
                continue;
            }
            let place = if args.all_namespaces { String::new() } else { format!(" in namespace {}", args.namespace) };
            told.push(format!("there is no {} {name:?}{place}", answer.target.singular()));
            why.get_or_insert_with(|| exists(answer, name, args));
        }
    }
    let (why, remedy) = why?;
    Some(Failure::problem(told.join("\n         ")).why(why).remedy(remedy))
}

/// Names listed where one is not found.
const LISTED: usize = 12;

fn exists(answer: &Answer, name: &str, args: &GetArgs) -> (String, String) {
    let plural = answer.target.plural();
    if let Some((namespace, _)) = answer.existing.iter().find(|(_, other)| other == name) {
        return (format!("there is one in namespace {namespace}"), format!("organza get {plural} {name} -n {namespace}"));
    }
    let here = |namespace: &str| args.all_namespaces || namespace.is_empty() || namespace == args.namespace;
    let names: Vec<&str> = answer.existing.iter().filter(|(namespace, _)| here(namespace)).map(|(_, name)| name.as_str()).collect();
    match names[..] {
        [] if answer.existing.is_empty() => (format!("there are no {plural} at all"), "organza get all -A shows what there is".into()),
        [] => (nothing(answer, args), format!("organza get {plural} -A shows those of all namespaces")),
        _ => {
            let more = if names.len() > LISTED { ", …" } else { "" };
            (format!("there are: {}{more}", names[..names.len().min(LISTED)].join(", ")), format!("organza get {plural} shows them"))
        }
    }
}

/// Why a table is empty.
pub fn nothing(answer: &Answer, args: &GetArgs) -> String {
    let plural = answer.target.plural();
    let elsewhere = answer.existing.iter().filter(|(namespace, _)| !args.all_namespaces && *namespace != args.namespace).count();
    let here = if args.all_namespaces { String::new() } else { format!(" in namespace {}", args.namespace) };
    match (args.selector == Default::default(), elsewhere) {
        (false, 0) => format!("no {plural}{here} have these labels"),
        (false, _) => format!("no {plural}{here} have these labels; -A looks in all namespaces"),
        (true, 0) => format!("no {plural}{here}"),
        (true, n) => format!("no {plural}{here}; -A shows {n} of other namespaces"),
    }
}
