//! `organza validate`: every problem of a configuration before it is used, each with its place, what is wrong and what to do. The same checks that a
//! running mesh makes: syntax, the published schemas and their rules, then translation. With `--live` also what they would do to a mesh that runs.

mod live;

use crate::ask_flag::AskFlag;
use crate::failure::{Failure, Outcome};
use crate::files::{self, For};
use crate::render;
use clap::{Args, ValueEnum};
use frontends::file::{Loaded, Located};
use frontends::{Options, schema, translate};
use live::Live;
use model::Severity;
use serde_json::json;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  organza validate -f shop/               every YAML file of a folder
  organza validate -f routes.yaml -o github   as annotations of a pull request
  kustomize build . | organza validate -f -
  organza validate -f access.yaml --live      also which calls it would cut that are made now
  organza validate -f shop/ --context prod    as if it were applied to that cluster";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ValidateArgs {
    /// A file, a folder, or - for standard input; may be given several times
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true)]
    files: Vec<PathBuf>,
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
    /// Ask the running mesh too, as if the files were applied over what it has: who is there, and which calls would be cut; that of a cluster is always asked
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    ask: AskFlag,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    Text,
    /// One JSON document
    Json,
    /// Workflow commands of GitHub Actions
    Github,
}

pub async fn run(args: ValidateArgs) -> Outcome {
    let (mut loaded, passed_over) = files::judged(&args.files, For::asked(&args.ask))?;
    let live = if args.live || args.ask.cluster().is_some() { Some(Live::ask(&args.ask).await?) } else { None };
    let (problems, unjudged) = problems(&mut loaded, live.as_ref());
    let errors = problems.iter().filter(|p| p.report.severity == Severity::Error).count();
    match args.output {
        Form::Text => problems.iter().for_each(|problem| println!("{}", render::problem(problem, &loaded.texts))),
        Form::Github => problems.iter().for_each(|problem| println!("{}", github(problem))),
        Form::Json => println!(
            "{:#}",
            json!({
                "objects": loaded.objects.len(), "errors": errors, "problems": problems.iter().map(as_json).collect::<Vec<_>>(), "not_judged": unjudged,
                "passed_over": passed_over.0,
            })
        ),
    }
    if args.output == Form::Text {
        unjudged.iter().for_each(|what| println!("not judged: {what}"));
        if !passed_over.0.is_empty() {
            println!("{passed_over}");
        }
        let warnings = problems.len() - errors;
        let counted = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        println!("{}, {}, {}", counted(loaded.objects.len(), "object"), counted(errors, "error"), counted(warnings, "warning"));
    }
    if errors > 0 { Err(Failure::silent()) } else { Ok(()) }
}

/// All that is wrong, what translation finds included, in the order of files and lines; and of what nothing could be said.
fn problems(loaded: &mut Loaded, live: Option<&Live>) -> (Vec<Located>, Vec<String>) {
    let mut problems = std::mem::take(&mut loaded.problems);
    let objects = &loaded.objects;
    let (translation, found, unjudged) = match live {
        None => (translate(objects, &Options::default()), Vec::new(), Vec::new()),
        Some(live) => {
            let translation = live.translate(objects);
            let found = live.cuts(&translation.resources).into_iter().chain(live.keyless(objects)).collect();
            let unjudged = live.unjudged(&translation.resources);
            (translation, found, unjudged)
        }
    };
    let told = translation.reports.into_iter().chain(found).filter(|report| report.severity >= Severity::Warning);
    problems.extend(told.map(|report| match objects.iter().find(|o| o.object == report.object) {
        Some(object) => schema::locate(object, report),
        None => Located { place: frontends::Place::default(), report },
    }));
    problems.sort_by(|a, b| (&a.place.file, a.place.line, a.place.column).cmp(&(&b.place.file, b.place.line, b.place.column)));
    (problems, unjudged)
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "notice",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

fn as_json(problem: &Located) -> serde_json::Value {
    let report = &problem.report;
    json!({
        "severity": word(report.severity), "file": &*problem.place.file, "line": problem.place.line, "column": problem.place.column,
        "object": report.object.to_string(), "path": report.path_text(), "reason": &*report.reason, "message": report.message, "fix": report.fix,
    })
}

/// `::error file=…,line=…::…`: its own characters in values are percent-encoded.
fn github(problem: &Located) -> String {
    let report = &problem.report;
    let text = match &report.fix {
        Some(fix) => format!("{} ({fix})", report.message),
        None => report.message.clone(),
    };
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let (file, line, column) = (property(&problem.place.file), problem.place.line.max(1), problem.place.column.max(1));
    format!(
        "::{} file={file},line={line},col={column},title={}::{}",
        word(report.severity),
        property(&report.object.to_string()),
        data(&text)
    )
}
