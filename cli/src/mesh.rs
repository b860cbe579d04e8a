//! A mesh that is up, as `up` and the demo see it: its control plane, a proxy process for each Gateway, its events in lines. Speaks to the control
//! plane through the API alone, like everybody else.

use crate::client::Client;
use crate::demo::view::Row;
use crate::events::Narrator;
use crate::failure::{Failure, Outcome};
use crate::join::Joined;
use crate::limits;
use crate::place::Place;
use crate::supervise::Released;
use crate::upgrade::bequest::{Children, Descriptors};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Method;
use proxy::config::GatewayPorts;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use wire::api::{Edge, EdgeList, Event, ObjectList, Security, path};

/// The control plane as its keeper sees it. Dropped or not, it must be told to stop last.
pub trait ControlPlane {
    fn stop(self) -> impl Future<Output = ()>;
    /// Replaces it by one of another program; what came to pass, in words.
    fn upgrade(&self, program: &Path) -> impl Future<Output = Outcome<String>>;
    /// Its process, for another keeper.
    fn release(self) -> impl Future<Output = Released>;
}

/// What there is to know of a mesh that runs.
#[derive(Serialize, Deserialize)]
pub struct Known {
    control: Children,
    gateways: Vec<KnownGateway>,
}

#[derive(Serialize, Deserialize)]
struct KnownGateway {
    namespace: String,
    name: String,
    proxy: crate::join::Known,
    processes: Children,
}

pub struct Mesh<C> {
    control: C,
    client: Client,
    lines: mpsc::Receiver<String>,
    state: Arc<Mutex<Narrator>>,
    tending: JoinHandle<Gateways>,
    stop: tokio::sync::watch::Sender<bool>,
    upgrades: mpsc::Sender<Upgrade>,
    /// Lines that came while nobody could be told.
    backlog: VecDeque<String>,
}

/// For the gateways: the program, and where each step is told.
struct Upgrade(PathBuf, mpsc::UnboundedSender<Outcome<String>>);

type Gateways = HashMap<(String, String), Joined>;

/// Lines that nobody has read yet; more wait.
const LINES: usize = 64;

impl<C: ControlPlane> Mesh<C> {
    /// Takes over a control plane that serves its socket; returns when each Gateway has its proxy.
    pub async fn start(place: &Place, control: C, ports: GatewayPorts) -> Outcome<Self> {
        let client = Client::control(place);
        let mut gateways = Gateways::new();
        if let Err(failure) = tend_gateways(place, &client, ports, &mut gateways).await {
            close(gateways).await;
            control.stop().await;
            return Err(failure);
        }
        Ok(Self::with(place, control, ports, gateways))
    }

    /// Goes on with a mesh that this process kept as an older program; `start` takes over its control plane.
    pub async fn adopt(
        place: &Place,
        known: Known,
        descriptors: &mut Descriptors,
        ports: GatewayPorts,
        start: impl AsyncFnOnce(Released) -> Outcome<C>,
    ) -> Outcome<Self> {
        let control = start(descriptors.take_children(known.control)?).await?;
        let mut gateways = Gateways::new();
        for gateway in known.gateways {
            let processes = descriptors.take_children(gateway.processes)?;
            gateways.insert((gateway.namespace, gateway.name), Joined::adopt(place, gateway.proxy, processes)?);
        }
        Ok(Self::with(place, control, ports, gateways))
    }

    fn with(place: &Place, control: C, ports: GatewayPorts, gateways: Gateways) -> Self {
        let client = Client::control(place);
        let state = Arc::<Mutex<Narrator>>::default();
        let (say, lines) = mpsc::channel(LINES);
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let (upgrades, asked) = mpsc::channel(1);
        let tender = Tender { place: place.clone(), client: client.clone(), ports, gateways, state: state.clone(), say };
        let tending = tokio::spawn(tender.run(stopped, asked));
        Self { control, client, lines, state, tending, stop, upgrades, backlog: VecDeque::new() }
    }

    /// Replaces the control plane and each gateway's proxy by another program, one after another, each when the one before serves.
    pub async fn upgrade(&mut self, program: &Path, mut say: impl AsyncFnMut(String)) -> Outcome {
        say(self.control.upgrade(program).await?).await;
        let (tell, mut steps) = mpsc::unbounded_channel();
        let gone = || Failure::problem("gateways are not kept any more");
        self.upgrades.send(Upgrade(program.to_owned(), tell)).await.map_err(|_| gone())?;
        let mut result = Ok(());
        loop {
            tokio::select! {
                biased;
                step = steps.recv() => match step {
                    Some(Ok(step)) => say(step).await,
                    Some(Err(failure)) => result = Err(failure),
                    None => return result,
                },
                // Who tends the gateways must not wait for a reader.
                Some(line) = self.lines.recv() => self.backlog.push_back(line),
            }
        }
    }

    /// For the program that this process becomes: what it must know, and the processes.
    pub async fn release(self, descriptors: &mut Descriptors) -> Known {
        self.stop.send_replace(true);
        let control = descriptors.put_children(self.control.release().await);
        let mut gateways = Vec::new();
        for ((namespace, name), gateway) in self.tending.await.unwrap_or_default() {
            let (proxy, processes) = gateway.release().await;
            gateways.push(KnownGateway { namespace, name, proxy, processes: descriptors.put_children(processes) });
        }
        Known { control, gateways }
    }

    /// The next thing to tell; may be dropped and asked again.
    pub async fn event(&mut self) -> String {
        if let Some(line) = self.backlog.pop_front() {
            return line;
        }
        match self.lines.recv().await {
            Some(line) => line,
            // Nobody speaks any more; the caller ends for a reason of its own.
            None => std::future::pending().await,
        }
    }

    pub fn generation(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).generation
    }

    /// Proxies that have the last generation, of those that it concerns.
    pub fn applied(&self) -> (u32, u32) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).applied
    }

    /// Each version of each service, as its callers saw it. Empty while the control plane does not answer.
    pub async fn rows(&self) -> Vec<Row> {
        self.client.get::<EdgeList>(path::EDGES).await.map(|edges| rows(&edges.items)).unwrap_or_default()
    }

    /// Gateways drain first, so that nothing new comes in; the control plane ends last.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Ok(gateways) = self.tending.await {
            close(gateways).await;
        }
        self.control.stop().await;
    }
}

async fn close(gateways: Gateways) {
    futures_util::future::join_all(gateways.into_values().map(Joined::leave)).await;
}

/// Follows events and keeps one proxy for each Gateway that there is.
struct Tender {
    place: Place,
    client: Client,
    ports: GatewayPorts,
    gateways: Gateways,
    state: Arc<Mutex<Narrator>>,
    say: mpsc::Sender<String>,
}

impl Tender {
    async fn run(mut self, mut stopped: tokio::sync::watch::Receiver<bool>, mut upgrades: mpsc::Receiver<Upgrade>) -> Gateways {
        loop {
            let followed = async {
                // A stream that broke off is opened again; the control plane is in this process and comes back with it.
                let _ = self.follow().await;
                tokio::time::sleep(limits::RESTART_FIRST).await;
            };
            tokio::select! {
                biased;
                // An error means that the owner is gone.
                () = async { drop(stopped.wait_for(|stop| *stop).await) } => break,
                Some(Upgrade(program, tell)) = upgrades.recv() => self.upgrade(&program, &tell).await,
                () = followed => {}
            }
        }
        self.gateways
    }

    async fn upgrade(&mut self, program: &Path, tell: &mpsc::UnboundedSender<Outcome<String>>) {
        for gateway in self.gateways.values() {
            // Who asked may be gone; it is done all the same.
            let _ = tell.send(gateway.upgrade(program).await);
        }
    }

    async fn follow(&mut self) -> Outcome {
        let mut body = self.client.open(Method::GET, path::EVENTS, Bytes::new()).await?.into_body();
        let mut buffer = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return Ok(()) };
            buffer.extend_from_slice(frame.data_ref().map_or(&[][..], |data| &data[..]));
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                // An event that this release does not know is none of its business.
                if let Ok(event) = serde_json::from_slice::<Event>(&line) {
                    self.hear(event).await;
                }
            }
        }
        Ok(())
    }

    async fn hear(&mut self, event: Event) {
        // What changed while nobody listened is in force by the time of the first word.
        let gateways_may_differ = matches!(event, Event::Generation { .. } | Event::Hello { .. });
        let lines = self.state.lock().unwrap_or_else(PoisonError::into_inner).hear(event);
        for line in lines {
            // Fails when nobody listens any more.
            let _ = self.say.send(line).await;
        }
        if gateways_may_differ && let Err(failure) = tend_gateways(&self.place, &self.client, self.ports, &mut self.gateways).await {
            let _ = self.say.send(failure.to_string()).await;
        }
    }
}

async fn tend_gateways(place: &Place, client: &Client, ports: GatewayPorts, gateways: &mut Gateways) -> Outcome {
    let objects: ObjectList = client.get(path::OBJECTS).await?;
    let wanted: Vec<(String, String)> = objects
        .items
        .into_iter()
        .filter(|o| o.kind == "Gateway" && o.conditions.iter().any(|c| c.kind == "Accepted" && c.status == "True"))
        .map(|o| (o.namespace, o.name))
        .collect();
    let gone: Vec<(String, String)> = gateways.keys().filter(|name| !wanted.contains(name)).cloned().collect();
    for name in gone {
        if let Some(gateway) = gateways.remove(&name) {
            gateway.leave().await;
        }
    }
    for (namespace, name) in wanted {
        if !gateways.contains_key(&(namespace.clone(), name.clone())) {
            let gateway = Joined::gateway(place, &namespace, &name, ports).await?;
            gateways.insert((namespace, name), gateway);
        }
    }
    Ok(())
}

/// One row for each version of each service: callers added up, the slowest of them shown.
fn rows(edges: &[Edge]) -> Vec<Row> {
    let mut rows: BTreeMap<(String, String), Row> = BTreeMap::new();
    // A stranger that was refused at the door called nobody: the edge says so, the table is of what was carried.
    let refused = |edge: &Edge| edge.source == "unknown" && edge.failures >= edge.requests;
    let nobody = |edge: &Edge| edge.destination.is_empty() && edge.service.is_empty();
    for edge in edges.iter().filter(|edge| !nobody(edge) && !refused(edge)) {
        let service = if edge.service.is_empty() { &edge.destination } else { &edge.service };
        let millis = |value: Option<f64>| value.map(|ms| Duration::from_secs_f64(ms.max(0.0) / 1e3));
        let security = match edge.security {
            // It was sent to nobody.
            _ if edge.destination.is_empty() => "–",
            Security::Plain => "plain",
            Security::Tls => "TLS",
            Security::Mtls => "mTLS",
        };
        let row = rows.entry((service.clone(), edge.destination_version.clone())).or_insert_with(|| Row {
            service: service.clone(),
            version: edge.destination_version.clone(),
            security: security.into(),
            ..Row::default()
        });
        row.rate += edge.requests_per_second;
        row.requests += edge.requests;
        row.failures += edge.failures;
        row.retries += edge.retries;
        row.p50 = row.p50.max(millis(edge.p50_millis));
        row.p99 = row.p99.max(millis(edge.p99_millis));
        // One caller in plain text is what one has to know.
        if row.security != security {
            row.security = "mixed".into();
        }
    }
    rows.into_values().collect()
}

#[cfg(test)]
mod tests;
