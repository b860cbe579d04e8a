//! How a proxy that is kept is succeeded by another process: it is started beside the one that serves, and is the one that is kept as soon as it has the doors.
//! Where it does not come to that, the one before goes on.

use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::patience;
use crate::supervise::{Program, State, Supervised};
use serde::Deserialize;

/// What a proxy's admin socket says of the process behind it.
#[derive(Deserialize)]
struct Process {
    pid: u32,
    release: String,
    serving: bool,
    #[serde(default)]
    took_over: Option<String>,
}

/// What was taken over, in words.
///
/// # Errors
/// Where the successor cannot be started, ends, or does not serve within [`crate::limits::READY`].
pub async fn of(child: &Supervised, admin: &Client, program: Program) -> Outcome<String> {
    let (name, before) = (program.name.clone(), *child.state.borrow());
    let pid = child.begin_succession(program).await?;
    let serving = || async {
        match admin.get::<Process>("/process").await {
            Ok(process) if process.pid == pid && process.serving => Some(Some(process)),
            _ if *child.successor.borrow() != Some(pid) && *child.state.borrow() != (State::Running { pid }) => Some(None),
            _ => None,
        }
    };
    let what = match patience::until_ready(serving).await {
        Some(Some(process)) => {
            child.settle(true).await?;
            let took = process.took_over.unwrap_or_else(|| "nothing: none was running".into());
            let before = if let State::Running { pid } = before { format!("process {pid} → ") } else { String::new() };
            return Ok(format!("proxy {name}: {before}process {pid}, organza {}; took over {took}", process.release));
        }
        Some(None) => "its successor ended",
        None => "its successor did not take over in time",
    };
    child.settle(false).await?;
    Err(Failure::problem(format!("proxy {name}: {what}; the one before goes on")))
}
