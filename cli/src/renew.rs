//! `organza renew`: has the proxy of a pod replaced by a new process, without a connection lost. Typed through `kubectl exec`, where nobody can send a signal.

use crate::failure::Outcome;
use crate::program;
use crate::upgrade::desk::Request;
use crate::upgrade::{RELEASE, ask};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct RenewArgs {
    /// Of who keeps the proxy
    #[arg(long, value_name = "PATH", default_value = crate::gateway_pod::DESK)]
    socket: PathBuf,
}

pub async fn run(args: RenewArgs) -> Outcome {
    ask(&args.socket, &Request { program: program::own()?.to_owned(), release: RELEASE.into() }).await
}
