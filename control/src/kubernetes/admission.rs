//! What an API server asks before it takes an object (AdmissionReview, `admission.k8s.io/v1`), and what it is told: pure. The judgement is that of
//! `organza validate`; what is wrong in itself is refused, what may only be early (it refers to something that is not there yet) is said as a warning, and so is
//! what our schemas find, for those of the cluster have judged. What is nobody's or another controller's is let through, and so is what ends or asks for nothing
//! new, whatever is wrong with it: it may be older than we are. It knows no connection.

use crate::limits;
use crate::world::World;
use frontends::kubernetes::slim;
use frontends::{Object, Options, judge, schema};
use model::{ObjectRef, Report};
use serde_json::{Value, json};

/// What is asked: whether an object may be written.
#[derive(Debug)]
pub struct Question {
    uid: String,
    /// `None`: nothing of it is for us to judge.
    object: Option<Object>,
    /// What it asks for stands already, so that nothing is gained by refusing it: labels and finalizers may change.
    is_unchanged: bool,
}

/// `None` where it is no question of the version that we were installed for.
pub fn read(review: &mut Value) -> Option<Question> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if review["apiVersion"] != VERSION || review["kind"] != "AdmissionReview" {
        return None;
    }
    let request = &mut review["request"];
    let uid = request["uid"].as_str()?.to_owned();
    let kind = &request["kind"];
    let (group, version, kind) = (text(&kind["group"]), text(&kind["version"]), text(&kind["kind"]));
    let (namespace, name) = (text(&request["namespace"]), text(&request["name"]));
    let mut value = request["object"].take();
    let is_unchanged = request["operation"] == "UPDATE" && request["oldObject"]["spec"] == value["spec"];
    // What is wrong with one that ends may stay: nothing but its finalizers changes.
    let is_ending = !value["metadata"]["deletionTimestamp"].is_null();
    let known = schema::kinds().iter().any(|(g, k)| *g == group && *k == kind);
    // What is deleted is no object any more.
    let object = (known && value.is_object() && !is_ending).then(|| {
        slim::slim(&group, &kind, &mut value);
        let api_version = if group.is_empty() { version } else { format!("{group}/{version}") };
        Object::new(ObjectRef::new(&group, &kind, &namespace, &name), &api_version, value)
    });
    Some(Question { uid, object, is_unchanged })
}

const VERSION: &str = "admission.k8s.io/v1";

/// What is said of an object.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Why it is refused; it is taken where that is empty.
    pub refused: Vec<String>,
    pub warnings: Vec<String>,
}

/// Judges an object as it would stand in a world.
pub fn judged(question: &Question, world: &World) -> Verdict {
    let Some(object) = &question.object else { return Verdict::default() };
    let mut there = Vec::clone(&world.objects);
    there.extend(world.registry.implicit_services(&world.objects));
    let options = Options { workloads: &world.registry.workloads() };
    let Some(errors) = judge::of_one(object, &there, &options) else { return Verdict::default() };
    let (refused, early): (Vec<_>, Vec<_>) = errors.into_iter().partition(judge::is_of_itself);
    let (_, found) = schema::check(vec![object.clone()]);
    let mut verdict = Verdict { warnings: found.iter().map(|located| told(&located.report)).collect(), ..Verdict::default() };
    verdict.warnings.extend(early.iter().map(told));
    let refused = refused.iter().map(told);
    match question.is_unchanged {
        true => verdict.warnings.extend(refused),
        false => verdict.refused = refused.collect(),
    }
    verdict.warnings.dedup();
    verdict
}

fn told(report: &Report) -> String {
    let path = report.path_text();
    let fix = report.fix.as_ref().map_or_else(String::new, |fix| format!(" {fix}"));
    if path.is_empty() { format!("{}{fix}", report.message) } else { format!("{path}: {}{fix}", report.message) }
}

/// The review that answers.
pub fn answer(question: &Question, verdict: &Verdict) -> Value {
    let mut response = json!({ "uid": question.uid, "allowed": verdict.refused.is_empty() });
    if !verdict.refused.is_empty() {
        let message = format!("organza: {}", cut(&verdict.refused.join("; "), limits::ADMISSION_MESSAGE));
        response["status"] = json!({ "code": 422, "reason": "Invalid", "message": message });
    }
    let warnings: Vec<Value> = verdict.warnings.iter().take(limits::ADMISSION_WARNINGS).map(|text| warning(text).into()).collect();
    if !warnings.is_empty() {
        response["warnings"] = warnings.into();
    }
    json!({ "apiVersion": VERSION, "kind": "AdmissionReview", "response": response })
}

/// API servers cut longer ones, and clients show them in a line.
fn warning(text: &str) -> String {
    format!("organza: {}", cut(text, limits::ADMISSION_WARNING))
}

fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests;
