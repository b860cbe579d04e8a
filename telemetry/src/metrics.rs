//! Metrics with Istio's standard names and labels, so that its dashboards and the queries of Flagger and Kiali work.
//!
//! Each worker writes cells of its own; a scrape sums them. Locks are taken when a label set is first seen and on scrape, never per request.

mod budget;
mod dropped;
mod encode;
mod series;

use crate::calls::{CallCells, CallCounts, CallId, Calls, WorkerCalls};
use crate::consumed::{Consumed, ConsumedCells, ConsumedCounts, ConsumedId};
use crate::edge::{EdgeCells, EdgeId};
use crate::histogram::bump;
use crate::verdicts::Verdicts;
use crate::{Destination, EdgeTotals, Histogram, Peer, Protocol, Record, Reporter, Security, limits};
use budget::Budget;
use hashbrown::HashMap;
use model::telemetry::Labels;
use series::{Ending, Series};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use encode::Exposition;

/// What does not change between the requests of one caller to one backend: the label set but for how a request ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pair {
    pub reporter: Reporter,
    pub source: Arc<Peer>,
    pub destination: Arc<Peer>,
    pub service: Option<Arc<Destination>>,
    pub protocol: Protocol,
    pub security: Security,
    /// It left this proxy ([`Record::is_sent`]): no label tells it, the edge does.
    pub sent: bool,
}

impl Pair {
    pub fn of(record: &Record) -> Self {
        Self {
            reporter: record.reporter,
            source: record.source.clone(),
            destination: record.destination.clone(),
            service: record.dialled_service.clone(),
            protocol: record.protocol,
            security: record.security,
            sent: record.is_sent(),
        }
    }
}

/// Cells of one worker as readers see them.
#[derive(Debug, Default)]
struct Store {
    series: Mutex<Vec<Arc<Series>>>,
    edges: Mutex<Vec<Arc<EdgeCells>>>,
}

#[derive(Debug, Default)]
pub(crate) struct Inner {
    workers: Mutex<Vec<Arc<Store>>>,
    series: Budget<(Pair, Ending)>,
    /// How many fewer label sets than [`limits::SERIES`] there may be.
    spared: AtomicUsize,
    /// Labels that are left out, as [`Labels::bits`].
    dropped: AtomicU32,
    edges: Budget<EdgeId>,
    /// Requests counted under `other`.
    folded: AtomicU64,
    calls: Calls,
    consumed: Consumed,
    gauges: Mutex<BTreeMap<&'static str, GaugeFamily>>,
    pub(crate) verdicts: Mutex<Verdicts>,
}

#[derive(Debug)]
struct GaugeFamily {
    help: &'static str,
    is_counter: bool,
    cells: BTreeMap<Vec<(&'static str, String)>, Gauge>,
}

/// A number that the rim sets: age of the configuration, end of a certificate, connections in a pool.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
    /// From any thread.
    pub fn add(&self, by: f64) {
        let add = |bits: u64| Some((f64::from_bits(bits) + by).to_bits());
        // The closure always answers `Some`, so this cannot fail.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

/// All metrics of a process. Cheap to clone, shared by rim and workers.
#[derive(Debug, Clone, Default)]
pub struct Metrics(pub(crate) Arc<Inner>);

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panic while a list was being pushed to leaves a whole list.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Metrics {
    pub fn new() -> Self {
        Self::default()
    }

    /// Cells for one more worker.
    pub fn worker(&self) -> WorkerMetrics {
        let store = Arc::new(Store::default());
        lock(&self.0.workers).push(store.clone());
        WorkerMetrics {
            all: self.clone(),
            store,
            handles: HashMap::default(),
            edges: HashMap::default(),
            recent: HashMap::default(),
            calls: WorkerCalls::default(),
            over: Rc::default(),
        }
    }

    /// A gauge of the family `name` (`organza_config_generation`) with these labels; the same one for the same labels.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: &[(&'static str, &str)]) -> Gauge {
        self.cell(name, help, labels, false)
    }

    /// A counter of the family `name`, without the `_total` that the format appends.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: &[(&'static str, &str)]) -> Gauge {
        self.cell(name, help, labels, true)
    }

    fn cell(&self, name: &'static str, help: &'static str, labels: &[(&'static str, &str)], is_counter: bool) -> Gauge {
        let mut families = lock(&self.0.gauges);
        let family = families.entry(name).or_insert_with(|| GaugeFamily { help, is_counter, cells: BTreeMap::new() });
        family.cells.entry(labels.iter().map(|(k, v)| (*k, (*v).to_owned())).collect()).or_default().clone()
    }

    /// Forgets a label set of a family: a certificate that is gone, a backend that left.
    pub fn forget(&self, name: &'static str, labels: &[(&'static str, &str)]) {
        if let Some(family) = lock(&self.0.gauges).get_mut(name) {
            family.cells.remove(&labels.iter().map(|(k, v)| (*k, (*v).to_owned())).collect::<Vec<_>>());
        }
    }

    /// Totals of every edge since the process began.
    pub fn edges(&self) -> BTreeMap<EdgeId, EdgeTotals> {
        let mut sums = BTreeMap::new();
        for store in lock(&self.0.workers).iter() {
            for cells in lock(&store.edges).iter() {
                cells.add_to(sums.entry(cells.id.clone()).or_default());
            }
        }
        sums
    }

    /// Calls that others made to what is behind this proxy, since the process began.
    pub fn calls(&self) -> BTreeMap<CallId, CallCounts> {
        self.0.calls.totals()
    }

    /// Where requests of a consumer are counted, by what it asked, while there is room: [`limits::CONSUMED`] are told apart. Ask once and keep it
    /// until nothing was counted for [`limits::CONSUMED_IDLE`].
    pub fn consumed(&self, consumer: &Arc<str>, api: &Arc<str>) -> Option<Arc<ConsumedCells>> {
        self.0.consumed.cells(consumer, api)
    }

    /// What consumers asked, since the process began.
    pub fn consumption(&self) -> BTreeMap<ConsumedId, ConsumedCounts> {
        self.0.consumed.totals()
    }

    /// Forgets where what consumers asked is counted and nobody counts any more, if `is_told` says that its counts were.
    pub(crate) fn forget_consumed(&self, is_told: impl FnMut(&ConsumedId, &ConsumedCounts) -> bool) {
        self.0.consumed.forget(is_told);
    }

    /// Calls that there was no room for.
    pub fn calls_left_out(&self) -> u64 {
        self.0.calls.left_out()
    }

    /// Cells of edges that no worker counts in any more.
    pub(crate) fn retired_edges(&self) -> Vec<Arc<EdgeCells>> {
        let workers = lock(&self.0.workers);
        let all = workers.iter().flat_map(|store| lock(&store.edges).clone());
        // Two: the store's, and this one.
        all.filter(|cells| Arc::strong_count(cells) == 2).collect()
    }

    /// Forgets cells of an edge, whose counts were told.
    pub(crate) fn forget_edge(&self, cells: &Arc<EdgeCells>) {
        for store in lock(&self.0.workers).iter() {
            lock(&store.edges).retain(|other| !Arc::ptr_eq(other, cells));
        }
        self.0.edges.release(&cells.id);
    }

    /// Cells of calls that no worker counts in any more.
    pub(crate) fn retired_calls(&self) -> Vec<Arc<CallCells>> {
        self.0.calls.retired()
    }

    /// Forgets cells of calls, whose counts were told.
    pub(crate) fn forget_calls(&self, told: &[Arc<CallCells>]) {
        self.0.calls.forget(told);
    }

    /// From now on there are at most so many label sets; [`limits::SERIES`] where that is fewer. Those that are there stay until they are idle.
    pub fn limit_series(&self, most: usize) {
        self.0.spared.store(limits::SERIES - most.min(limits::SERIES), Ordering::Relaxed);
    }

    /// From now on these labels are left out: what differs in them alone is counted, and told, as one.
    pub fn drop_labels(&self, dropped: Labels) {
        self.0.dropped.store(dropped.bits(), Ordering::Relaxed);
    }

    fn dropped(&self) -> Labels {
        Labels::of_bits(self.0.dropped.load(Ordering::Relaxed))
    }

    /// Requests that were counted under `other`, since their label sets were over the budget.
    pub fn folded(&self) -> u64 {
        self.0.folded.load(Ordering::Relaxed)
    }

    /// All of it as OpenMetrics.
    pub fn encode(&self) -> String {
        self.encode_as(Exposition::OpenMetrics)
    }

    /// All of it, as whoever asks reads it.
    pub fn encode_as(&self, exposition: Exposition) -> String {
        encode::encode(self, exposition)
    }
}

/// One worker's door to its cells.
#[derive(Debug)]
pub struct WorkerMetrics {
    all: Metrics,
    store: Arc<Store>,
    handles: HashMap<Pair, Rc<Handle>, foldhash::fast::RandomState>,
    edges: HashMap<EdgeId, Arc<EdgeCells>, foldhash::fast::RandomState>,
    /// Handles by where their labels lie. The same peers and services come again with each request, and an address is hashed in no time.
    recent: HashMap<Places, Recent, foldhash::fast::RandomState>,
    calls: WorkerCalls,
    over: Rc<Over>,
}

/// Where everything over the budget is counted: found by hashing, and bounded itself.
#[derive(Debug)]
struct Over {
    peer: Arc<Peer>,
    service: Arc<Destination>,
    series: RefCell<HashMap<(Pair, Ending), Arc<Series>, foldhash::fast::RandomState>>,
}

impl Default for Over {
    fn default() -> Self {
        let other: Arc<str> = "other".into();
        let peer = Arc::new(Peer::claimed("other", "other", "other", "other", "other", None));
        let service = Arc::new(Destination { host: other.clone(), name: other.clone(), namespace: other });
        Self { peer, service, series: RefCell::default() }
    }
}

impl Over {
    fn series(&self, pair: &Pair, ending: Ending, store: &Store) -> Arc<Series> {
        let pair = Pair { source: self.peer.clone(), destination: self.peer.clone(), service: Some(self.service.clone()), ..pair.clone() };
        let mut all = self.series.borrow_mut();
        let ending = if all.len() < limits::FOLDED { ending } else { Ending::default() };
        let made = || {
            let series = Arc::new(Series::new(pair.clone(), ending));
            lock(&store.series).push(series.clone());
            series
        };
        all.entry((pair.clone(), ending)).or_insert_with(made).clone()
    }
}

#[derive(Debug)]
struct Recent {
    handle: Rc<Handle>,
    /// Kept so that no other label can come to lie where these do. The handle's own pair may be an equal one elsewhere.
    _alive: Pair,
}

/// A pair by the addresses of its labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Places {
    reporter: Reporter,
    source: usize,
    destination: usize,
    service: usize,
    protocol: Protocol,
    security: Security,
    sent: bool,
}

impl Places {
    fn of(record: &Record) -> Self {
        Self {
            reporter: record.reporter,
            source: Arc::as_ptr(&record.source) as usize,
            destination: Arc::as_ptr(&record.destination) as usize,
            service: record.dialled_service.as_ref().map_or(0, |service| Arc::as_ptr(service) as usize),
            protocol: record.protocol,
            security: record.security,
            sent: record.is_sent(),
        }
    }
}

impl WorkerMetrics {
    /// The handle of a pair. Hashes its strings: keep the result with the connection or route, and ask once.
    pub fn handle(&mut self, pair: &Pair) -> Rc<Handle> {
        if let Some(handle) = self.handles.get(pair) {
            return handle.clone();
        }
        let edge = self.edge(EdgeId::of(pair));
        let (all, store, over) = (self.all.clone(), self.store.clone(), self.over.clone());
        let handle = Rc::new(Handle { all, store, over, pair: pair.clone(), edge, endings: RefCell::default() });
        // Over the budget nothing more is remembered: such handles count under `other`, which is found in `Handle::series`.
        if self.handles.len() < limits::SERIES {
            self.handles.insert(pair.clone(), handle.clone());
        }
        handle
    }

    /// For where no handle is at hand.
    pub fn observe(&mut self, record: &Record) {
        self.calls.ended(&self.all.0.calls, record);
        let places = Places::of(record);
        if let Some(known) = self.recent.get(&places) {
            return known.handle.observe(record);
        }
        let pair = Pair::of(record);
        let handle = self.handle(&pair);
        handle.observe(record);
        if self.recent.len() >= limits::RECENT {
            self.recent.clear();
        }
        self.recent.insert(places, Recent { handle, _alive: pair });
    }

    /// Counts an opaque connection when it opens; [`WorkerMetrics::observe`] counts its end.
    pub fn opened(&mut self, record: &Record) {
        self.calls.opened(&self.all.0.calls, record);
        self.handle(&Pair::of(record)).opened();
    }

    fn edge(&mut self, id: EdgeId) -> Arc<EdgeCells> {
        if let Some(cells) = self.edges.get(&id) {
            return cells.clone();
        }
        let within = self.all.0.edges.admit(&id, limits::EDGES);
        let id = if within { id } else { EdgeId::other(&id) };
        let (edges, store) = (&mut self.edges, &self.store);
        edges
            .entry(id.clone())
            .or_insert_with(|| {
                let cells = Arc::new(EdgeCells::new(id));
                lock(&store.edges).push(cells.clone());
                cells
            })
            .clone()
    }

    /// Forgets what was not counted for [`limits::SERIES_IDLE`], and calls for [`limits::CALLS_IDLE`]; `elapsed` since this was last asked.
    pub fn sweep(&mut self, elapsed: Duration) {
        self.handles.retain(|_, handle| handle.is_used(elapsed));
        self.recent.retain(|_, known| self.handles.contains_key(&known.handle.pair));
        self.over.series.borrow_mut().retain(|_, series| !series.is_idle(elapsed));
        lock(&self.store.series).retain(|series| Arc::strong_count(series) > 1);
        // The store keeps them until their counts were told.
        self.edges.retain(|_, cells| Arc::strong_count(cells) > 2);
        self.calls.sweep(elapsed);
    }
}

/// Counts for one pair, on one worker. No hashing, no lock, no allocation once an ending was seen before.
#[derive(Debug)]
pub struct Handle {
    all: Metrics,
    store: Arc<Store>,
    over: Rc<Over>,
    pair: Pair,
    edge: Arc<EdgeCells>,
    endings: RefCell<Vec<(Ending, Arc<Series>)>>,
}

impl Handle {
    /// Counts a finished request or connection.
    pub fn observe(&self, record: &Record) {
        let series = self.series(Ending::of(record));
        series.observe(record);
        self.edge.observe(record);
    }

    /// Counts an opaque connection when it opens; [`Handle::observe`] counts its end.
    pub fn opened(&self) {
        bump(&self.series(Ending::default()).opened, 1);
        bump(&self.edge.opened, 1);
    }

    fn series(&self, ending: Ending) -> Arc<Series> {
        let mut endings = self.endings.borrow_mut();
        if let Some((_, series)) = endings.iter().find(|(e, _)| *e == ending) {
            return series.clone();
        }
        let room = limits::SERIES - self.all.0.spared.load(Ordering::Relaxed);
        let dropped = self.all.dropped();
        let told = (dropped::pair(dropped, &self.pair), dropped::ending(dropped, ending));
        if !self.all.0.series.admit(&told, room) {
            // Not remembered: once there is room again, it is counted under its own name.
            self.all.0.folded.fetch_add(1, Ordering::Relaxed);
            return self.over.series(&self.pair, ending, &self.store);
        }
        let series = Arc::new(Series::new(told.0, told.1));
        lock(&self.store.series).push(series.clone());
        endings.push((ending, series.clone()));
        series
    }

    /// Forgets endings that are idle; says whether any is left.
    fn is_used(&self, elapsed: Duration) -> bool {
        let mut endings = self.endings.borrow_mut();
        let (opened, closed) = endings.iter().map(|(_, series)| series.connections()).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        if opened > closed {
            return true;
        }
        endings.retain(|(_, series)| {
            let idle = series.is_idle(elapsed);
            if idle {
                // As it was admitted, whatever is left out by now.
                self.all.0.series.release(&(series.pair.clone(), series.ending));
            }
            !idle
        });
        !endings.is_empty()
    }
}

/// Sums of one label set over all workers.
#[derive(Debug, Default)]
struct Sum {
    requests: u64,
    retries: u64,
    opened: u64,
    closed: u64,
    request_bytes: u64,
    response_bytes: u64,
    duration_micros: u64,
    duration: Vec<u64>,
    request_size: Vec<u64>,
    response_size: Vec<u64>,
    /// By bucket of the duration.
    examples: BTreeMap<usize, series::Example>,
}

impl Metrics {
    fn sums(&self) -> BTreeMap<(Pair, Ending), Sum> {
        let mut sums: BTreeMap<(Pair, Ending), Sum> = BTreeMap::new();
        let dropped = self.dropped();
        for store in lock(&self.0.workers).iter() {
            for series in lock(&store.series).iter() {
                // What was counted before a label was left out has it still.
                let told = (dropped::pair(dropped, &series.pair), dropped::ending(dropped, series.ending));
                series.add_to(sums.entry(told).or_default());
            }
        }
        sums
    }

    /// Latency of everything that this process reported, for `top` and the demo.
    pub fn latency(&self) -> Histogram {
        let mut sum = Histogram::default();
        self.edges().values().for_each(|edge| sum.add(&edge.latency));
        sum
    }
}

#[cfg(test)]
mod tests;
