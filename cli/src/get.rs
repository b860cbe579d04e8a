//! `organza get KIND [NAME]`: what the mesh is made of, with kubectl's flags. The tables are in `get/table.rs`; `-o json` is the API's own
//! answer.

mod tables;

use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::lifeline::Lifeline;
use crate::mesh_flag::MeshFlag;
use crate::table;
use clap::{Args, ValueEnum};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tables::Shown;
use wire::api::path;

const EXAMPLES: &str = "\
Examples:
  organza get proxies
  organza get routes catalog -o json
  organza get edges -w
  organza get objects -A -l app=web";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct GetArgs {
    #[arg(value_enum)]
    kind: Kind,
    /// Only the one of that name
    name: Option<String>,
    /// Only this namespace
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// All namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only what has these labels, KEY=VALUE[,KEY=VALUE]: `app` (the service) and `version`
    #[arg(short = 'l', long, value_name = "LABELS", value_parser = selector, default_value = "")]
    selector: Selector,
    /// Again each time it has changed
    #[arg(short, long)]
    watch: bool,
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    mesh: MeshFlag,
}

pub type Selector = BTreeMap<String, String>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    #[value(alias = "proxy")]
    Proxies,
    #[value(aliases = ["service", "svc"])]
    Services,
    #[value(aliases = ["route", "httproutes", "httproute", "grpcroutes", "grpcroute"])]
    Routes,
    #[value(alias = "edge")]
    Edges,
    #[value(aliases = ["certificate", "certs"])]
    Certificates,
    #[value(aliases = ["object", "gateways", "gateway"])]
    Objects,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Table,
    Wide,
    Json,
    Name,
}

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Self::Proxies => path::PROXIES,
            Self::Services => path::SERVICES,
            Self::Routes => path::ROUTES,
            Self::Edges => path::EDGES,
            Self::Certificates => path::CERTIFICATES,
            Self::Objects => path::OBJECTS,
        }
    }
}

/// How often `-w` looks.
const WATCH_EVERY: Duration = Duration::from_secs(1);

pub async fn run(args: GetArgs) -> Outcome {
    let client = Client::control(&args.mesh.place()?);
    let first = fetch(&client, &args).await?;
    if let (Some(name), true) = (&args.name, first.is_empty()) {
        return Err(Failure::problem(format!("no {} is called {name:?}", args.kind.path().trim_start_matches("/v1/")))
            .remedy("leave the name out to see all; -A shows all namespaces"));
    }
    let mut shown = render(&first, &args)?;
    print!("{shown}");
    if !args.watch {
        return Ok(());
    }
    let mut lifeline = Lifeline::new(false).map_err(|error| Failure::problem("cannot listen to signals").why(error))?;
    loop {
        tokio::select! {
            biased;
            () = lifeline.ended() => return Ok(()),
            () = tokio::time::sleep(WATCH_EVERY) => {}
        }
        let next = render(&fetch(&client, &args).await?, &args)?;
        if next != shown {
            print!("{next}");
            shown = next;
        }
    }
}

/// What was asked for, each item with how it is shown and as the API gave it.
struct Answer {
    whole: Value,
    items: Vec<(Shown, Value)>,
}

impl Answer {
    fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

async fn fetch(client: &Client, args: &GetArgs) -> Outcome<Answer> {
    let mut whole: Value = client.get(args.kind.path()).await?;
    let items = match whole.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => return Err(Failure::problem("the control plane's answer has no items").remedy("use the same version of organza for both")),
    };
    let mut kept = Vec::new();
    for item in items {
        let shown = tables::shown(args.kind, &item).map_err(|error| {
            Failure::problem("an item of the control plane's answer is not understood")
                .why(error)
                .remedy("use the same version of organza for both")
        })?;
        if asked_for(&shown, args) {
            kept.push((shown, item));
        }
    }
    kept.sort_by(|(a, _), (b, _)| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    Ok(Answer { whole, items: kept })
}

fn asked_for(shown: &Shown, args: &GetArgs) -> bool {
    // What has no namespace (a certificate of an authority) belongs to all.
    let here = args.all_namespaces || shown.namespace.is_empty() || shown.namespace == args.namespace;
    let named = args.name.as_ref().is_none_or(|name| shown.names().any(|candidate| candidate == name));
    here && named && args.selector.iter().all(|(key, value)| shown.labels.get(key) == Some(value))
}

fn render(answer: &Answer, args: &GetArgs) -> Outcome<String> {
    Ok(match args.output {
        Output::Json => {
            let mut whole = answer.whole.clone();
            whole["items"] = answer.items.iter().map(|(_, item)| item.clone()).collect();
            serde_json::to_string_pretty(&whole).map_err(|error| Failure::problem("cannot write JSON").why(error))? + "\n"
        }
        Output::Name => answer.items.iter().map(|(shown, _)| shown.name.clone() + "\n").collect(),
        Output::Table | Output::Wide => {
            let wide = args.output == Output::Wide;
            let (mut head, columns) = tables::head(args.kind, wide);
            if args.all_namespaces {
                head.insert(0, "NAMESPACE");
            }
            let row = |shown: &Shown| {
                let mut row: Vec<String> = shown.cells.iter().take(columns).cloned().collect();
                if args.all_namespaces {
                    row.insert(0, shown.namespace.clone());
                }
                row
            };
            let rows: Vec<Vec<String>> = answer.items.iter().map(|(shown, _)| row(shown)).collect();
            // kubectl does not cut lines when nobody reads them on a terminal.
            let width = if table::is_terminal() && !wide { table::width() } else { usize::MAX };
            if rows.is_empty() { "nothing found\n".into() } else { table::columns(&head, &rows, width) }
        }
    })
}

fn selector(text: &str) -> Result<Selector, String> {
    let pair = |part: &str| {
        let (key, value) = part.split_once('=').ok_or_else(|| format!("{part:?} is not KEY=VALUE"))?;
        Ok((key.trim_end_matches('=').to_owned(), value.trim_start_matches('=').to_owned()))
    };
    text.split(',').filter(|part| !part.is_empty()).map(pair).collect()
}

#[cfg(test)]
mod tests;
