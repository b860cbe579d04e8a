use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn policy() -> Ejection {
    Ejection { consecutive_5xx: Some(5), max_percent: 50, ..Ejection::default() }
}

fn name(text: &str) -> Arc<str> {
    text.into()
}

struct Bench {
    outliers: Outliers,
    policy: Ejection,
    all: usize,
    now: Instant,
}

impl Bench {
    fn new(policy: Ejection, all: usize) -> Self {
        Self { outliers: Outliers::default(), policy, all, now: Instant::now() }
    }

    fn see(&mut self, endpoint: &str, ended: Ended) -> Vec<Event> {
        self.outliers.observe(&self.policy, &name(endpoint), ended, Duration::ZERO, self.all, self.now)
    }

    fn many(&mut self, endpoint: &str, ended: Ended, times: usize) -> Vec<Event> {
        (0..times).flat_map(|_| self.see(endpoint, ended)).collect()
    }

    fn out(&self) -> Vec<String> {
        let mut out: Vec<String> = self.outliers.out().map(|(name, _)| name.to_string()).collect();
        out.sort();
        out
    }
}

#[test]
fn failures_one_after_another_eject_and_a_success_between_does_not() {
    let mut b = Bench::new(policy(), 2);
    b.many("a", Ended::Answered(503), 4);
    b.see("a", Ended::Answered(404));
    assert!(b.many("a", Ended::Answered(503), 4).is_empty());
    let events = b.see("a", Ended::Answered(503));
    let [Event::Ejected { ejected, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!((ejected.cause.to_string().as_str(), ejected.cause.label()), ("5 × 503", "consecutive_5xx"));
    assert_eq!(b.out(), ["a"]);
}

#[test]
fn by_default_unreachable_endpoints_go_and_answers_never_do() {
    let mut b = Bench::new(Ejection::default(), 3);
    assert!(b.many("a", Ended::Answered(500), 1000).is_empty());
    assert!(b.many("a", Ended::Answered(503), 1000).is_empty());
    assert!(b.many("a", Ended::Failed(Fault::UpstreamReset), 1000).is_empty());
    assert!(b.many("a", Ended::Failed(Fault::BackendTimeout), 1000).is_empty());
    b.many("b", Ended::Failed(Fault::ConnectRefused), 2);
    assert!(b.out().is_empty());
    b.see("b", Ended::Failed(Fault::ConnectRefused));
    assert_eq!(b.outliers.ejected("b").unwrap().cause.to_string(), "3 × connect_refused");
}

#[test]
fn gateway_errors_are_502_to_504_and_failures_without_an_answer() {
    let gateway = Ejection { consecutive_gateway_errors: Some(3), consecutive_local_failures: None, ..Ejection::default() };
    let mut b = Bench::new(gateway, 4);
    assert!(b.many("a", Ended::Answered(500), 9).is_empty());
    b.see("b", Ended::Answered(502));
    b.see("b", Ended::Failed(Fault::UpstreamReset));
    b.see("b", Ended::Answered(504));
    assert_eq!(b.outliers.ejected("b").unwrap().cause.label(), "consecutive_gateway_failure");
}

#[test]
fn no_more_than_the_share_goes_but_one_may() {
    let mut b = Bench::new(Ejection { max_percent: 10, ..policy() }, 3);
    for endpoint in ["a", "b", "c"] {
        b.many(endpoint, Ended::Answered(500), 20);
    }
    assert_eq!(b.out(), ["a"]);
    let mut none = Bench::new(Ejection { max_percent: 0, ..policy() }, 3);
    none.many("a", Ended::Answered(500), 20);
    assert!(none.out().is_empty());
}

#[test]
fn it_returns_by_one_request_and_stays_out_longer_each_time() {
    let mut b = Bench::new(policy(), 2);
    b.many("a", Ended::Answered(500), 5);
    for wait in [5, 10, 20] {
        assert_eq!(b.outliers.take_probe(b.now + SECOND * (wait - 1), |_| true), None);
        b.now += SECOND * wait;
        assert_eq!(b.outliers.take_probe(b.now, |_| true), Some(name("a")));
        assert_eq!(b.outliers.take_probe(b.now, |_| true), None, "one request tries it, not two");
        b.see("a", Ended::Answered(500));
    }
    assert_eq!(b.outliers.ejected("a").unwrap().times, 4);
    b.now += SECOND * 40;
    b.outliers.take_probe(b.now, |_| true).unwrap();
    assert_eq!(b.see("a", Ended::Answered(200)), [Event::Returned { endpoint: name("a") }]);
    assert!(b.out().is_empty());
}

#[test]
fn a_caller_that_goes_away_frees_the_try_and_a_lost_one_is_made_again() {
    let mut b = Bench::new(policy(), 2);
    b.many("a", Ended::Answered(500), 5);
    b.now += SECOND * 5;
    b.outliers.take_probe(b.now, |_| true).unwrap();
    b.see("a", Ended::Cancelled);
    assert!(b.outliers.take_probe(b.now, |_| true).is_some());
    assert_eq!(b.outliers.take_probe(b.now + limits::PROBE_TIME, |_| true), Some(name("a")));
}

#[test]
fn what_was_sent_before_the_ejection_takes_nobody_back() {
    let mut b = Bench::new(policy(), 2);
    b.many("a", Ended::Answered(500), 5);
    b.now += SECOND;
    assert!(b.outliers.observe(&b.policy, &name("a"), Ended::Answered(200), SECOND * 2, 2, b.now).is_empty());
    assert_eq!(b.outliers.observe(&b.policy, &name("a"), Ended::Answered(200), SECOND / 2, 2, b.now).len(), 1);
}

#[test]
fn shares_and_means_are_judged_by_the_interval_and_only_over_enough_requests() {
    let watch = Ejection { failure_percentage: Some(50), latency: Some(SECOND / 2), minimum_requests: 10, ..Ejection::default() };
    let mut b = Bench::new(Ejection { max_percent: 100, ..watch }, 4);
    for i in 0..10 {
        b.see("half", Ended::Answered(if i % 2 == 0 { 500 } else { 200 }));
        b.outliers.observe(&b.policy, &name("slow"), Ended::Answered(200), SECOND, 4, b.now);
    }
    b.many("few", Ended::Answered(500), 9);
    assert!(b.out().is_empty());
    b.now += b.policy.interval;
    b.see("good", Ended::Answered(200));
    assert_eq!(b.out(), ["half", "slow"]);
    assert_eq!(b.outliers.ejected("half").unwrap().cause.to_string(), "50 % of 10 requests failed");
    assert_eq!(b.outliers.ejected("slow").unwrap().cause.to_string(), "1000 ms on average over 10 requests");
}

#[test]
fn few_left_is_panic() {
    let policy = Ejection { panic_percent: 50, ..Ejection::default() };
    assert!(panics(&policy, 1, 3) && !panics(&policy, 2, 3));
    assert!(panics(&Ejection::default(), 0, 3) && !panics(&Ejection::default(), 1, 100) && !panics(&Ejection::default(), 0, 0));
}

#[test]
fn quiet_returns_after_an_interval_without_failures() {
    let mut b = Bench::new(Ejection::default(), 2);
    assert!(b.outliers.is_quiet());
    b.see("a", Ended::Failed(Fault::ConnectRefused));
    b.see("a", Ended::Answered(200));
    assert!(!b.outliers.is_quiet());
    b.now += b.policy.interval;
    b.see("a", Ended::Answered(200));
    assert!(b.outliers.is_quiet());
}

#[test]
fn one_that_moved_or_left_starts_anew() {
    let endpoint = |name: &str, port: u16| Endpoint {
        id: name.into(),
        workload: None,
        address: "127.0.0.1".parse().unwrap(),
        ports: vec![(80, port)],
        datagrams: Vec::new(),
        tunnel: model::Tunnel::None,
        identity: None,
        health: model::Health::Healthy,
        weight: 1,
        priority: 0,
        locality: model::Locality::default(),
        labels: model::Labels::default(),
        tls: None,
    };
    let set = |endpoints| {
        let key = model::Key::new(model::Source::files(), model::Kind::Endpoints, "shop", "catalog");
        Arc::new(Endpoints { key, endpoints })
    };
    let mut b = Bench::new(Ejection { max_percent: 100, ..policy() }, 3);
    b.outliers.keep(&set(vec![endpoint("stays", 1), endpoint("moves", 1), endpoint("goes", 1)]));
    for name in ["stays", "moves", "goes"] {
        b.many(name, Ended::Answered(500), 5);
    }
    assert_eq!(b.out().len(), 3);
    b.outliers.keep(&set(vec![endpoint("stays", 1), endpoint("moves", 2)]));
    assert_eq!(b.out(), ["stays"]);
}

#[test]
fn behaviour_is_kept_of_so_many_endpoints_and_of_no_more() {
    let mut b = Bench::new(policy(), limits::EJECTION_ENDPOINTS + 1);
    (0..limits::EJECTION_ENDPOINTS).for_each(|i| drop(b.see(&format!("e{i}"), Ended::Answered(200))));
    assert!(b.many("late", Ended::Answered(500), 100).is_empty());
    b.many("e0", Ended::Answered(500), 5);
    assert_eq!(b.out(), ["e0"]);
    assert_eq!(b.outliers.members.len(), limits::EJECTION_ENDPOINTS);
}
