//! What the pods of a mesh have said, through the API server: the replicas of its control plane and the proxies of its Gateways. A pod that comes later is not
//! followed: ask again.

use super::{LogsArgs, show};
use crate::ask_flag::Cluster;
use crate::failure::{Context, Failure, Outcome};
use crate::lifeline::Lifeline;
use control::kubernetes::{self, Speaker};
use futures_util::stream::{iter, select_all};
use futures_util::{Stream, StreamExt};
use std::io;
use std::pin::Pin;

type Lines = Pin<Box<dyn Stream<Item = (String, io::Result<String>)> + Send>>;

pub async fn run(args: &LogsArgs, cluster: &Cluster) -> Outcome {
    let client = cluster.connect().await?;
    let told = |error| {
        Failure::unreachable("the pods of the mesh are not told").why(error).remedy("organza check --kubernetes says what is wrong")
    };
    let known = kubernetes::speakers(&client, &cluster.system, args.namespace.as_deref()).await.map_err(told)?;
    let (meant, others): (Vec<Speaker>, Vec<Speaker>) =
        known.into_iter().partition(|one| args.name.as_deref().is_none_or(|name| is(one, name)));
    if meant.is_empty() {
        let names: Vec<String> = others.into_iter().map(|one| one.pod).collect();
        let what = args.name.as_deref().map_or("no pod is of this mesh".to_owned(), |name| format!("nothing is called {name:?}"));
        return Err(Failure::problem(what).remedy(if names.is_empty() {
            "name another namespace, or where the control plane is with --system".to_owned()
        } else {
            format!("one of: {}", names.join(" "))
        }));
    }
    let client = if args.follow { cluster.connect_to_follow().await? } else { client };
    let mut all: Vec<Lines> = Vec::new();
    for one in &meant {
        match kubernetes::lines(&client, one, args.tail, args.follow).await {
            Ok(lines) => {
                let name = one.pod.clone();
                all.push(Box::pin(lines.map(move |line| (name.clone(), line))));
            }
            // It may just have ended, and be one of many.
            Err(error) => eprintln!("organza: {}/{}: {error}", one.namespace, one.pod),
        }
    }
    if all.is_empty() {
        return Err(Failure::problem("no pod's log could be read").remedy("it takes the right to get pods/log in their namespaces"));
    }
    let mut lifeline = Lifeline::new(false).doing(|| "listen to signals".into())?;
    // One after the other where they are whole.
    let lines: Lines = if args.follow { Box::pin(select_all(all)) } else { Box::pin(iter(all).flatten()) };
    tokio::select! {
        biased;
        () = lifeline.ended() => Ok(()),
        outcome = tell(lines, |name, line| show(name, line.as_bytes())) => outcome,
    }
}

/// What broke off is said where it did; the others go on.
async fn tell(mut lines: Lines, mut show: impl FnMut(&str, &str)) -> Outcome {
    let mut broken: Vec<String> = Vec::new();
    while let Some((name, line)) = lines.next().await {
        match line {
            Ok(line) => show(&name, &line),
            Err(error) => {
                eprintln!("organza: {name}: it broke off: {}", kubernetes::chain(&error));
                broken.push(name);
            }
        }
    }
    match broken.is_empty() {
        true => Ok(()),
        false => Err(Failure::problem(format!("the log of {} broke off", broken.join(", "))).remedy("ask again")),
    }
}

/// A pod by its name, or by what its name begins with: `edge` is each proxy of the Gateway `edge`.
fn is(one: &Speaker, name: &str) -> bool {
    one.pod.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[cfg(test)]
mod tests;
