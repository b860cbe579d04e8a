//! Configuration, from text to resources: parsed, checked, translated, sent over the wire, compiled. Nothing that a user can write panics or
//! hangs, and each resource that comes of it can cross the wire unchanged.

use frontends::{Options, file, schema, translate};

pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (objects, problems) = file::parse("a.yaml", text);
    assert!(problems.iter().all(|problem| !problem.report.message.is_empty()));
    // What no schema has seen is not put in force, yet shall not take the control plane down either.
    drop(translate(&objects, &Options::default()));
    let (objects, _) = schema::check(objects);
    let translation = translate(&objects, &Options::default());
    for resource in &translation.resources {
        let read = wire::decode(&wire::encode(resource));
        assert_eq!(read.as_ref(), Ok(resource), "does not survive the wire");
        crate::xds_resource::ask(resource);
    }
    assert!(translation.reports.iter().all(|report| !report.message.is_empty()));
}
