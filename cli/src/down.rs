//! `organza down`: asks whoever holds the mesh to end, and waits until it has let go.

use crate::failure::{Context, Failure, Outcome};
use crate::mesh_flag::MeshFlag;
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use std::time::Duration;
use tokio::time::Instant;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  organza down\n  organza down --mesh demo")]
pub struct DownArgs {
    #[command(flatten)]
    mesh: MeshFlag,
    /// How long to wait until it has drained
    #[arg(long, value_parser = crate::units::duration, default_value = "60s")]
    timeout: Duration,
}

pub async fn run(args: DownArgs) -> Outcome {
    let place = args.mesh.place()?;
    let nobody = || Failure::unreachable(format!("mesh {:?} is not up", place.mesh)).remedy(place.remedy());
    let holder = place.holder().ok_or_else(nobody)?;
    let pid = i32::try_from(holder).ok().and_then(Pid::from_raw).ok_or_else(nobody)?;
    kill_process(pid, Signal::TERM).doing(|| format!("ask process {holder} to end"))?;
    let begun = Instant::now();
    while place.holder() == Some(holder) {
        if begun.elapsed() > args.timeout {
            return Err(
                Failure::problem(format!("process {holder} has not ended within {:?}", args.timeout)).remedy("organza logs control")
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    println!("mesh {} is down", place.mesh);
    Ok(())
}
