//! The same once more with what carries it, HTTP/2 and mutual TLS: a connection of each proxy to a listener of the control plane's. Its own is the one thread
//! that is measured, proxies have another.

#[allow(dead_code, reason = "of tests, which need more of it")]
#[path = "../../tests/mesh/peer.rs"]
mod peer;

use super::live::{Failure, Heard, Kept, Mesh, report};
use super::meter::processor;
use control::core::Core;
use identity::Credentials;
use peer::{credentials, secured};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use wire::grpc::TelemetryClient;

pub fn run(mesh: &Mesh, seconds: u64) -> Result<Heard, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let ((begins, begun), (ends, ended)) = (oneshot::channel(), oneshot::channel());
    let (core, own) = (mesh.core.clone(), mesh.credentials.clone());
    let serving = std::thread::Builder::new().name("serves".into());
    let serving = serving.spawn(move || serve(core, own, listener, begun, ended))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut heard = runtime.block_on(async {
        let mut clients = Vec::new();
        for (proxy, _) in mesh.members.iter() {
            clients.push(TelemetryClient::new(secured(address, &credentials(&mesh.core, proxy)).await));
        }
        // What was signed for them is not of it.
        mesh.steps().clear();
        let _ = begins.send(());
        let (mut heard, mut open, begun) = (Heard::default(), JoinSet::new(), Instant::now());
        for at in 0..seconds * clients.len() as u64 {
            let (proxy, second) = (at as usize % clients.len(), at / clients.len() as u64 + 1);
            let due = Duration::from_micros(at * 1_000_000 / clients.len() as u64);
            tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
            let (mut client, report) = (clients[proxy].clone(), report(Kept::OnDisk, &mesh.members, proxy, second));
            open.spawn(async move {
                let begun = Instant::now();
                client.report_numbered(report).await.ok().map(|_| begun.elapsed())
            });
        }
        while let Some(ended) = open.join_next().await {
            heard.note(ended.ok().flatten());
        }
        let _ = ends.send(());
        heard
    });
    heard.processor = serving.join().map_err(|_| "the thread that hears has panicked")??;
    Ok(heard)
}

/// What it takes from when all are connected until all is acknowledged.
fn serve(
    core: Arc<Core>,
    own: Credentials,
    listener: TcpListener,
    begun: oneshot::Receiver<()>,
    ended: oneshot::Receiver<()>,
) -> std::io::Result<Duration> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let kept = tokio::spawn(control::keep(core.clone(), own.clone()));
        let served = tokio::spawn(control::serve::serve(core, listener, own));
        drop(begun.await);
        let before = processor();
        drop(ended.await);
        let took = processor().saturating_sub(before);
        served.abort();
        kept.abort();
        Ok(took)
    })
}
