use super::*;
use model::{Key, Kind, Labels, Locality, Probe, Source, Tunnel};

const SECOND: Duration = Duration::from_secs(1);

fn check() -> HealthCheck {
    HealthCheck {
        probe: Probe::Grpc { service: "".into() },
        interval: 10 * SECOND,
        timeout: SECOND,
        unhealthy_threshold: 3,
        healthy_threshold: 2,
        first_within: SECOND,
        jitter: SECOND,
        initial: InitialHealth::Healthy,
    }
}

fn endpoint(name: &str) -> Endpoint {
    Endpoint {
        id: name.into(),
        workload: None,
        address: "127.0.0.1".parse().unwrap(),
        ports: vec![(80, 8080)],
        datagrams: Vec::new(),
        tunnel: Tunnel::None,
        identity: None,
        health: Health::Healthy,
        weight: 1,
        priority: 0,
        locality: Locality::default(),
        labels: Labels::default(),
        tls: None,
    }
}

fn set(endpoints: Vec<Endpoint>) -> Arc<Endpoints> {
    Arc::new(Endpoints { key: Key::new(Source::files(), Kind::Endpoints, "shop", "catalog"), endpoints })
}

fn passed() -> Outcome {
    Outcome::Passed("gRPC health answered SERVING in 1 ms".into())
}

/// Checks on virtual time, draws in the middle unless a test says otherwise.
struct Bench {
    checks: Checks,
    check: HealthCheck,
    now: Instant,
}

impl Bench {
    fn new(check: HealthCheck, names: &[&str]) -> Self {
        let mut bench = Self { checks: Checks::default(), check, now: Instant::now() };
        bench.keep(names.iter().map(|name| endpoint(name)).collect());
        bench
    }

    fn keep(&mut self, endpoints: Vec<Endpoint>) -> bool {
        self.checks.keep(Some(&self.check), &set(endpoints), self.now, &mut || u64::MAX / 2)
    }

    /// Goes on to the next check of this endpoint; others that are due before say nothing.
    fn next(&mut self, name: &str) -> Due {
        for _ in 0..1000 {
            self.now = self.now.max(self.checks.next().unwrap());
            let due = self.checks.poll(self.now).unwrap();
            if &*due.endpoint == name {
                return due;
            }
            self.checks.handle(&due, Outcome::Unknown, self.now, 0);
        }
        panic!("{name} is never due");
    }

    fn ends(&mut self, name: &str, outcome: Outcome) -> Option<Change> {
        let due = self.next(name);
        self.checks.handle(&due, outcome, self.now, 0)
    }

    fn fails(&mut self, name: &str) -> Option<Change> {
        self.ends(name, Outcome::Failed("GET /healthz answered 503".into()))
    }

    fn is_out(&self, name: &str) -> bool {
        self.checks.is_left_out(Some(&self.check), name)
    }
}

#[test]
fn failures_in_a_row_leave_out_and_passes_in_a_row_take_back() {
    let mut b = Bench::new(check(), &["a", "b"]);
    assert_eq!((b.fails("a"), b.fails("a"), b.ends("a", passed())), (None, None, None), "a pass between");
    assert_eq!((b.fails("a"), b.fails("a")), (None, None));
    let failed = b.now + 10 * SECOND;
    let Some(Change::Failed(out)) = b.fails("a") else { panic!("the third in a row") };
    assert_eq!((out.to_string().as_str(), out.since), ("GET /healthz answered 503 (3 in a row)", failed));
    assert!(b.is_out("a") && !b.is_out("b"));
    assert_eq!(b.fails("a"), None, "told once");
    assert_eq!(b.checks.unhealthy("a").unwrap().to_string(), "GET /healthz answered 503 (4 in a row)");
    assert_eq!(b.ends("a", passed()), None);
    assert_eq!(b.fails("a"), None, "a failure between passes");
    assert_eq!(b.ends("a", passed()), None);
    assert!(b.is_out("a"));
    assert_eq!(b.ends("a", passed()), Some(Change::Passed { after: b.now.duration_since(failed) }));
    assert!(!b.is_out("a"));
    assert_eq!(b.checks.returned("a"), Some(b.now));
    assert_eq!(b.checks.counts(), (2, 2));
}

#[test]
fn each_is_asked_after_its_interval_and_jitter_and_never_twice_at_once() {
    let mut b = Bench::new(check(), &["a"]);
    assert_eq!(b.checks.poll(b.now), None, "the first comes within a second, not at once");
    b.now += SECOND;
    let due = b.checks.poll(b.now).unwrap();
    assert_eq!((b.checks.poll(b.now + 100 * SECOND), b.checks.next()), (None, None), "it is being asked");
    b.checks.handle(&due, passed(), b.now, u64::MAX / 2);
    let at = b.checks.next().unwrap().duration_since(b.now);
    assert!(at > 10 * SECOND && at < 11 * SECOND, "{at:?}");
    assert_eq!(b.checks.handle(&due, Outcome::Failed("late".into()), b.now, 0), None);
    assert_eq!(b.checks.next().unwrap().duration_since(b.now), at, "the same check counts once");
}

#[test]
fn what_could_not_be_asked_says_nothing() {
    let mut b = Bench::new(check(), &["a"]);
    b.fails("a");
    b.fails("a");
    for _ in 0..20 {
        assert_eq!(b.ends("a", Outcome::Unknown), None);
    }
    assert!(matches!(b.fails("a"), Some(Change::Failed(_))), "and the count goes on");
}

#[test]
fn one_that_nobody_knows_may_have_to_show_itself_first() {
    let mut b = Bench::new(HealthCheck { initial: InitialHealth::Unhealthy, ..check() }, &["a", "b"]);
    assert!(b.is_out("a") && b.is_out("b") && b.is_out("not seen yet"));
    assert_eq!(b.checks.unhealthy("a").unwrap().to_string(), "not checked yet");
    assert!(matches!(b.ends("a", passed()), Some(Change::Passed { .. })), "its first word is believed");
    let Some(Change::Failed(out)) = b.fails("b") else { panic!("that its first check failed is told") };
    assert_eq!(out.failures, 1);
    assert_eq!(b.ends("b", passed()), None, "then it takes as many passes as for any other");
    assert!(matches!(b.ends("b", passed()), Some(Change::Passed { .. })));
    assert!(!b.is_out("a") && !b.is_out("b"));
}

#[test]
fn who_moved_or_left_is_forgotten_and_others_stay_as_they_were() {
    let mut b = Bench::new(check(), &["a", "b", "c"]);
    for name in ["a", "b", "c"] {
        (0..3).for_each(|_| drop(b.fails(name)));
    }
    assert_eq!(b.checks.counts(), (3, 0));
    let old = b.next("b");
    let moved = Endpoint { address: "127.0.0.9".parse().unwrap(), ..endpoint("b") };
    assert!(b.keep(vec![endpoint("a"), moved]), "others may be used now");
    assert!(b.is_out("a") && !b.is_out("b") && !b.is_out("c"));
    assert_eq!(b.checks.handle(&old, Outcome::Failed("of the old one".into()), b.now, 0), None);
    let due = b.next("b");
    assert_eq!(b.checks.handle(&old, Outcome::Failed("of the old one".into()), b.now, 0), None);
    assert_eq!(b.checks.handle(&due, passed(), b.now, 0), None);
    assert!(!b.keep(vec![endpoint("a"), Endpoint { address: "127.0.0.9".parse().unwrap(), ..endpoint("b") }]), "nothing changed");
    let draining = Endpoint { health: Health::Draining, ..endpoint("a") };
    assert!(b.keep(vec![draining]), "whoever leaves is not asked");
    assert_eq!(b.checks.counts(), (0, 0));
    assert_eq!(b.checks.next(), None);
}

#[test]
fn another_check_keeps_who_is_out_and_asks_anew_and_none_at_all_takes_everybody_back() {
    let mut b = Bench::new(check(), &["a", "b"]);
    (0..3).for_each(|_| drop(b.fails("a")));
    let old = b.next("a");
    b.check.healthy_threshold = 1;
    b.check.interval = 1000 * SECOND;
    let all = vec![endpoint("a"), endpoint("b")];
    assert!(!b.keep(all.clone()));
    assert!(b.is_out("a"));
    assert!(b.checks.next().unwrap() <= b.now + SECOND);
    assert_eq!(b.checks.handle(&old, passed(), b.now, 0), None, "the answer to the old question");
    assert!(matches!(b.ends("a", passed()), Some(Change::Passed { .. })));
    (0..3).for_each(|_| drop(b.fails("a")));
    assert!(b.checks.keep(None, &set(all), b.now, &mut || 0));
    assert!(!b.checks.is_left_out(None, "a"));
    assert_eq!((b.checks.next(), b.checks.counts()), (None, (0, 0)));
}

#[test]
fn no_more_than_the_limit_are_kept_and_the_rest_are_believed() {
    let names: Vec<String> = (0..limits::CHECKED_ENDPOINTS + 10).map(|i| format!("e{i:05}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let b = Bench::new(HealthCheck { initial: InitialHealth::Unhealthy, ..check() }, &all);
    assert_eq!(b.checks.counts().0, limits::CHECKED_ENDPOINTS);
    assert!(b.is_out(all[0]) && !b.is_out(all[limits::CHECKED_ENDPOINTS]));
}

#[test]
fn how_each_check_ended_is_told_once_those_that_pass_too() {
    let mut b = Bench::new(check(), &["a", "b"]);
    assert_eq!(b.checks.news(9), [], "nobody was asked");
    b.ends("a", passed());
    let at = b.now;
    b.ends("b", Outcome::Unknown);
    let again = 12 * SECOND;
    let last = |passed, said: &str, at| Last { at, passed, said: said.into(), again };
    assert_eq!(b.checks.news(9), [("a".into(), last(true, "gRPC health answered SERVING in 1 ms", at))]);
    assert_eq!(b.checks.news(9), [], "once");
    // Of two the last; who found no room is told the next time.
    b.ends("a", passed());
    b.fails("a");
    b.fails("b");
    let mut told = b.checks.news(1);
    assert_eq!(told.len(), 1);
    told.extend(b.checks.news(9));
    told.sort_by(|a, b| a.0.cmp(&b.0));
    let said: Vec<_> = told.iter().map(|(name, last)| (&**name, last.passed, &*last.said)).collect();
    assert_eq!(said, [("a", false, "GET /healthz answered 503"), ("b", false, "GET /healthz answered 503")]);
}
