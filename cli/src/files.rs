//! A user's files as objects, for commands that answer without a mesh or before one is changed. Half an answer is none: what a running mesh would
//! refuse is told with its place.

use crate::failure::{Failure, Outcome};
use crate::render;
use frontends::file::{Loaded, load};
use std::path::PathBuf;

/// What is in the files, judged by the schemas: good objects with their defaults, and every problem of the rest.
pub fn judged(paths: &[PathBuf]) -> Outcome<Loaded> {
    if let Some(path) = paths.iter().find(|path| path.as_os_str() != "-" && !path.exists()) {
        return Err(Failure::usage(format!("{} is not there", path.display())).remedy("name a file or a folder with -f"));
    }
    let mut loaded = load(paths);
    let (good, refused) = frontends::schema::check(std::mem::take(&mut loaded.objects));
    loaded.objects = good;
    loaded.problems.extend(refused);
    Ok(loaded)
}

/// Objects as a mesh would take them; a failure where it would not take all.
pub fn read(paths: &[PathBuf]) -> Outcome<Loaded> {
    let loaded = judged(paths)?;
    let Some(first) = loaded.problems.first() else { return Ok(loaded) };
    let what = match loaded.problems.len() {
        1 => "the configuration has a problem".to_owned(),
        many => format!("the configuration has {many} problems, the first of them:"),
    };
    Err(Failure::problem(format!("{what}\n{}", render::problem(first, &loaded.texts))).remedy("organza validate -f shows them all"))
}
