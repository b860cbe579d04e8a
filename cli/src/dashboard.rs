//! `organza dashboard`: asks the control plane for a link that lets one browser in, and opens it.

use crate::client::Client;
use crate::failure::Outcome;
use crate::mesh_flag::MeshFlag;
use crate::place::Place;
use clap::Args;
use std::process::{Command, Stdio};
use wire::api::{DashboardLink, path};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  organza dashboard\n  organza dashboard --mesh demo --no-open\n  organza dashboard --role viewer")]
pub struct DashboardArgs {
    /// What the browser may do: viewer looks; tapper also sees requests as they end; operator also asks what changes would do; admin also lets in others and rotates the root
    #[arg(long, default_value = "tapper", value_parser = ["viewer", "tapper", "operator", "admin"])]
    role: String,
    /// Print the link, and open no browser
    #[arg(long)]
    no_open: bool,
    #[command(flatten)]
    mesh: MeshFlag,
}

pub async fn run(args: DashboardArgs) -> Outcome {
    let link = link(&args.mesh.place()?, &args.role).await?;
    println!("{}", link.url);
    if !args.no_open && open(&link.url) {
        println!("it is opened in your browser; the link lets one browser in, within 10 minutes");
    }
    Ok(())
}

async fn link(place: &Place, role: &str) -> Outcome<DashboardLink> {
    Client::control(place).post(&format!("{}?role={role}", path::DASHBOARD), &serde_json::Value::Null).await
}

/// What `up` and the demo say of it; a mesh without one is a mesh all the same.
pub async fn told(place: &Place) -> String {
    match link(place, "tapper").await {
        Ok(link) => format!(
            "dashboard {}\n  (lets one browser in, within 10 minutes; organza dashboard --mesh {} for another)",
            link.url, place.mesh
        ),
        Err(failure) => format!("no dashboard: {failure}"),
    }
}

/// Hands the link to whatever opens links here; says whether there was such a thing. A terminal without a screen has none.
fn open(url: &str) -> bool {
    let screen = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    if !screen && !cfg!(target_os = "macos") {
        return false;
    }
    Command::new(opener).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().is_ok()
}
