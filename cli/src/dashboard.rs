//! `organza dashboard`: asks the control plane for a link that lets one browser in, and opens it. That of a cluster is carried to a port of this machine for as long
//! as the command runs.

use crate::ask_flag::{AskFlag, Cluster};
use crate::client::Client;
use crate::failure::{Context, Failure, Outcome};
use crate::lifeline::Lifeline;
use crate::limits;
use crate::patience;
use crate::place::Place;
use clap::Args;
use control::kubernetes::Leader;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use wire::api::{DashboardLink, path};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  organza dashboard\n  organza dashboard --mesh demo --no-open\n  organza dashboard --role viewer\n  organza dashboard --context prod"
)]
pub struct DashboardArgs {
    /// What the browser may do: viewer looks; tapper also sees requests as they end; operator also asks what changes would do; admin also lets in others and rotates the root
    #[arg(long, default_value = "tapper", value_parser = ["viewer", "tapper", "operator", "admin"])]
    role: String,
    /// Print the link, and open no browser
    #[arg(long)]
    no_open: bool,
    #[command(flatten)]
    ask: AskFlag,
}

pub async fn run(args: DashboardArgs) -> Outcome {
    if let Some(cluster) = args.ask.cluster() {
        return of_cluster(&cluster, &args).await;
    }
    let link = link(&args.ask.owner().await?, &args.role).await?;
    show(&link, &args);
    Ok(())
}

fn show(link: &DashboardLink, args: &DashboardArgs) {
    println!("{}", link.url);
    if !args.no_open && open(&link.url) {
        println!("it is opened in your browser; the link lets one browser in, within 10 minutes");
    }
}

async fn link(client: &Client, role: &str) -> Outcome<DashboardLink> {
    client.post(&format!("{}?role={role}", path::DASHBOARD), &serde_json::Value::Null).await
}

/// The page believes no other host and port than its own: the same port is opened here.
async fn of_cluster(cluster: &Cluster, args: &DashboardArgs) -> Outcome {
    let leader = cluster.leader(cluster.connect().await?).await?;
    let link = link(&cluster.owner().await?, &args.role).await?;
    let port = port(&link.url).ok_or_else(|| Failure::problem(format!("{} is no link of a dashboard", link.url)))?;
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let listener = bound.map_err(|error| {
        let remedy = "end what listens there, or restart the pod that leads: its dashboard takes another port then";
        Failure::problem(format!("cannot listen at 127.0.0.1:{port}, where the page of {} is expected", leader.pod))
            .why(error)
            .remedy(remedy)
    })?;
    let mut lifeline = Lifeline::new(false).doing(|| "listen to signals".into())?;
    show(&link, args);
    eprintln!("organza: carried to {} until this command ends", leader.pod);
    tokio::select! {
        biased;
        () = lifeline.ended() => Ok(()),
        failed = carry(listener, |stream| carried(stream, leader.clone(), port)) => failed,
    }
}

/// `http://127.0.0.1:PORT/…`
fn port(url: &str) -> Option<u16> {
    url.strip_prefix("http://127.0.0.1:")?.split('/').next()?.parse().ok()
}

/// Hands on whoever comes, so many at once: further ones wait where they are.
async fn carry<F>(listener: TcpListener, carried: impl Fn(TcpStream) -> F) -> Outcome
where
    F: Future<Output = ()> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(limits::CARRIED));
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return Ok(()) };
        let (stream, _) = listener.accept().await.doing(|| "take a connection of the browser".into())?;
        let one = carried(stream);
        tokio::spawn(async move {
            one.await;
            drop(place);
        });
    }
}

async fn carried(stream: TcpStream, leader: Leader, port: u16) {
    if let Err(why) = through(stream, &leader, port).await {
        eprintln!("organza: {} is not reached: {why}; run the command again if another one leads", leader.pod);
    }
}

async fn through(mut stream: TcpStream, leader: &Leader, port: u16) -> Result<(), String> {
    let (mut there, broken) = leader.open(port).await.map_err(|e| e.to_string())?;
    // A browser that goes away is no failure.
    let _ = tokio::io::copy_bidirectional(&mut stream, &mut there).await;
    drop(there);
    patience::reason(broken).await.map_or(Ok(()), Err)
}

/// What `up` and the demo say of it; a mesh without one is a mesh all the same.
pub async fn told(place: &Place) -> String {
    match link(&Client::control(place), "tapper").await {
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

#[cfg(test)]
mod tests;
