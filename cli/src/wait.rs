//! `organza wait --for=Programmed route/x`: returns when the condition is true and every proxy that it concerns has it.

use crate::ask_flag::AskFlag;
use crate::failure::{Failure, Outcome};
use crate::units;
use clap::Args;
use std::time::Duration;
use tokio::time::Instant;
use wire::api::{Condition, Object, ObjectList, path};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  organza wait --for=Programmed route/catalog\n  organza wait --for=Accepted gateway/shop --timeout 10s"
)]
pub struct WaitArgs {
    /// The condition: Accepted, ResolvedRefs, Programmed …; Programmed of a route: accepted, and applied by all its proxies
    #[arg(long = "for", value_name = "CONDITION", value_parser = condition)]
    condition: String,
    /// KIND/NAME
    object: String,
    #[arg(short, long, default_value = "default")]
    namespace: String,
    #[arg(long, value_parser = units::duration, default_value = "30s")]
    timeout: Duration,
    #[command(flatten)]
    ask: AskFlag,
}

/// How often to look.
const EVERY: Duration = Duration::from_millis(100);

pub async fn run(args: WaitArgs) -> Outcome {
    let Some((kind, name)) = args.object.split_once('/').filter(|(kind, name)| !kind.is_empty() && !name.is_empty()) else {
        return Err(Failure::usage(format!("{:?} is not KIND/NAME", args.object)).remedy("write it as route/catalog or gateway/shop"));
    };
    let client = args.ask.client().await?;
    let begun = Instant::now();
    loop {
        let objects: ObjectList = client.get(path::OBJECTS).await?;
        let found = objects.items.iter().find(|o| is_kind(&o.kind, kind) && o.name == name && o.namespace == args.namespace);
        let state = found.map(|object| state(object, &args.condition));
        if let Some(Ok(())) = state {
            println!("{} is {}", args.object, args.condition);
            return Ok(());
        }
        if begun.elapsed() >= args.timeout {
            let why = match state {
                Some(Err(why)) => why,
                _ => "there is no such object".into(),
            };
            return Err(Failure::problem(format!("{} is not {} after {:?}", args.object, args.condition, args.timeout))
                .why(why)
                .remedy("organza get objects -o wide"));
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// `route` is any kind of route.
fn is_kind(kind: &str, asked: &str) -> bool {
    let (kind, asked) = (kind.to_lowercase(), asked.trim_end_matches('s').to_lowercase());
    kind == asked || (asked == "route" && kind.ends_with("route"))
}

fn state(object: &Object, wanted: &str) -> Result<(), String> {
    let holds = |conditions: &[Condition], wanted: &str| match conditions.iter().find(|c| c.kind == wanted) {
        Some(condition) if condition.status == "True" => Ok(()),
        Some(condition) => Err(format!("{} is {}: {} {}", condition.kind, condition.status, condition.reason, condition.message)),
        None => Err(format!("it has no condition {wanted}")),
    };
    let everywhere = |wanted: &str| {
        if object.parents.is_empty() {
            return holds(&object.conditions, wanted);
        }
        object.parents.iter().try_for_each(|parent| holds(&parent.conditions, wanted))
    };
    let said = object.conditions.iter().chain(object.parents.iter().flat_map(|p| &p.conditions)).any(|c| c.kind == wanted);
    // Gateway API gives routes no condition of that name; what it means for them is plain all the same.
    if wanted == "Programmed" && !said {
        everywhere("Accepted")?
    } else {
        everywhere(wanted)?
    }
    match object.applied >= object.concerned {
        true => Ok(()),
        false => Err(format!("{} of {} proxies have it", object.applied, object.concerned)),
    }
}

fn condition(text: &str) -> Result<String, String> {
    // kubectl writes condition=NAME.
    let name = text.strip_prefix("condition=").unwrap_or(text);
    if name.is_empty() { Err("name a condition, like Programmed".into()) } else { Ok(name.to_owned()) }
}

#[cfg(test)]
mod tests;
