//! A problem as rustc would show it: the line, a caret under the field, what is wrong, what to do.

use crate::table;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use frontends::file::Located;
use model::Severity;
use std::collections::BTreeMap;

pub fn problem(located: &Located, texts: &BTreeMap<String, String>) -> String {
    let report = &located.report;
    let level = match report.severity {
        Severity::Note => Level::NOTE,
        Severity::Warning => Level::WARNING,
        Severity::Error => Level::ERROR,
    };
    let place = &located.place;
    let about = match report.path.is_empty() || report.object.kind.is_empty() {
        true => report.object.to_string(),
        false => format!("{}: {}", report.object, report.path_text()),
    };
    let mut group = level.primary_title(report.message.as_str());
    let line = texts.get(&*place.file).and_then(|text| Some((text, text.lines().nth(place.line.checked_sub(1)? as usize)?)));
    let span = line.map(|(text, line)| {
        // Lines of one text lie in it: their difference is where the line begins.
        let start = line.as_ptr() as usize - text.as_ptr() as usize;
        let skipped: usize = line.chars().take(place.column.saturating_sub(1) as usize).map(char::len_utf8).sum();
        let rest = line.get(skipped..).unwrap_or("");
        let word = rest.find([':', ' ', ',', '}', ']']).unwrap_or(rest.len()).max(1).min(rest.len());
        (text, start + skipped..start + skipped + word)
    });
    let group = match span {
        Some((text, span)) => {
            let snippet = Snippet::source(text.as_str())
                .path(&*place.file)
                .annotation(AnnotationKind::Primary.span(span).label(about.trim().to_owned()));
            group.element(snippet)
        }
        None => {
            group = group.id(place.file.to_string());
            group.element(Level::NOTE.message(if about.trim().is_empty() { place.file.to_string() } else { about }))
        }
    };
    let group = match &report.fix {
        Some(fix) => group.element(Level::HELP.message(fix.as_str())),
        None => group,
    };
    let renderer = if table::colour() { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}
