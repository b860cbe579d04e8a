//! What the published schemas say of an object: defaults put in, structure checked, unknown fields refused, list keys unique, CEL rules held. The
//! schemas are the CRDs' own (`third_party/gateway-api`, and `crd` for our kinds); those of the few core kinds are ours. Compiled when first used, then kept.

mod core;
mod structure;

use crate::file::Located;
use crate::{Object, gateway_api, organza};
use jsonschema::Validator;
use kube_cel::{CompiledSchema, apply_defaults, compile_schema};
use model::report::Step;
use model::{Report, Severity};
use serde_json::Value;
use std::collections::HashMap;
use std::num::NonZero;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// CRDs of the experimental channel, which holds the standard one's fields.
const CRDS: &[&str] = &[
    include_str!("../../../third_party/gateway-api/crd/gateway.networking.k8s.io_backendtlspolicies.yaml"),
    include_str!("../../../third_party/gateway-api/crd/gateway.networking.k8s.io_gatewayclasses.yaml"),
    include_str!("../../../third_party/gateway-api/crd/gateway.networking.k8s.io_gateways.yaml"),
    include_str!("../../../third_party/gateway-api/crd/gateway.networking.k8s.io_grpcroutes.yaml"),
    include_str!("../../../third_party/gateway-api/crd/gateway.networking.k8s.io_httproutes.yaml"),
    include_str!("../../../third_party/gateway-api/crd/gateway.networking.k8s.io_listenersets.yaml"),
    include_str!("../../../third_party/gateway-api/crd/gateway.networking.k8s.io_referencegrants.yaml"),
    include_str!("../../../third_party/gateway-api/crd/gateway.networking.k8s.io_tcproutes.yaml"),
    include_str!("../../../third_party/gateway-api/crd/gateway.networking.k8s.io_tlsroutes.yaml"),
    include_str!("../../../third_party/gateway-api/crd/gateway.networking.k8s.io_udproutes.yaml"),
    include_str!("../../../third_party/gateway-api/crd/gateway.networking.x-k8s.io_xbackends.yaml"),
    include_str!("../../../third_party/gateway-api/crd/gateway.networking.x-k8s.io_xbackendtrafficpolicies.yaml"),
    include_str!("../../../third_party/gateway-api/crd/gateway.networking.x-k8s.io_xmeshes.yaml"),
    include_str!("../../../third_party/gateway-api/crd-v1.7/gateway.networking.x-k8s.io_xtelemetrypolicies.yaml"),
    include_str!("../../../deploy/crds/organza.dev_accesspolicies.yaml"),
    include_str!("../../../deploy/crds/organza.dev_backendtrafficpolicies.yaml"),
    include_str!("../../../deploy/crds/organza.dev_clusteraccesspolicies.yaml"),
    include_str!("../../../deploy/crds/organza.dev_consumers.yaml"),
    include_str!("../../../deploy/crds/organza.dev_externalauthorizers.yaml"),
    include_str!("../../../deploy/crds/organza.dev_gatewayparameters.yaml"),
    include_str!("../../../deploy/crds/organza.dev_meshconfigs.yaml"),
    include_str!("../../../deploy/crds/organza.dev_ratelimitpolicies.yaml"),
    include_str!("../../../deploy/crds/organza.dev_tokenissuers.yaml"),
    include_str!("../../../deploy/crds/organza.dev_telemetrypolicies.yaml"),
];

/// Those of v1.7 that take what v1.6 refuses. An object that the earlier release takes is read as that release has it.
const LATER: &[&str] = &[
    include_str!("../../../third_party/gateway-api/crd-v1.7/gateway.networking.k8s.io_gateways.yaml"),
    include_str!("../../../third_party/gateway-api/crd-v1.7/gateway.networking.k8s.io_grpcroutes.yaml"),
    include_str!("../../../third_party/gateway-api/crd-v1.7/gateway.networking.k8s.io_httproutes.yaml"),
    include_str!("../../../third_party/gateway-api/crd-v1.7/gateway.networking.k8s.io_listenersets.yaml"),
    include_str!("../../../third_party/gateway-api/crd-v1.7/gateway.networking.x-k8s.io_xbackends.yaml"),
    include_str!("../../../third_party/gateway-api/crd-v1.7/gateway.networking.x-k8s.io_xbackendtrafficpolicies.yaml"),
];

/// One kind in one version of one release.
pub struct Schema {
    pub(crate) open_api: Value,
    structure: Validator,
    rules: CompiledSchema,
}

/// What is known of a CRD before anyone needs its schema: enough to find it.
struct Head {
    name: String,
    group: String,
    kind: String,
    text: &'static str,
}

/// Objects that one thread judges at least: fewer are judged sooner than a thread is started.
const SHARE: usize = 64;

static HEADS: LazyLock<Vec<Head>> = LazyLock::new(|| CRDS.iter().filter_map(|text| head(text)).collect());
/// By apiVersion and kind, the earlier release first; nothing where there is no such schema.
type Compiled = HashMap<(String, String), Arc<[Schema]>>;

static LATER_HEADS: LazyLock<Vec<Head>> = LazyLock::new(|| LATER.iter().filter_map(|text| head(text)).collect());

static COMPILED: LazyLock<Mutex<Compiled>> = LazyLock::new(Mutex::default);

/// Reads group and kind off the text, for parsing a whole CRD takes longer than most folders do.
fn head(text: &'static str) -> Option<Head> {
    let after = |mark: &str| text.lines().find_map(|line| line.strip_prefix(mark)).map(|rest| rest.trim().to_owned());
    Some(Head { name: after("  name: ")?, group: after("  group: ")?, kind: after("    kind: ")?, text })
}

/// Every kind that is understood, as `group/kind`; the core group is empty.
pub fn kinds() -> Vec<(String, String)> {
    let mut all: Vec<_> = HEADS.iter().map(|h| (h.group.clone(), h.kind.clone())).collect();
    all.extend(
        core::KINDS.iter().map(|(api_version, kind)| {
            (api_version.split_once('/').map_or(String::new(), |(group, _)| group.to_owned()), (*kind).to_owned())
        }),
    );
    all
}

/// The name of the CRD by which an API server has a kind (`httproutes.gateway.networking.k8s.io`); `None` for Kubernetes' own kinds, which need none.
pub fn definition(group: &str, kind: &str) -> Option<&'static str> {
    HEADS.iter().find(|head| head.group == group && head.kind == kind).map(|head| head.name.as_str())
}

/// Groups of which every kind is known here. Of Kubernetes' own a few are, and the rest is others'.
const WHOLE: &[&str] = &[gateway_api::GROUP, gateway_api::external::GROUP, organza::GROUP];

/// By how many letters a group may differ from one of [`WHOLE`] and be meant for it, where it has a kind of that one.
const NEAR: usize = 3;

/// Whether it is of a kind that others read, as they stand among ours where files are a cluster's. What most likely was to be one of ours is none.
pub fn is_others(group: &str, kind: &str) -> bool {
    let is_meant = || closest(kind, kinds().iter().filter(|(of, _)| of == group).map(|(_, kind)| kind.as_str())).is_some();
    let is_near = || WHOLE.iter().any(|of| definition(of, kind).is_some() && edit_distance(group, of) <= NEAR);
    !WHOLE.contains(&group) && !is_meant() && !is_near()
}

/// The CRDs of our own kinds, as YAML.
pub fn own_crds() -> impl Iterator<Item = &'static str> {
    HEADS.iter().filter(|head| head.group == crate::organza::GROUP).map(|head| head.text)
}

fn find(api_version: &str, kind: &str) -> Arc<[Schema]> {
    let place = (api_version.to_owned(), kind.to_owned());
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    compiled.entry(place).or_insert_with(|| load(api_version, kind).into()).clone()
}

fn load(api_version: &str, kind: &str) -> Vec<Schema> {
    if let Some(schema) = core::schema(api_version, kind) {
        return compile(schema).into_iter().collect();
    }
    let Some((group, version)) = api_version.split_once('/') else { return Vec::new() };
    let heads = HEADS.iter().chain(LATER_HEADS.iter()).filter(|h| h.group == group && h.kind == kind);
    heads.filter_map(|head| compile(of_version(head.text, version)?)).collect()
}

fn of_version(crd: &str, version: &str) -> Option<Value> {
    let crd: Value = serde_saphyr::from_str(crd).ok()?;
    let versions = crd.pointer("/spec/versions")?.as_array()?;
    let version = versions.iter().find(|v| v.get("name").and_then(Value::as_str) == Some(version))?;
    version.pointer("/schema/openAPIV3Schema").cloned()
}

fn compile(open_api: Value) -> Option<Schema> {
    let structure = jsonschema::validator_for(&structure::json_schema(&open_api)).ok()?;
    let rules = compile_schema(&open_api);
    Some(Schema { open_api, structure, rules })
}

/// Checks objects and puts defaults in; those that are refused are left out and told.
pub fn check(objects: Vec<Object>) -> (Vec<Object>, Vec<Located>) {
    check_again(objects, &[])
}

/// The same where some were found good `before`: what is still written as it was is not judged again.
pub fn check_again(mut objects: Vec<Object>, before: &[Object]) -> (Vec<Object>, Vec<Located>) {
    let known: HashMap<_, &Object> = before.iter().filter(|old| old.written != 0).map(|old| ((&old.object, old.written), old)).collect();
    let judge = |object: &mut Object| match known.get(&(&object.object, object.written)) {
        Some(old) => {
            object.value = old.value.clone();
            Vec::new()
        }
        None => check_one(object),
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let share = objects.len().div_ceil(threads).max(SHARE);
    let found: Vec<Vec<Located>> = if objects.len() <= share {
        objects.iter_mut().map(judge).collect()
    } else {
        std::thread::scope(|scope| {
            let start = |part| scope.spawn(|| Vec::from_iter(<[Object]>::iter_mut(part).map(judge)));
            let started: Vec<_> = objects.chunks_mut(share).map(start).collect();
            started.into_iter().flat_map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        })
    };
    let mut taken = found.iter().map(Vec::is_empty).collect::<Vec<_>>();
    for (i, object) in objects.iter_mut().enumerate().filter(|(i, _)| !found[*i].is_empty()) {
        let was_good = || before.iter().any(|old| old.object == object.object);
        // Without it more would be let in than was written.
        let closed = found[i].first().and_then(|why| crate::organza::access::held_closed(object, &why.report));
        if let Some(closed) = closed.filter(|_| !was_good()) {
            *object = closed;
            taken[i] = true;
        }
    }
    let mut taken = taken.into_iter();
    objects.retain(|_| taken.next() == Some(true));
    (objects, found.into_iter().flatten().collect())
}

/// What one release makes of an object.
struct Judged {
    /// With its defaults.
    value: Arc<Value>,
    /// Fields that it does not know.
    unknown: usize,
    reports: Vec<Report>,
}

/// The earliest release that takes an object decides what it means. Where none does, that one is heard which knows most of its fields.
fn check_one(object: &mut Object) -> Vec<Located> {
    let written = object.value.clone();
    let mut nearest: Option<Judged> = None;
    for schema in find(&object.api_version, &object.object.kind).iter() {
        object.value = written.clone();
        let judged = judge(schema, object);
        if judged.reports.is_empty() {
            return Vec::new();
        }
        let far = |judged: &Judged| (judged.unknown, judged.reports.len());
        if nearest.as_ref().is_none_or(|nearest| far(&judged) < far(nearest)) {
            nearest = Some(judged);
        }
    }
    let Some(Judged { value, reports, .. }) = nearest else { return vec![unknown_kind(object)] };
    object.value = value;
    reports.into_iter().map(|report| locate(object, report)).collect()
}

fn judge(schema: &Schema, object: &mut Object) -> Judged {
    let mut reports = structure::unknown_fields(&schema.open_api, object);
    let unknown = reports.len();
    // As the API server does it: defaults first, then what is then there is judged.
    object.value = Arc::new(apply_defaults(&schema.open_api, &object.value));
    reports.extend(structure::violations(&schema.structure, object));
    if reports.is_empty() {
        reports.extend(structure::repeated_keys(&schema.open_api, object));
        reports.extend(broken_rules(&schema.rules, object));
    }
    Judged { value: object.value.clone(), unknown, reports }
}

/// CEL rules of the CRD (`x-kubernetes-validations`). Rules over time (`oldSelf`) say nothing of a file.
fn broken_rules(rules: &CompiledSchema, object: &Object) -> Vec<Report> {
    let Err(errors) = kube_cel::Validator::new().validate_compiled(rules, &object.value, None) else { return Vec::new() };
    errors.into_vec().into_iter().map(|error| problem(object, steps(&error.field_path), "Invalid", error.message)).collect()
}

/// The field itself, or the nearest one above it that stands in the file: what was put in by default has no place.
pub fn locate(object: &Object, report: Report) -> Located {
    let mut path = report.path_text();
    let place = loop {
        if let Some(place) = object.spans.get(&path) {
            break place.clone();
        }
        match path.rfind(['.', '[']) {
            Some(at) => path.truncate(at),
            None => break object.place.clone(),
        }
    };
    Located { place, report }
}

pub(crate) fn problem(object: &Object, path: Vec<Step>, reason: &str, message: String) -> Report {
    Report { severity: Severity::Error, object: object.object.clone(), path, reason: reason.into(), message, fix: None }
}

/// `spec.rules[0].name` (or `/spec/rules/0/name`) as steps.
pub(crate) fn steps(path: &str) -> Vec<Step> {
    let step = |text: &str| text.parse().map_or_else(|_| Step::Field(text.into()), Step::Index);
    path.split(['.', '[', ']', '/']).filter(|text| !text.is_empty()).map(step).collect()
}

fn unknown_kind(object: &Object) -> Located {
    let (group, kind) = (&*object.object.group, &*object.object.kind);
    let known = kinds();
    let same_kind = known.iter().any(|(g, k)| g == group && k == kind);
    let message = match same_kind {
        true => format!("{kind} has no version {:?} here", object.api_version),
        false => format!("kind {kind} of apiVersion {} is not known", object.api_version),
    };
    let near = closest(kind, known.iter().map(|(_, k)| k.as_str()));
    let fix = near.filter(|_| !same_kind).and_then(|near| {
        let (group, _) = known.iter().find(|(_, k)| k == near)?;
        let group = if group.is_empty() { "the core group (v1)".to_owned() } else { format!("group {group}") };
        Some(if near == kind { format!("{kind} is of {group}") } else { format!("did you mean {near}, of {group}?") })
    });
    let path = vec![Step::Field(if same_kind { "apiVersion".into() } else { "kind".into() })];
    let report = Report { fix, ..problem(object, path, "UnknownKind", message) };
    locate(object, report)
}

/// The known word that was most likely meant.
pub(crate) fn closest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let lower = word.to_ascii_lowercase();
    let distance = |other: &str| edit_distance(&lower, &other.to_ascii_lowercase());
    let nearest = known.map(|other| (distance(other), other)).min_by_key(|(d, _)| *d);
    nearest.filter(|(d, _)| *d <= 1 + word.len() / 4).map(|(_, other)| other)
}

/// Levenshtein's, on bytes; words are short.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
