//! A user's files as objects, for commands that answer without a mesh or before one is changed. Half an answer is none: what a running mesh would
//! refuse is told with its place.

use crate::ask_flag::AskFlag;
use crate::failure::{Failure, Outcome};
use crate::limits;
use crate::render;
use frontends::file::{Loaded, load};
use frontends::{Object, schema};
use model::ObjectRef;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Whom files are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// All that is in them is ours.
    Mesh,
    /// Others read them too.
    Cluster,
}

impl For {
    /// The mesh that is asked about them.
    pub fn asked(ask: &AskFlag) -> Self {
        if ask.cluster().is_some() { Self::Cluster } else { Self::Mesh }
    }
}

/// Objects of others, so many of each kind.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PassedOver(pub BTreeMap<String, usize>);

impl PassedOver {
    /// Takes them out.
    fn of(objects: &mut Vec<Object>) -> Self {
        let mut all = Self::default();
        for other in objects.extract_if(.., |object| is_others(&object.object)) {
            *all.0.entry(format!("{} of {}", other.object.kind, other.api_version)).or_default() += 1;
        }
        all
    }
}

fn is_others(object: &ObjectRef) -> bool {
    schema::is_others(&object.group, &object.kind)
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, kinds) = (self.0.values().sum::<usize>(), self.0.len());
        let named: Vec<String> = self.0.iter().take(limits::KINDS_NAMED).map(|(kind, count)| format!("{count} {kind}")).collect();
        let objects = if count == 1 { "object" } else { "objects" };
        write!(f, "passed over: {count} {objects} that Organza does not read: {}", named.join(", "))?;
        match kinds.saturating_sub(limits::KINDS_NAMED) {
            0 => Ok(()),
            1 => f.write_str(", and 1 more kind"),
            more => write!(f, ", and {more} more kinds"),
        }
    }
}

/// What is in the files, judged by the schemas: good objects with their defaults, and every problem of the rest; and what is not ours to judge.
pub fn judged(paths: &[PathBuf], whose: For) -> Outcome<(Loaded, PassedOver)> {
    if let Some(path) = paths.iter().find(|path| path.as_os_str() != "-" && !path.exists()) {
        return Err(Failure::usage(format!("{} is not there", path.display())).remedy("name a file or a folder with -f"));
    }
    let mut loaded = load(paths);
    let mut objects = std::mem::take(&mut loaded.objects);
    let mut passed_over = PassedOver::default();
    if whose == For::Cluster {
        passed_over = PassedOver::of(&mut objects);
        // Of what is passed over there may be two: a base and what is laid over it.
        loaded.problems.retain(|problem| &*problem.report.reason != "Duplicate" || !is_others(&problem.report.object));
    }
    let (good, mut refused) = schema::check(objects);
    for problem in refused.iter_mut().filter(|problem| whose == For::Mesh && is_others(&problem.report.object)) {
        let report = &mut problem.report;
        report
            .fix
            .get_or_insert_with(|| "for files of a cluster ask with --kubernetes or --context: what others read is passed over".into());
    }
    loaded.objects = good;
    loaded.problems.extend(refused);
    Ok((loaded, passed_over))
}

/// Objects as a mesh would take them; a failure where it would not take all.
pub fn read(paths: &[PathBuf]) -> Outcome<Loaded> {
    read_for(paths, For::Mesh).map(|(loaded, _)| loaded)
}

/// The same, of files for a cluster too, with what is not ours.
pub fn read_for(paths: &[PathBuf], whose: For) -> Outcome<(Loaded, PassedOver)> {
    let (loaded, passed_over) = judged(paths, whose)?;
    let Some(first) = loaded.problems.first() else { return Ok((loaded, passed_over)) };
    let what = match loaded.problems.len() {
        1 => "the configuration has a problem".to_owned(),
        many => format!("the configuration has {many} problems, the first of them:"),
    };
    let remedy = match whose {
        For::Mesh => "organza validate -f shows them all",
        For::Cluster => "organza validate -f shows them all, with the same --context",
    };
    Err(Failure::problem(format!("{what}\n{}", render::problem(first, &loaded.texts))).remedy(remedy))
}

#[cfg(test)]
mod tests;
