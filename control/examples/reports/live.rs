//! The same proxies as members of a mesh, each at its moment of each second: a report is read, judged, counted, stored and acknowledged as the control plane does
//! it, on one thread, beside what it does each second anyway. The called sides tell verdicts with each report, and with each fifth two kinds of calls by each
//! caller, as proxies do. Four times: nothing to be stored, kept in memory, kept on the disk; and that with what carries it (`connected`).

use super::meter::{processor, resident, timed};
use super::{EDGES, SERVICES, caller, connected, is_caller, own, told};
use bytes::Bytes;
use control::core::Core;
use control::serve::{Caller, telemetry};
use control::store::{Embedded, Memory, Store, StoreError, Txn};
use identity::Credentials;
use model::{SpiffeId, TrustDomain};
use prost::Message;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::Request;
use wire::grpc::Telemetry;
use wire::v1::{Call, ReportRequest, report_request::Verdict};

pub type Failure = Box<dyn std::error::Error>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    Nothing,
    InMemory,
    OnDisk,
}

/// A member of the mesh: its proxy, and who it is.
type Member = (String, SpiffeId);

/// A control plane with all of its members.
pub struct Mesh {
    pub core: Arc<Core>,
    pub credentials: Credentials,
    pub members: Arc<[Member]>,
    store: Arc<Metered>,
}

impl Mesh {
    pub fn steps(&self) -> &Steps {
        &self.store.steps
    }
}

pub fn run(seconds: u64, proxies: usize) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let store = Memory::default();
    let members: Arc<[Member]> = registered(&config(&folder.path().join("first"))?, &store, proxies)?.into();
    for (name, kept) in
        [("nothing", Kept::Nothing), ("in memory", Kept::InMemory), ("on the disk", Kept::OnDisk), ("connected", Kept::OnDisk)]
    {
        let mesh = mesh(kept, &config(&folder.path().join(name))?, members.clone(), &store)?;
        let heard = if name == "connected" { connected::run(&mesh, seconds)? } else { called(&mesh, kept, seconds)? };
        heard.print(name, seconds, &mesh);
    }
    Ok(())
}

/// All of them, as [`Core::register`] stores each, which would make a world of each as well.
fn registered(config: &control::ControlConfig, store: &Memory, proxies: usize) -> Result<Vec<Member>, Failure> {
    let (core, _) = control::open(config, Arc::new(store.clone()))?;
    let member = |proxy: usize| -> Result<Member, Failure> {
        let service = format!("service-{}", own(proxy));
        let request = wire::api::RegistrationRequest {
            name: service.clone(),
            namespace: "shop".into(),
            service_account: service.clone(),
            service: Some(service),
            ports: vec![wire::api::WorkloadPort { service: 80, target: 8080 }],
            protocol: Some("http".into()),
            labels: Default::default(),
            addresses: vec![format!("127.1.{}.{}:15000", proxy / 250, proxy % 250 + 1)],
        };
        let entry = core.lock().registry.register(request, None, &core.trust_domain, 0).map_err(|refusal| refusal.what)?;
        store.txn(Txn { put: vec![(format!("registration/{}", entry.proxy), serde_json::to_vec(&entry)?)], delete: Vec::new() })?;
        let identity = entry.identity().ok_or("a member without an identity")?;
        Ok((entry.proxy, identity))
    };
    (0..proxies).map(member).collect()
}

fn mesh(kept: Kept, config: &control::ControlConfig, members: Arc<[Member]>, before: &Memory) -> Result<Mesh, Failure> {
    let inner: Box<dyn Store> = match kept {
        Kept::Nothing | Kept::InMemory => Box::new(Memory::default()),
        Kept::OnDisk => Box::new(Embedded::open(&config.state.join("store.redb"))?),
    };
    inner.txn(Txn { put: before.list("registration/")?, delete: Vec::new() })?;
    let store = Arc::new(Metered { inner, steps: Steps::default() });
    let (core, credentials) = control::open(config, store.clone())?;
    core.read(control::files::Read { objects: Vec::new(), problems: Vec::new() });
    // Who has no stream is taken out.
    members.iter().for_each(|(proxy, _)| _ = core.connected(proxy, "0".into(), false));
    Ok(Mesh { core, credentials, members, store })
}

fn config(state: &std::path::Path) -> Result<control::ControlConfig, Failure> {
    std::fs::create_dir_all(state)?;
    Ok(control::ControlConfig {
        mesh: "reports".into(),
        state: state.to_owned(),
        paths: Vec::new(),
        trust_domain: TrustDomain::parse("organza.local")?,
        listen: ([127, 0, 0, 1], 0).into(),
        dashboard: ([127, 0, 0, 1], 0).into(),
        metrics: None,
        svid_life: Duration::from_secs(86_400),
        own_ca: None,
        cluster: None,
        beyond: Default::default(),
    })
}

/// Without a connection.
fn called(mesh: &Mesh, kept: Kept, seconds: u64) -> Result<Heard, Failure> {
    let (sender, receiver) = mpsc::channel(mesh.members.len());
    let callers = mesh.members.iter().map(|(_, id)| Caller(Some((id.clone(), "00".into())), Arc::default())).collect();
    let (core, credentials) = (mesh.core.clone(), mesh.credentials.clone());
    // By its name a profiler tells it from those that tell.
    let hearing = std::thread::Builder::new().name(format!("hears {kept:?}")).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok::<_, std::io::Error>(runtime.block_on(async {
            let kept = tokio::spawn(control::keep(core.clone(), credentials));
            let heard = hear(core, receiver, callers).await;
            kept.abort();
            heard
        }))
    })?;
    mesh.steps().clear();
    tell(kept, seconds, &mesh.members, &sender);
    drop(sender);
    Ok(hearing.join().map_err(|_| "the thread that hears has panicked")??)
}

/// Each proxy once a second, at its own moment of it.
fn tell(kept: Kept, seconds: u64, members: &[Member], sender: &mpsc::Sender<(usize, Bytes)>) {
    let begun = Instant::now();
    for at in 0..seconds * members.len() as u64 {
        let (proxy, second) = (at as usize % members.len(), at / members.len() as u64 + 1);
        let report = Bytes::from(report(kept, members, proxy, second).encode_to_vec());
        let due = Duration::from_micros(at * 1_000_000 / members.len() as u64);
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        if sender.blocking_send((proxy, report)).is_err() {
            return;
        }
    }
}

/// What one proxy tells, with what is to be stored of what a called side counted.
pub fn report(kept: Kept, members: &[Member], proxy: usize, second: u64) -> ReportRequest {
    let (own, mut report) = (own(proxy), told(&members[proxy].0, proxy, second));
    if kept == Kept::Nothing || is_caller(proxy) {
        return report;
    }
    report.verdicts = vec![Verdict {
        verdict: "allowed".into(),
        policy: format!("AccessPolicy shop/service-{own}"),
        rule: "callers".into(),
        count: 10 * EDGES as u64,
    }];
    let call = |(n, path): (usize, &str)| Call {
        // The first proxies are one of each service.
        source: members[2 * caller(own, n)].1.to_string(),
        namespace: "shop".into(),
        service: format!("service-{own}"),
        port: 80,
        protocol: "http".into(),
        method: "GET".into(),
        path: path.into(),
        allowed: 25,
        ..Call::default()
    };
    // Of five replicas of a service another one each second.
    let replica = proxy / (2 * SERVICES);
    if ((own + replica) as u64 + second).is_multiple_of(5) {
        report.calls = (0..EDGES).flat_map(|n| [(n, "/items"), (n, "/items/{id}")]).map(call).collect();
    }
    report
}

/// What it took.
#[derive(Default)]
pub struct Heard {
    pub processor: Duration,
    acknowledged: u64,
    waited: Duration,
    longest: Duration,
}

async fn hear(core: Arc<Core>, mut reports: mpsc::Receiver<(usize, Bytes)>, callers: Vec<Caller>) -> Heard {
    let (door, mut open, mut heard) = (telemetry(core), JoinSet::new(), Heard::default());
    let before = processor();
    while let Some((proxy, report)) = reports.recv().await {
        let (door, caller) = (door.clone(), callers[proxy].clone());
        open.spawn(async move {
            let begun = Instant::now();
            let Ok(report) = ReportRequest::decode(report) else { return None };
            let mut request = Request::new(report);
            request.extensions_mut().insert(caller);
            door.report_numbered(request).await.ok().map(|_| begun.elapsed())
        });
        while let Some(ended) = open.try_join_next() {
            heard.note(ended.ok().flatten());
        }
    }
    while let Some(ended) = open.join_next().await {
        heard.note(ended.ok().flatten());
    }
    heard.processor = processor().saturating_sub(before);
    heard
}

impl Heard {
    pub fn note(&mut self, waited: Option<Duration>) {
        let Some(waited) = waited else { return };
        self.acknowledged += 1;
        self.waited += waited;
        self.longest = self.longest.max(waited);
    }

    fn print(&self, name: &str, seconds: u64, mesh: &Mesh) {
        let per_second = |at: usize| mesh.steps().0[at].load(Relaxed) as f64 / seconds as f64;
        println!(
            "{name}: {:.1} % of a core for {seconds} s, of which {:.1} in {:.1} steps a second of the store ({:.0} rows, {:.2} MB a second); {} MB",
            self.processor.as_secs_f64() * 100.0 / seconds as f64,
            per_second(3) / 1e7,
            per_second(0),
            per_second(1),
            per_second(2) / 1e6,
            resident() / 1_000_000
        );
        let calls = mesh.core.lock().calls.told().count();
        let waited = self.waited.as_millis() as u64 / self.acknowledged.max(1);
        println!("  {} acknowledged, after {waited} ms, {} at most; {calls} kinds of calls", self.acknowledged, self.longest.as_millis());
    }
}

/// A store that says what it is asked.
struct Metered {
    inner: Box<dyn Store>,
    steps: Steps,
}

/// Of a store: steps, rows, bytes, nanoseconds of the processor.
#[derive(Default)]
pub struct Steps([AtomicU64; 4]);

impl Steps {
    pub fn clear(&self) {
        self.0.iter().for_each(|count| count.store(0, Relaxed));
    }
}

impl Store for Metered {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(key)
    }

    fn list(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.inner.list(prefix)
    }

    fn txn(&self, txn: Txn) -> Result<(), StoreError> {
        let bytes: usize = txn.put.iter().map(|(key, value)| key.len() + value.len()).sum();
        let rows = txn.put.len() + txn.delete.len();
        let (done, took) = timed(|| self.inner.txn(txn));
        for (count, by) in self.steps.0.iter().zip([1, rows as u64, bytes as u64, took.as_nanos() as u64]) {
            count.fetch_add(by, Relaxed);
        }
        done
    }
}
