//! Which endpoint of a service a request goes to. One balancer per worker and (service, subset); what it has measured of an endpoint
//! survives every change of the others. Unhealthy and draining endpoints get nothing; priorities, and within each the near before the far, are
//! used in order with spill-over.
//! It never dials, and it knows no clock and no source of randomness.

use crate::limits;
use model::{Balancer as Algorithm, Endpoint, Endpoints, Health, Labels};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

mod hashing;
use hashing::{Maglev, Ring};
pub use hashing::{hash_request, xxh64};

/// An endpoint within one balancer, from [`Balancer::started`] to [`Balancer::ended`], even where the endpoint is taken away meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Success,
    Failure,
    /// It answered, and how long that took says nothing of its speed.
    Untimed,
    /// The caller went away: says nothing of the endpoint.
    Cancelled,
}

/// What is known of one endpoint.
#[derive(Clone)]
struct State {
    name: Arc<str>,
    outstanding: u32,
    /// Peak EWMA of latency in nanoseconds; `None` until measured.
    latency: Option<f64>,
    measured: Option<Instant>,
    /// When what it was asked last ended, however.
    asked: Option<Instant>,
    /// Smooth weighted round robin.
    credit: i64,
    /// Place in [`Balancer::set`]; `None` once the endpoint is gone.
    place: Option<usize>,
    /// When it came; `None` for those that were there from the beginning.
    since: Option<Instant>,
    /// Share of its weight that it gets, in percent: less during a slow start.
    share: u64,
    /// Priority, then distance.
    rank: (u8, u8),
}

/// What stands beside the endpoints themselves when they are arranged.
pub struct Standing<'s> {
    pub ejected: &'s dyn Fn(&str) -> bool,
    /// When an ejected endpoint came back.
    pub returned: &'s dyn Fn(&str) -> Option<Instant>,
    /// How far an endpoint is: of one priority the nearest are used first.
    pub distance: &'s dyn Fn(&Endpoint) -> u8,
    /// Whether so few can be used, of so many, that all are.
    pub panic: &'s dyn Fn(usize, usize) -> bool,
    pub slow_start: Option<Duration>,
    pub now: Instant,
}

/// Of a level while it is being arranged: endpoints in all, and those that may be used, by place.
type Met = (u64, Vec<(usize, u32)>);

/// The endpoints of one priority and distance that can be used.
#[derive(Default)]
struct Level {
    ids: Vec<u32>,
    /// Running sums of weights, for choosing by weight.
    sums: Vec<u64>,
    even: bool,
    /// Share of all load, in percent.
    load: u64,
    turn: usize,
    ring: Option<Ring>,
    maglev: Option<Maglev>,
}

pub struct Balancer {
    algorithm: Algorithm,
    subset: Option<Labels>,
    set: Option<Arc<Endpoints>>,
    states: Vec<State>,
    levels: Vec<Level>,
}

impl Balancer {
    pub fn new(algorithm: Algorithm, subset: Option<Labels>) -> Self {
        Self { algorithm, subset, set: None, states: Vec::new(), levels: Vec::new() }
    }

    /// Chooses by another algorithm from the next [`Balancer::arrange`] on; says whether it is another.
    pub fn set_algorithm(&mut self, algorithm: &Algorithm) -> bool {
        let other = self.algorithm != *algorithm;
        if other {
            self.algorithm = algorithm.clone();
        }
        other
    }

    /// Takes another set of endpoints, and who of them may be used. An endpoint that keeps its id keeps what was measured of it. Says when it has to
    /// be told again, where weights are growing.
    pub fn arrange(&mut self, set: &Arc<Endpoints>, standing: &Standing<'_>) -> Option<Instant> {
        self.place(set, standing.now);
        let counted = |e: &&Endpoint| serves(e, self.subset.as_ref());
        let healthy = set.endpoints.iter().filter(counted).count();
        let usable = set.endpoints.iter().filter(counted).filter(|e| !(standing.ejected)(&e.id)).count();
        let panic = (standing.panic)(usable, healthy);
        let mut levels: BTreeMap<(u8, u8), Met> = BTreeMap::new();
        let mut grows = false;
        for (id, state) in self.states.iter_mut().enumerate() {
            let Some(endpoint) = state.place.and_then(|place| set.endpoints.get(place)) else { continue };
            if endpoint.health == Health::Draining || endpoint.weight == 0 {
                continue;
            }
            state.share = state.share_at(standing);
            grows |= state.share < 100;
            state.rank = (endpoint.priority, (standing.distance)(endpoint));
            let (all, usable) = levels.entry(state.rank).or_default();
            *all += 1;
            if endpoint.health == Health::Healthy && (panic || !(standing.ejected)(&endpoint.id)) {
                usable.push((state.place.unwrap_or_default(), id as u32));
            }
        }
        self.set = Some(set.clone());
        let ordered = levels.into_values().map(|(all, mut usable)| {
            usable.sort_unstable();
            (all, usable.into_iter().map(|(_, id)| id).collect())
        });
        self.levels = ordered.collect::<Vec<_>>().into_iter().map(|(all, usable)| self.level(all, usable)).collect();
        share_load(&mut self.levels);
        let step = standing.slow_start.map(|window| window / limits::SLOW_START_STEPS);
        step.filter(|_| grows).and_then(|step| standing.now.checked_add(step))
    }

    /// Finds or makes the state of each endpoint of the set.
    fn place(&mut self, set: &Arc<Endpoints>, now: Instant) {
        if self.set.as_ref().is_some_and(|old| Arc::ptr_eq(old, set)) {
            return;
        }
        let since = self.set.is_some().then_some(now);
        self.states.iter_mut().for_each(|state| state.place = None);
        let mut by_name: hashbrown::HashMap<Arc<str>, u32, foldhash::fast::FixedState> =
            self.states.iter().enumerate().map(|(id, state)| (state.name.clone(), id as u32)).collect();
        let named: hashbrown::HashSet<&str, foldhash::fast::FixedState> = set.endpoints.iter().map(|e| &*e.id).collect();
        let mut spare: Vec<u32> = Vec::new();
        for (id, state) in self.states.iter().enumerate().rev() {
            if state.outstanding == 0 && !named.contains(&*state.name) {
                spare.push(id as u32);
            }
        }
        let subset = self.subset.clone();
        for (place, endpoint) in set.endpoints.iter().enumerate().filter(|(_, e)| in_subset(subset.as_ref(), e)) {
            let id = by_name.get(&endpoint.id).copied().unwrap_or_else(|| {
                let fresh = State::new(&endpoint.id, since);
                match spare.pop() {
                    Some(id) => {
                        self.states[id as usize] = fresh;
                        id
                    }
                    None => {
                        self.states.push(fresh);
                        self.states.len() as u32 - 1
                    }
                }
            });
            by_name.insert(endpoint.id.clone(), id);
            self.states[id as usize].place = Some(place);
        }
    }

    /// The id of an endpoint that can be picked now or is ejected.
    pub fn find(&self, name: &str) -> Option<EndpointId> {
        let usable = |id: u32| self.at(id).is_some_and(|e| e.health == Health::Healthy && e.weight > 0);
        let id = self.states.iter().position(|state| *state.name == *name && state.place.is_some())? as u32;
        usable(id).then_some(EndpointId(id))
    }

    fn level(&self, all: u64, ids: Vec<u32>) -> Level {
        let weights: Vec<u64> = ids.iter().map(|id| self.effective(*id)).collect();
        let even = weights.windows(2).all(|pair| pair[0] == pair[1]);
        let mut sum = 0;
        let sums = weights.iter().map(|weight| {
            sum += weight;
            sum
        });
        let sums = sums.collect();
        let load = (ids.len() as u64 * limits::PRIORITY_OVERPROVISION_PERCENT / all.max(1)).min(100);
        Level { ids, sums, even, load, ..Level::default() }
    }

    fn at(&self, id: u32) -> Option<&Endpoint> {
        self.set.as_ref()?.endpoints.get(self.states.get(id as usize)?.place?)
    }

    fn weight(&self, id: u32) -> u32 {
        self.at(id).map_or(0, |endpoint| endpoint.weight)
    }

    /// Weight times share, both as they are now.
    fn effective(&self, id: u32) -> u64 {
        u64::from(self.weight(id)) * self.states.get(id as usize).map_or(100, |state| state.share)
    }

    /// The endpoint behind an id, while it is there.
    pub fn endpoint(&self, id: EndpointId) -> Option<&Endpoint> {
        self.at(id.0)
    }

    /// Where an endpoint stands in the set that was told last, while it is there.
    pub fn position(&self, id: EndpointId) -> Option<usize> {
        self.states.get(id.0 as usize)?.place
    }

    /// Requests under way there.
    pub fn outstanding(&self, id: EndpointId) -> u32 {
        self.states.get(id.0 as usize).map_or(0, |state| state.outstanding)
    }

    /// Endpoints that can be used now.
    pub fn usable(&self) -> usize {
        self.levels.iter().map(|level| level.ids.len()).sum()
    }

    /// The endpoint of this kind, where it can be picked now.
    pub fn usable_where(&self, fits: impl Fn(&str) -> bool) -> Option<EndpointId> {
        self.levels.iter().flat_map(|level| &level.ids).copied().find(|id| fits(&self.states[*id as usize].name)).map(EndpointId)
    }

    /// Whether another than those excluded can be picked.
    pub fn has_other(&self, exclude: &[EndpointId]) -> bool {
        self.levels.iter().flat_map(|level| &level.ids).any(|id| !exclude.contains(&EndpointId(*id)))
    }

    /// Numbers as a balancer gives them.
    #[cfg(test)]
    pub(crate) fn ids_for_tests(count: u32) -> Vec<EndpointId> {
        (0..count).map(EndpointId).collect()
    }

    /// Chooses an endpoint that is not excluded; `None` where there is none. `draw` is uniform over all of `u64`; `hash` is what ring hash and
    /// Maglev go by (without it they go by `draw`).
    pub fn pick(&mut self, draw: u64, now: Instant, hash: Option<u64>, exclude: &[EndpointId]) -> Option<EndpointId> {
        let first = self.choose_level(draw, hash);
        let order = (first..self.levels.len()).chain(0..first);
        for level in order {
            if let Some(id) = self.pick_in(level, spread(draw), now, hash, exclude) {
                return Some(EndpointId(id));
            }
        }
        None
    }

    /// One that is left out now, for whoever found all others dead: those of the first priority that has any. Whether it answers is not known, of
    /// the others it is known that they do not.
    pub fn pick_left_out(&self, draw: u64, exclude: &[EndpointId]) -> Option<EndpointId> {
        let open = |id: &u32| {
            let fits = |e: &Endpoint| e.health == Health::Healthy && e.weight > 0;
            self.at(*id).is_some_and(fits) && !exclude.contains(&EndpointId(*id))
        };
        let all: Vec<u32> = (0..self.states.len() as u32).filter(open).collect();
        let rank = |id: &u32| self.states.get(*id as usize).map(|state| state.rank);
        let first = all.iter().map(rank).min()?;
        let nearest: Vec<u32> = all.into_iter().filter(|id| rank(id) == first).collect();
        nearest.get(scale(draw, nearest.len() as u64) as usize).copied().map(EndpointId)
    }

    /// By share of load. A hash decides here too, so that one key stays with one endpoint.
    fn choose_level(&self, draw: u64, hash: Option<u64>) -> usize {
        let by_hash = matches!(self.algorithm, Algorithm::RingHash(_) | Algorithm::Maglev(_));
        let seed = hash.filter(|_| by_hash).map_or(draw, spread);
        let total: u64 = self.levels.iter().map(|level| level.load).sum();
        let mut point = scale(seed, total);
        for (place, level) in self.levels.iter().enumerate() {
            match point.checked_sub(level.load) {
                Some(rest) => point = rest,
                None => return place,
            }
        }
        0
    }

    fn pick_in(&mut self, level: usize, draw: u64, now: Instant, hash: Option<u64>, exclude: &[EndpointId]) -> Option<u32> {
        match self.algorithm {
            Algorithm::PeakEwma => self.two_choices(level, draw, exclude, |state| state.peak_cost(now)),
            Algorithm::LeastRequest => self.two_choices(level, draw, exclude, |state| f64::from(state.outstanding)),
            Algorithm::RoundRobin => self.round_robin(level, exclude),
            Algorithm::RingHash(_) => {
                if self.levels[level].ring.is_none() {
                    let ring = Ring::new(&self.named(level));
                    self.levels[level].ring = Some(ring);
                }
                self.levels[level].ring.as_ref()?.walk(hash.unwrap_or(draw)).find(|id| !exclude.contains(&EndpointId(*id)))
            }
            Algorithm::Maglev(_) => {
                if self.levels[level].maglev.is_none() {
                    let table = Maglev::new(&self.named(level));
                    self.levels[level].maglev = Some(table);
                }
                self.levels[level].maglev.as_ref()?.walk(hash.unwrap_or(draw)).find(|id| !exclude.contains(&EndpointId(*id)))
            }
        }
    }

    fn named(&self, level: usize) -> Vec<(u32, &str, u32)> {
        self.levels[level].ids.iter().map(|id| (*id, &*self.states[*id as usize].name, self.weight(*id))).collect()
    }

    /// Two endpoints by weight, then the one that costs less.
    fn two_choices(&self, level: usize, draw: u64, exclude: &[EndpointId], cost: impl Fn(&State) -> f64) -> Option<u32> {
        let level = &self.levels[level];
        let open = |place: &usize| !exclude.contains(&EndpointId(level.ids[*place]));
        let first = by_weight(level, draw)?;
        if level.ids.len() == 1 {
            return open(&first).then(|| level.ids[first]);
        }
        // The second is drawn from all others, so that two endpoints are always both looked at.
        let step = |from: usize, draw: u64| (from + 1 + scale(draw, level.ids.len() as u64 - 1) as usize) % level.ids.len();
        let second = match level.even {
            true => step(first, spread(draw)),
            false => {
                let other = by_weight(level, spread(draw))?;
                if other == first { step(first, spread(spread(draw))) } else { other }
            }
        };
        let value = |place: usize| cost(&self.states[level.ids[place] as usize]);
        let chosen = match (open(&first), open(&second)) {
            (true, true) if value(second) < value(first) => second,
            (true, _) => first,
            (false, true) => second,
            (false, false) => (0..level.ids.len()).map(|i| (first + i) % level.ids.len()).find(open)?,
        };
        Some(level.ids[chosen])
    }

    /// Even weights take turns; others the smooth way, where an endpoint of weight 3 is not picked three times in a row.
    fn round_robin(&mut self, level: usize, exclude: &[EndpointId]) -> Option<u32> {
        let count = self.levels[level].ids.len();
        if self.levels[level].even {
            for _ in 0..count {
                let turn = self.levels[level].turn % count;
                self.levels[level].turn = turn + 1;
                let id = self.levels[level].ids[turn];
                if !exclude.contains(&EndpointId(id)) {
                    return Some(id);
                }
            }
            return None;
        }
        let ids = self.levels[level].ids.clone();
        let (mut total, mut best): (i64, Option<u32>) = (0, None);
        for id in ids.into_iter().filter(|id| !exclude.contains(&EndpointId(*id))) {
            let weight = self.effective(id) as i64;
            total += weight;
            self.states[id as usize].credit += weight;
            if best.is_none_or(|best| self.states[id as usize].credit > self.states[best as usize].credit) {
                best = Some(id);
            }
        }
        let best = best?;
        self.states[best as usize].credit -= total;
        Some(best)
    }

    pub fn started(&mut self, id: EndpointId) {
        if let Some(state) = self.states.get_mut(id.0 as usize) {
            state.outstanding += 1;
        }
    }

    pub fn ended(&mut self, id: EndpointId, outcome: Outcome, latency: Duration, now: Instant) {
        let Some(state) = self.states.get_mut(id.0 as usize) else { return };
        state.outstanding = state.outstanding.saturating_sub(1);
        match outcome {
            Outcome::Success => state.observe(latency, now),
            Outcome::Failure => state.observe(latency.max(limits::EWMA_FAILURE), now),
            // Who was taken for worse is a stranger again.
            Outcome::Untimed if state.latency.is_none_or(|known| known > initial()) => state.observe(limits::EWMA_INITIAL, now),
            Outcome::Untimed => state.measured = Some(now),
            Outcome::Cancelled => {}
        }
        state.asked = Some(now);
    }
}

/// What is believed of strangers, in nanoseconds.
fn initial() -> f64 {
    limits::EWMA_INITIAL.as_nanos() as f64
}

impl State {
    fn new(name: &Arc<str>, since: Option<Instant>) -> Self {
        Self {
            name: name.clone(),
            outstanding: 0,
            latency: None,
            measured: None,
            asked: None,
            credit: 0,
            place: None,
            since,
            share: 100,
            rank: (0, 0),
        }
    }

    /// Grows in steps from a tenth to the whole.
    fn share_at(&self, standing: &Standing<'_>) -> u64 {
        let Some(window) = standing.slow_start.filter(|window| !window.is_zero()) else { return 100 };
        let Some(since) = self.since.max((standing.returned)(&self.name)) else { return 100 };
        let passed = standing.now.saturating_duration_since(since).as_nanos() * 100 / window.as_nanos();
        u64::try_from(passed).unwrap_or(100).clamp(limits::SLOW_START_PERCENT, 100)
    }

    /// A rise counts at once, a fall by and by.
    fn observe(&mut self, latency: Duration, now: Instant) {
        let (sample, believed) = (latency.as_secs_f64() * 1e9, self.believed());
        self.latency = Some(match self.latency {
            Some(_) if sample < believed => sample + (believed - sample) * keep(self.measured, now),
            _ => sample,
        });
        self.measured = Some(now);
    }

    fn believed(&self) -> f64 {
        self.latency.unwrap_or_else(initial)
    }

    /// Who is idle was either never asked, and is asked first, or what was measured of it fades with the time since it was asked: else whoever was slow or
    /// failed once, or is new, would get nothing as long as the others are fast and have little to do. (Since it was asked, not measured: who hangs until
    /// its callers give up is not measured.) Of who has something to do a bad measure alone fades, and no further than to what is believed of
    /// strangers, so that one that hangs does not draw calls.
    fn peak_cost(&self, now: Instant) -> f64 {
        let believed = self.believed();
        match self.outstanding {
            0 if self.asked.is_none() => 0.0,
            0 => believed * keep(self.measured.max(self.asked), now),
            outstanding if self.asked.is_none() => believed * f64::from(outstanding),
            outstanding => {
                let faded = if believed > initial() { initial() + (believed - initial()) * keep(self.measured, now) } else { believed };
                faded * f64::from(outstanding + 1)
            }
        }
    }
}

/// How much of what was learnt then still counts.
fn keep(then: Option<Instant>, now: Instant) -> f64 {
    let age = then.map_or(Duration::ZERO, |then| now.saturating_duration_since(then));
    (-age.as_secs_f64() / limits::EWMA_DECAY.as_secs_f64()).exp()
}

/// Whether an endpoint may be picked for a subset, as far as the control plane told it.
pub fn serves(endpoint: &Endpoint, subset: Option<&Labels>) -> bool {
    in_subset(subset, endpoint) && endpoint.health == Health::Healthy && endpoint.weight > 0
}

fn in_subset(subset: Option<&Labels>, endpoint: &Endpoint) -> bool {
    subset.into_iter().flatten().all(|(name, value)| endpoint.labels.get(name) == Some(value))
}

/// A level takes what its usable share can carry; what is missing goes to the next, and what nobody can carry is shared.
fn share_load(levels: &mut [Level]) {
    let mut left = 100;
    for level in levels.iter_mut() {
        level.load = level.load.min(left);
        left -= level.load;
    }
}

/// `draw` scaled to `0..limit`.
fn scale(draw: u64, limit: u64) -> u64 {
    ((u128::from(draw) * u128::from(limit)) >> 64) as u64
}

/// Another draw from one draw (splitmix64).
fn spread(draw: u64) -> u64 {
    let mut x = draw.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn by_weight(level: &Level, draw: u64) -> Option<usize> {
    let point = scale(draw, *level.sums.last()?);
    Some(level.sums.partition_point(|sum| *sum <= point))
}

#[cfg(test)]
mod tests;
