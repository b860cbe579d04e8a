use super::*;
use model::service::HashOn;
use model::{Key, Kind, Locality, Source, Tunnel};

fn endpoint(name: &str, weight: u32) -> Endpoint {
    Endpoint {
        id: name.into(),
        workload: None,
        address: "127.0.0.1".parse().unwrap(),
        ports: vec![(80, 8080)],
        datagrams: Vec::new(),
        tunnel: Tunnel::None,
        identity: None,
        health: Health::Healthy,
        weight,
        priority: 0,
        locality: Locality::default(),
        labels: Labels::default(),
        tls: None,
    }
}

fn set(endpoints: Vec<Endpoint>) -> Arc<Endpoints> {
    Arc::new(Endpoints { key: Key::new(Source::files(), Kind::Endpoints, "shop", "catalog"), endpoints })
}

impl Balancer {
    fn take(&mut self, set: &Arc<Endpoints>) {
        self.stand(set, &[], None, Instant::now());
    }

    fn stand(&mut self, set: &Arc<Endpoints>, ejected: &[&str], slow_start: Option<Duration>, now: Instant) -> Option<Instant> {
        let standing = Standing {
            ejected: &|name| ejected.contains(&name),
            returned: &|_| None,
            distance: &|e| e.locality.zone.len() as u8,
            panic: &|usable, all| all > 0 && usable == 0,
            slow_start,
            now,
        };
        self.arrange(set, &standing)
    }
}

fn balancer(algorithm: Algorithm, endpoints: Vec<Endpoint>) -> Balancer {
    let mut balancer = Balancer::new(algorithm, None);
    balancer.take(&set(endpoints));
    balancer
}

/// How often each of `names` is picked in `n` seeded draws, nothing outstanding.
fn counts(balancer: &mut Balancer, names: &[&str], n: u64) -> Vec<u64> {
    let now = Instant::now();
    let mut counts = vec![0; names.len()];
    for i in 0..n {
        let draw = spread(i);
        let id = balancer.pick(draw, now, Some(spread(draw ^ 7)), &[]).unwrap();
        let name = &balancer.endpoint(id).unwrap().id;
        counts[names.iter().position(|n| **n == **name).unwrap()] += 1;
    }
    counts
}

/// Pearson's statistic against shares given as weights.
fn chi_square(counts: &[u64], weights: &[u64]) -> f64 {
    let (n, total) = (counts.iter().sum::<u64>() as f64, weights.iter().sum::<u64>() as f64);
    let terms = counts.iter().zip(weights).map(|(count, weight)| {
        let want = n * *weight as f64 / total;
        (*count as f64 - want).powi(2) / want
    });
    terms.sum()
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

#[test]
fn shares_follow_weights() {
    // 16.27 is exceeded by chance once in a thousand with three degrees of freedom.
    let even = |algorithm| balancer(algorithm, NAMES.map(|n| endpoint(n, 1)).to_vec());
    for algorithm in [Algorithm::PeakEwma, Algorithm::LeastRequest, Algorithm::RoundRobin] {
        let got = counts(&mut even(algorithm.clone()), &NAMES, 20_000);
        assert!(chi_square(&got, &[1, 1, 1, 1]) < 16.27, "{algorithm:?}: {got:?}");
    }
    let uneven = |algorithm| balancer(algorithm, NAMES.iter().zip([1, 2, 3, 4]).map(|(n, w)| endpoint(n, w)).collect());
    let got = counts(&mut uneven(Algorithm::RoundRobin), &NAMES, 1000);
    assert_eq!(got, [100, 200, 300, 400]);
    for algorithm in [Algorithm::RingHash(HashOn::SourceAddress), Algorithm::Maglev(HashOn::SourceAddress)] {
        let got = counts(&mut uneven(algorithm.clone()), &NAMES, 20_000);
        for (count, weight) in got.iter().zip(1..) {
            let share = *count as f64 / 2000.0 / f64::from(weight);
            assert!((0.8..1.2).contains(&share), "{algorithm:?}: {got:?}");
        }
    }
}

#[test]
fn slow_and_busy_endpoints_get_less() {
    let now = Instant::now();
    let mut ewma = balancer(Algorithm::PeakEwma, vec![endpoint("a", 1), endpoint("b", 1)]);
    for (id, ms) in [(0, 100), (1, 5)] {
        ewma.started(EndpointId(id));
        ewma.ended(EndpointId(id), Outcome::Success, Duration::from_millis(ms), now);
    }
    for i in 0..100 {
        assert_eq!(ewma.pick(spread(i), now, None, &[]), Some(EndpointId(1)));
    }
    (0..30).for_each(|_| ewma.started(EndpointId(1)));
    assert_eq!(ewma.pick(1, now, None, &[]), Some(EndpointId(0)), "thirty under way at 5 ms cost more than one at 100 ms");
    let mut failing = balancer(Algorithm::PeakEwma, vec![endpoint("a", 1), endpoint("b", 1)]);
    failing.ended(EndpointId(0), Outcome::Failure, Duration::from_micros(1), now);
    assert_eq!(failing.pick(1, now, None, &[]), Some(EndpointId(1)), "failing fast is not being fast");
}

/// One call after another, each of a millisecond, which `ends` so at each endpoint; how many each gets.
fn one_by_one(balancer: &mut Balancer, from: Instant, calls: u32, ends: impl Fn(&str) -> Outcome) -> (BTreeMap<String, u32>, Instant) {
    let (mut got, mut now) = (BTreeMap::new(), from);
    for call in 0..calls {
        let id = balancer.pick(spread(u64::from(call)), now, None, &[]).unwrap();
        let name = balancer.endpoint(id).unwrap().id.to_string();
        balancer.started(id);
        now += Duration::from_millis(1);
        balancer.ended(id, ends(&name), Duration::from_millis(1), now);
        *got.entry(name).or_default() += 1;
        now += Duration::from_millis(9);
    }
    (got, now)
}

#[test]
fn who_is_idle_is_asked_again_however_it_was_measured() {
    let well = |_: &str| Outcome::Success;
    let mut all = balancer(Algorithm::PeakEwma, vec![endpoint("a", 1), endpoint("b", 1), endpoint("c", 1)]);
    let (got, now) = one_by_one(&mut all, Instant::now(), 3_000, well);
    assert!(got.len() == 3 && got.values().all(|got| *got > 600), "however little there is to do, each gets its share: {got:?}");
    // Who is new is asked at once, and not by all at once.
    all.stand(&set(["a", "b", "c", "d"].map(|name| endpoint(name, 1)).to_vec()), &[], None, now);
    let d = all.find("d").unwrap();
    let new: Vec<_> = (0..64).filter(|draw| all.pick(spread(*draw), now, None, &[]) == Some(d)).collect();
    assert!(new.len() > 16, "{new:?}");
    all.started(d);
    assert!((0..64).all(|draw| all.pick(spread(draw), now, None, &[]) != Some(d)), "until it has answered one");
    all.ended(d, Outcome::Success, Duration::from_millis(1), now);
    // Who fails is hardly asked from its first failure on, and gets its share again once it does not.
    let (got, now) = one_by_one(&mut all, now, 3_000, |name| if name == "b" { Outcome::Failure } else { Outcome::Success });
    assert!(got["b"] <= 2, "{got:?}");
    let (got, now) = one_by_one(&mut all, now, 12_000, well);
    assert!(got.get("b").is_some_and(|got| *got > 300), "{got:?}");
    let (got, _) = one_by_one(&mut all, now, 4_000, well);
    assert!(got.len() == 4 && got.values().all(|got| *got > 600), "{got:?}");
}

#[test]
fn who_is_given_up_by_its_callers_is_no_favourite() {
    let mut all = balancer(Algorithm::PeakEwma, vec![endpoint("a", 1), endpoint("b", 1)]);
    let gives_up = |name: &str| if name == "b" { Outcome::Cancelled } else { Outcome::Success };
    let (got, now) = one_by_one(&mut all, Instant::now(), 400, gives_up);
    assert!(got.get("b").is_none_or(|got| *got <= 220), "one that never answered anybody: {got:?}");
    let (got, now) = one_by_one(&mut all, now, 4_000, |_| Outcome::Success);
    assert!(got["b"] >= 1, "it is asked again all the same: {got:?}");
    let (got, _) = one_by_one(&mut all, now, 400, gives_up);
    assert!(got["b"] <= 220, "one that was fast: {got:?}");
}

#[test]
fn who_failed_once_is_asked_again_where_no_answer_tells_a_time() {
    let mut all = balancer(Algorithm::PeakEwma, vec![endpoint("a", 1), endpoint("b", 1)]);
    let mut now = Instant::now();
    all.started(EndpointId(1));
    all.ended(EndpointId(1), Outcome::Failure, Duration::ZERO, now);
    let mut minute = |second: u64| {
        let mut got = 0;
        for call in 0..60 {
            now += Duration::from_secs(1);
            let id = all.pick(spread(second + call), now, None, &[]).unwrap();
            all.started(id);
            all.ended(id, Outcome::Untimed, Duration::ZERO, now);
            got += u32::from(id == EndpointId(1));
        }
        got
    };
    assert!(minute(0) >= 1, "within a minute");
    minute(60);
    assert!((20..=40).contains(&minute(120)), "and is one like others by and by");
}

#[test]
fn who_hangs_draws_no_calls() {
    let now = Instant::now();
    let mut all = balancer(Algorithm::PeakEwma, vec![endpoint("a", 1), endpoint("b", 1)]);
    for id in [0, 1] {
        all.started(EndpointId(id));
        all.ended(EndpointId(id), Outcome::Success, Duration::from_millis(1), now);
    }
    all.started(EndpointId(0));
    let later = now + 20 * limits::EWMA_DECAY;
    all.started(EndpointId(1));
    all.ended(EndpointId(1), Outcome::Success, Duration::from_millis(1), later);
    assert!((0..64).all(|draw| all.pick(spread(draw), later, None, &[]) == Some(EndpointId(1))));
}

#[test]
fn state_survives_updates_and_what_is_away_gets_nothing() {
    let now = Instant::now();
    let mut balancer = balancer(Algorithm::RoundRobin, vec![endpoint("a", 1), endpoint("b", 1)]);
    let both = [(); 2].map(|()| balancer.pick(0, now, None, &[]).unwrap());
    let b = *both.iter().find(|id| &*balancer.endpoint(**id).unwrap().id == "b").unwrap();
    balancer.started(b);
    balancer.take(&set(vec![endpoint("c", 1), endpoint("b", 1)]));
    assert_eq!((balancer.outstanding(b), &*balancer.endpoint(b).unwrap().id), (1, "b"));
    let mut away = vec![endpoint("b", 1), endpoint("d", 1), endpoint("e", 0), endpoint("f", 1)];
    (away[0].health, away[1].health) = (Health::Draining, Health::Unhealthy);
    balancer.take(&set(away));
    assert_eq!(balancer.usable(), 1);
    let f = balancer.pick(0, now, None, &[]).unwrap();
    assert_eq!(&*balancer.endpoint(f).unwrap().id, "f");
    assert_eq!(balancer.pick(0, now, None, &[f]), None);
    balancer.take(&set(vec![endpoint("g", 1)]));
    assert_eq!((balancer.outstanding(b), balancer.endpoint(b)), (1, None), "gone, but its request is still under way");
}

#[test]
fn priorities_spill_over_and_subsets_hold() {
    let mut ends: Vec<_> = NAMES.iter().map(|n| endpoint(n, 1)).collect();
    (ends[2].priority, ends[3].priority) = (1, 1);
    let mut all = balancer(Algorithm::RoundRobin, ends.clone());
    assert_eq!(counts(&mut all, &NAMES, 100), [50, 50, 0, 0]);
    ends[0].health = Health::Unhealthy;
    let got = counts(&mut balancer(Algorithm::RoundRobin, ends.clone()), &NAMES, 10_000);
    assert!(got[0] == 0 && (6800..7200).contains(&got[1]), "half of a level carries 70 %: {got:?}");
    ends[3].labels.insert("version".into(), "v2".into());
    let mut v2 = Balancer::new(Algorithm::default(), Some(ends[3].labels.clone()));
    v2.take(&set(ends));
    assert_eq!(counts(&mut v2, &NAMES, 100), [0, 0, 0, 100]);
}

#[test]
fn hashes_are_the_published_ones_and_keys_stay() {
    assert_eq!(xxh64(b"", 0), 0xEF46_DB37_51D8_E999);
    assert_eq!(xxh64(b"abc", 0), 0x44BC_2CF5_AD77_0999);
    let now = Instant::now();
    for algorithm in [Algorithm::RingHash(HashOn::SourceAddress), Algorithm::Maglev(HashOn::SourceAddress)] {
        let names = ["a", "b", "c", "d", "e"];
        let place = |n: usize| {
            let mut balancer = balancer(algorithm.clone(), names[..n].iter().map(|n| endpoint(n, 1)).collect());
            let picks = (0..1000).map(|i| {
                let id = balancer.pick(0, now, Some(spread(i)), &[]).unwrap();
                balancer.endpoint(id).unwrap().id.clone()
            });
            picks.collect::<Vec<_>>()
        };
        let (five, four) = (place(5), place(4));
        let moved = five.iter().zip(&four).filter(|(a, b)| a != b && ***a != *"e").count();
        assert!(moved < 100, "{algorithm:?}: {moved} keys moved without need");
    }
}

#[test]
fn the_ejected_get_nothing_unless_nobody_else_is_left() {
    let all = set(NAMES.map(|n| endpoint(n, 1)).to_vec());
    let mut balancer = balancer(Algorithm::RoundRobin, Vec::new());
    balancer.stand(&all, &["b", "d"], None, Instant::now());
    assert_eq!(counts(&mut balancer, &NAMES, 100), [50, 0, 50, 0]);
    balancer.stand(&all, &NAMES, None, Instant::now());
    assert_eq!(counts(&mut balancer, &NAMES, 100), [25; 4]);
    assert!(balancer.find("b").is_some() && balancer.find("nobody").is_none());
}

#[test]
fn whoever_was_at_all_others_gets_one_that_is_left_out() {
    let far = Endpoint { priority: 1, ..endpoint("d", 1) };
    let ill = Endpoint { health: Health::Unhealthy, ..endpoint("c", 1) };
    let all = set(vec![endpoint("a", 1), endpoint("b", 1), ill, far]);
    let mut balancer = balancer(Algorithm::RoundRobin, Vec::new());
    balancer.stand(&all, &["b", "d"], None, Instant::now());
    let mut tried = vec![balancer.find("a").unwrap()];
    assert_eq!(balancer.pick(0, Instant::now(), None, &tried), None);
    for near in ["b", "d"] {
        for draw in [0, u64::MAX / 2, u64::MAX] {
            assert_eq!(balancer.pick_left_out(draw, &tried), balancer.find(near), "the first priority first");
        }
        tried.extend(balancer.find(near));
    }
    assert_eq!(balancer.pick_left_out(0, &tried), None, "who is ill is never asked");
}

#[test]
fn ejection_spills_over_to_the_next_priority() {
    let far = |name| Endpoint { priority: 1, ..endpoint(name, 1) };
    let all = set(vec![endpoint("a", 1), endpoint("b", 1), far("c"), far("d")]);
    let mut balancer = balancer(Algorithm::RoundRobin, Vec::new());
    balancer.stand(&all, &["a", "b"], None, Instant::now());
    assert_eq!(counts(&mut balancer, &NAMES, 100), [0, 0, 50, 50]);
    // Half of the first can carry 70 % of all (140 % of its share).
    balancer.stand(&all, &["a"], None, Instant::now());
    let got = counts(&mut balancer, &NAMES, 10_000);
    assert!(got[0] == 0 && (6700..7300).contains(&got[1]), "{got:?}");
}

#[test]
fn a_new_endpoint_starts_slowly_and_the_first_ones_do_not() {
    let (start, window) = (Instant::now(), Duration::from_secs(10));
    let mut balancer = Balancer::new(Algorithm::RoundRobin, None);
    assert_eq!(balancer.stand(&set(vec![endpoint("a", 1)]), &[], Some(window), start), None);
    let both = set(vec![endpoint("a", 1), endpoint("b", 1)]);
    let again = balancer.stand(&both, &[], Some(window), start);
    assert_eq!(again, Some(start + window / limits::SLOW_START_STEPS));
    let got = counts(&mut balancer, &NAMES[..2], 110);
    assert_eq!(got, [100, 10]);
    balancer.stand(&both, &[], Some(window), start + window / 2);
    assert_eq!(counts(&mut balancer, &NAMES[..2], 150), [100, 50]);
    assert_eq!(balancer.stand(&both, &[], Some(window), start + window), None);
    assert_eq!(counts(&mut balancer, &NAMES[..2], 100), [50, 50]);
}

#[test]
fn the_near_get_all_until_they_are_too_few_and_then_what_they_can_carry() {
    // In these tests an endpoint is as far as its zone's name is long.
    let at = |name: &str, zone: &str| Endpoint { locality: Locality { zone: zone.into(), ..Locality::default() }, ..endpoint(name, 1) };
    let all = set(vec![at("a", ""), at("b", ""), at("c", ""), at("d", "."), at("e", "."), at("f", "..")]);
    let names = ["a", "b", "c", "d", "e", "f"];
    let mut b = Balancer::new(Algorithm::RoundRobin, None);
    let mut shares = |out: &[&str]| {
        b.stand(&all, out, None, Instant::now());
        let counts = counts(&mut b, &names, 20_000);
        (counts[..3].iter().sum::<u64>() / 200, counts[3..5].iter().sum::<u64>() / 200, counts[5] / 200)
    };
    assert_eq!(shares(&[]), (100, 0, 0));
    // Two of three can carry 93 % of what all three do (overprovisioned by 1.4), one 46 %.
    assert!(matches!(shares(&["a"]), (92..=94, 6..=8, 0)), "{:?}", shares(&["a"]));
    assert!(matches!(shares(&["a", "b"]), (45..=47, 53..=55, 0)), "{:?}", shares(&["a", "b"]));
    assert_eq!(shares(&["a", "b", "c"]), (0, 100, 0));
    // One of the two that come next carries 70 % of what they do.
    assert!(matches!(shares(&["a", "b", "c", "d"]), (0, 69..=71, 29..=31)), "{:?}", shares(&["a", "b", "c", "d"]));
    assert_eq!(shares(&["a", "b", "c", "d", "e"]), (0, 0, 100));
}

#[test]
fn priority_goes_before_distance() {
    let at = |name: &str, priority, zone: &str| Endpoint {
        priority,
        locality: Locality { zone: zone.into(), ..Locality::default() },
        ..endpoint(name, 1)
    };
    let all = set(vec![at("far", 0, ".."), at("near", 1, "")]);
    let mut b = Balancer::new(Algorithm::RoundRobin, None);
    b.stand(&all, &[], None, Instant::now());
    assert_eq!(counts(&mut b, &["far", "near"], 100), [100, 0]);
    b.stand(&all, &["far"], None, Instant::now());
    assert_eq!(counts(&mut b, &["far", "near"], 100), [0, 100]);
}

#[test]
fn a_ring_is_of_so_many_points_however_unlike_the_weights() {
    let (light, heavy) = ((0, "light", 1), (1, "heavy", 1_000_000));
    let points = |named: &[(u32, &str, u32)]| hashing::Ring::new(named).walk(0).count();
    // One more for each whose share is rounded up.
    assert_eq!(points(&[light, heavy]), limits::RING_LARGEST + 1);
    assert_eq!(points(&[light]), limits::RING_SMALLEST);
}
