//! How a proxy that is kept is succeeded by another process: it is started beside the one that serves, and is the one that is kept as soon as it has the doors.
//! Where it does not come to that, the one before goes on.

use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::limits;
use crate::supervise::{Program, State, Supervised};
use serde::Deserialize;
use std::time::Duration;
use tokio::time::Instant;

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
/// Where the successor cannot be started, ends, or does not serve within [`limits::READY`].
pub async fn of(child: &Supervised, admin: &Client, program: Program) -> Outcome<String> {
    let (name, before) = (program.name.clone(), *child.state.borrow());
    let pid = child.begin_succession(program).await?;
    let begun = Instant::now();
    loop {
        match admin.get::<Process>("/process").await {
            Ok(process) if process.pid == pid && process.serving => {
                child.settle(true).await?;
                let took = process.took_over.unwrap_or_else(|| "nothing: none was running".into());
                let before = if let State::Running { pid } = before { format!("process {pid} → ") } else { String::new() };
                return Ok(format!("proxy {name}: {before}process {pid}, organza {}; took over {took}", process.release));
            }
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
        let ended = *child.successor.borrow() != Some(pid) && *child.state.borrow() != (State::Running { pid });
        if ended || begun.elapsed() > limits::READY {
            child.settle(false).await?;
            let what = if ended { "its successor ended" } else { "its successor did not take over in time" };
            return Err(Failure::problem(format!("proxy {name}: {what}; the one before goes on")));
        }
    }
}
