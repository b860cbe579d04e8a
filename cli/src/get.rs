//! `organza get`: what the mesh is made of, in the manner of kubectl. What is asked for is read in `get/target.rs`, fetched in `get/answer.rs`,
//! shown as lines by `get/tables.rs` and `get/services.rs` and as documents by `get/manifest.rs`; here are the flags, the printing and `-w`.

mod answer;
mod manifest;
mod selector;
mod services;
mod tables;
mod target;

use crate::ask_flag::AskFlag;
use crate::client::Client;
use crate::failure::{Code, Failure, Outcome};
use crate::lifeline::Lifeline;
use crate::limits;
use crate::table::{self, Layout};
use answer::{Answer, Item};
use clap::{Args, ValueEnum};
use selector::Selector;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tables::Line;
use tokio::time::Instant;

const EXAMPLES: &str = "\
Examples:
  organza get proxies
  organza get routes -A
  organza get route/catalog -o yaml         as it was written, with its status
  organza get service/web route/catalog     several at once
  organza get gateways                      any kind of object by its Kubernetes name
  organza get services -l 'tier in (front, back)'
  organza get edges -w                      a line for each change, until Ctrl-C
  organza get routes -o json | jq '.items[].status.parents'

What there is:
  proxies       processes that carry traffic: what they hold, what they refused
  services      what is called by name, and each endpoint that answers: its state, and why
  routes        HTTPRoute, GRPCRoute, TLSRoute, TCPRoute, UDPRoute: splits and conditions
  edges         who calls whom, how often, how well, how it was secured
  calls         who called what in the last seven days: port, method, path, how often, when last
  consumers     who uses which API: requests, refused ones, when last; json has each day of the last month
  certificates  authorities and what they signed, with their end
  objects       all that files declare, or a kind of it: gateways, xbackends, …
  all           gateways, routes, services and proxies";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct GetArgs {
    /// KIND [NAME...], KIND,KIND or KIND/NAME...
    #[arg(value_name = "WHAT", required = true)]
    what: Vec<String>,
    /// Only this namespace
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// All namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only what has these labels: app=web, app!=web, app in (web, api), app, !app; an edge has those of the workload that is called
    #[arg(short = 'l', long, value_name = "LABELS", value_parser = Selector::parse, default_value = "", hide_default_value = true)]
    selector: Selector,
    /// Then a line for each change
    #[arg(short, long)]
    watch: bool,
    /// How it is shown; wide has more columns, json and yaml whole documents with status, name is for scripts
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Without the line of heads
    #[arg(long)]
    no_headers: bool,
    #[command(flatten)]
    ask: AskFlag,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Wide,
    Json,
    Yaml,
    Name,
}

impl Format {
    /// Whether whole documents are shown.
    fn is_document(self) -> bool {
        matches!(self, Self::Json | Self::Yaml)
    }
}

pub async fn run(args: GetArgs) -> Outcome {
    let targets = target::parse(&args.what)?;
    let named = targets.iter().any(|target| !target.names.is_empty());
    if named && args.selector != Selector::default() {
        return Err(Failure::usage("a name and -l are two ways to say which").remedy("leave one of them out"));
    }
    let client = args.ask.client().await?;
    let mut answers = Vec::new();
    for target in &targets {
        answers.push(answer::fetch(&client, target, &args).await?);
    }
    let missing = answer::missing(&answers, &args);
    // As kubectl: what is there is shown, and what is not is told.
    let layouts = show(&answers, &args, missing.is_some())?;
    if let Some(missing) = missing {
        return Err(missing);
    }
    if args.watch { watch(&client, &args, answers, layouts).await } else { Ok(()) }
}

/// Prints all; the layouts of the tables, for the lines that follow under `-w`.
fn show(answers: &[Answer], args: &GetArgs, some_missing: bool) -> Outcome<Vec<Option<Layout>>> {
    match args.output {
        // Under -w each stands for itself, as what follows does.
        Format::Json | Format::Yaml if args.watch => {
            for item in answers.iter().flat_map(|answer| &answer.items) {
                print!("{}", document(&item.document, args.output)?);
            }
        }
        Format::Json | Format::Yaml => {
            let one = answers.len() == 1 && answers[0].target.names.len() == 1 && !some_missing;
            match answers.first().and_then(|answer| answer.items.first()).filter(|_| one && answers[0].items.len() == 1) {
                Some(item) => print!("{}", document(&item.document, args.output)?),
                None => print!("{}", document(&list(answers), args.output)?),
            }
        }
        Format::Name => answers.iter().flat_map(|answer| &answer.items).for_each(|item| println!("{}", item.shown.full_name())),
        Format::Table | Format::Wide => return Ok(tables_of(answers, args, some_missing)),
    }
    Ok(answers.iter().map(|_| None).collect())
}

fn tables_of(answers: &[Answer], args: &GetArgs, some_missing: bool) -> Vec<Option<Layout>> {
    let mut shown = 0;
    let several = answers.len() > 1;
    let mut layouts = Vec::new();
    for answer in answers {
        let head = head(answer, args);
        let rows: Vec<Vec<String>> = answer.items.iter().flat_map(|item| rows(item, answer, args, several)).map(|row| row.cells).collect();
        let cut = if args.output == Format::Table { table::cut() } else { usize::MAX };
        let layout = Layout::new(&head, &rows, cut);
        if !rows.is_empty() {
            if shown > 0 {
                println!();
            }
            shown += 1;
            if !args.no_headers {
                print!("{}", layout.line(head.iter().copied()));
            }
            rows.iter().for_each(|row| print!("{}", layout.line(row.iter().map(String::as_str))));
        } else if !several && !some_missing {
            eprintln!("{}", answer::nothing(answer, args));
        }
        layouts.push(Some(layout));
    }
    if several && shown == 0 && !some_missing {
        let kinds: Vec<String> = answers.iter().map(|answer| answer.target.plural()).collect();
        eprintln!("no {} here", kinds.join(", no "));
    }
    layouts
}

fn head(answer: &Answer, args: &GetArgs) -> Vec<&'static str> {
    let mut head = tables::head(answer.target.kind, args.output == Format::Wide);
    if args.all_namespaces {
        head.insert(0, "NAMESPACE");
    }
    head
}

/// An item's lines: its own, and those below.
fn rows(item: &Item, answer: &Answer, args: &GetArgs, several: bool) -> Vec<Line> {
    let shown = &item.shown;
    let whole = |cells: &[String]| {
        let columns = tables::head(answer.target.kind, args.output == Format::Wide).len();
        let namespace = args.all_namespaces.then_some(&shown.namespace);
        namespace.into_iter().chain(cells.iter().take(columns)).cloned().collect()
    };
    // Where several kinds are shown, names say which they are of, as kubectl's do.
    let own = |cells: &[String]| {
        let mut cells = cells.to_vec();
        if several && let Some(cell) = cells.iter_mut().find(|cell| **cell == shown.name) {
            *cell = format!("{}/{}", shown.kind.split('.').next().unwrap_or_default(), shown.name);
        }
        whole(&cells)
    };
    let own = Line { key: shown.key.clone(), cells: own(&shown.cells), settled: own(&shown.settled) };
    let below = |line: &Line| Line { key: format!("{}/{}", shown.key, line.key), cells: whole(&line.cells), settled: whole(&line.settled) };
    [own].into_iter().chain(shown.below.iter().map(below)).collect()
}

/// A Kubernetes List.
fn list(answers: &[Answer]) -> Value {
    let items: Vec<&Value> = answers.iter().flat_map(|answer| answer.items.iter().map(|item| &item.document)).collect();
    let generation = answers.iter().find_map(|answer| answer.generation);
    let metadata = generation.map_or(json!({}), |generation| json!({"resourceVersion": generation.to_string()}));
    let mut list = json!({"apiVersion": "v1", "kind": "List", "metadata": metadata});
    // An authority has none.
    if let Some(generation) = generation {
        list["generation"] = json!(generation);
    }
    list["items"] = json!(items);
    list
}

fn document(value: &Value, format: Format) -> Outcome<String> {
    let failed = |what: &str, why: &dyn std::fmt::Display| Failure::problem(format!("cannot write {what}")).why(why);
    match format {
        Format::Yaml => serde_saphyr::to_string(value).map(|text| format!("---\n{}\n", text.trim_end())).map_err(|e| failed("YAML", &e)),
        _ => serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|e| failed("JSON", &e)),
    }
}

/// By answer and key: the line, and the document where documents are shown.
type Seen = BTreeMap<(usize, String), (Line, Value)>;

fn seen(answers: &[Answer], args: &GetArgs) -> Seen {
    let several = answers.len() > 1;
    let items = answers.iter().enumerate().flat_map(|(n, answer)| answer.items.iter().map(move |item| (n, answer, item)));
    // Only tables say of parts what they are.
    let most = if matches!(args.output, Format::Table | Format::Wide) { usize::MAX } else { 1 };
    let lines =
        items.flat_map(|(n, answer, item)| rows(item, answer, args, several).into_iter().take(most).map(move |line| (n, line, item)));
    lines.map(|(n, line, item)| ((n, line.key.clone()), (line, item.document.clone()))).collect()
}

/// One line, or document, for each thing that came, changed or went. A control plane that is replaced meanwhile is waited for.
async fn watch(client: &Client, args: &GetArgs, mut answers: Vec<Answer>, layouts: Vec<Option<Layout>>) -> Outcome {
    let mut lifeline = Lifeline::new(false).map_err(|error| Failure::problem("cannot listen to signals").why(error))?;
    let mut last = seen(&answers, args);
    let mut answered = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = lifeline.ended() => return Ok(()),
            () = tokio::time::sleep(limits::WATCH_EVERY) => {}
        }
        let mut next = Vec::new();
        for answer in &answers {
            match answer::fetch(client, &answer.target, args).await {
                Ok(answer) => next.push(answer),
                Err(failure) if failure.code == Code::Unreachable && answered.elapsed() < limits::WATCH_PATIENCE => break,
                Err(failure) => return Err(failure),
            }
        }
        if next.len() < answers.len() {
            continue;
        }
        answered = Instant::now();
        answers = next;
        let now = seen(&answers, args);
        for (answer, cells, whole) in news(&last, &now, args.output.is_document()) {
            told(layouts[answer].as_ref(), &cells, whole, args)?;
        }
        last = now;
    }
}

/// What is told between two looks: of which answer, the cells and the document. What only grew older is no news.
fn news<'s>(last: &'s Seen, now: &'s Seen, documents: bool) -> Vec<(usize, Vec<&'s str>, &'s Value)> {
    let cells = |line: &'s Line| line.cells.iter().map(String::as_str);
    let is_gone = |key: &(usize, String)| !documents && !now.contains_key(key);
    let is_same = |was: &(Line, Value), is: &(Line, Value)| if documents { was.1 == is.1 } else { was.0.settled == is.0.settled };
    let gone = last.iter().filter(|(key, _)| is_gone(key)).map(|(key, was)| (key.0, cells(&was.0).chain(["(gone)"]).collect(), &was.1));
    let changed = now.iter().filter(|(key, is)| last.get(*key).is_none_or(|was| !is_same(was, is)));
    gone.chain(changed.map(|(key, is)| (key.0, cells(&is.0).collect(), &is.1))).collect()
}

fn told(layout: Option<&Layout>, cells: &[&str], whole: &Value, args: &GetArgs) -> Outcome {
    match layout {
        Some(layout) => print!("{}", layout.line(cells.iter().copied())),
        None if args.output.is_document() => print!("{}", document(whole, args.output)?),
        None => println!("{}", cells.join(" ")),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
