use super::*;

fn policy() -> Retry {
    Retry { codes: vec![503], attempts: 2, backoff: Duration::from_millis(100) }
}

const NOW: Duration = Duration::ZERO;

fn setup() -> (Instant, Budget) {
    let now = Instant::now();
    (now, Budget::new(RetryBudget::default(), now))
}

#[test]
fn named_codes_are_tried_again_until_attempts_are_spent() {
    let (now, mut budget) = setup();
    let policy = policy();
    let mut state = RetryState::new(Some(&policy), Timeouts::default(), false, now);
    assert_eq!(state.on_failure(Failure::Status(500), true, NOW, &mut budget, now, 0), Next::GiveUp(Why::NotRetryable));
    let ms = Duration::from_millis;
    assert_eq!(state.on_failure(Failure::Status(503), true, NOW, &mut budget, now, 0), Next::RetryAfter(ms(100)));
    assert_eq!(state.on_failure(Failure::Status(503), true, NOW, &mut budget, now, u32::MAX), Next::RetryAfter(ms(400)));
    assert_eq!(state.on_failure(Failure::Status(503), true, NOW, &mut budget, now, 0), Next::GiveUp(Why::AttemptsSpent));
    assert_eq!(state.retries(), 2);
}

#[test]
fn only_what_cannot_have_been_seen_or_may_be_repeated_is_sent_twice() {
    let (now, mut budget) = setup();
    let policy = policy();
    let sent = Failure::Sent(Fault::UpstreamReset);
    let unsent = Failure::Unsent(Fault::ConnectRefused);
    let mut post = RetryState::new(Some(&policy), Timeouts::default(), false, now);
    assert_eq!(post.on_failure(sent, true, NOW, &mut budget, now, 0), Next::GiveUp(Why::NotRetryable));
    assert_eq!(post.on_failure(unsent, false, NOW, &mut budget, now, 0), Next::GiveUp(Why::BodySpent));
    assert_eq!(post.on_failure(unsent, true, NOW, &mut budget, now, 0), Next::RetryAfter(Duration::ZERO));
    let mut get = RetryState::new(Some(&policy), Timeouts::default(), true, now);
    assert!(matches!(get.on_failure(sent, true, NOW, &mut budget, now, 0), Next::RetryAfter(_)));
    let mut plain = RetryState::new(None, Timeouts::default(), true, now);
    assert_eq!(plain.on_failure(sent, true, NOW, &mut budget, now, 0), Next::GiveUp(Why::NotRetryable));
    for _ in 0..limits::UNSENT_RETRIES {
        assert!(matches!(plain.on_failure(unsent, true, NOW, &mut budget, now, 0), Next::RetryAfter(_)));
    }
    assert_eq!(plain.on_failure(unsent, true, NOW, &mut budget, now, 0), Next::GiveUp(Why::AttemptsSpent));
}

#[test]
fn timeouts_bound_tries_and_pauses() {
    let (now, mut budget) = setup();
    let policy = policy();
    let ms = Duration::from_millis;
    let timeouts = Timeouts { request: Some(ms(150)), backend_request: Some(ms(90)) };
    let mut state = RetryState::new(Some(&policy), timeouts, true, now);
    assert_eq!(state.attempt_deadline(now), Some((now + ms(90), Fault::BackendTimeout)));
    let later = now + ms(70);
    assert_eq!(state.attempt_deadline(later), Some((now + ms(150), Fault::RequestTimeout)));
    assert_eq!(state.on_failure(Failure::Status(503), true, NOW, &mut budget, later, 0), Next::GiveUp(Why::TimeSpent));
    assert!(matches!(state.on_failure(Failure::Sent(Fault::BackendTimeout), true, NOW, &mut budget, now, 0), Next::RetryAfter(_)));
}

#[test]
fn a_callers_deadline_only_shortens() {
    let (now, mut budget) = setup();
    let policy = policy();
    let ms = Duration::from_millis;
    let of = |caller: u64, request: Option<u64>, backend: Option<u64>| {
        let timeouts = Timeouts { request: request.map(ms), backend_request: backend.map(ms) };
        RetryState::new(Some(&policy), timeouts, true, now).no_later(Some(now + ms(caller)))
    };
    let due = |state: RetryState<'_>| state.attempt_deadline(now).map(|(at, fault)| (at - now, fault));
    assert_eq!(due(of(300, None, None)), Some((ms(300), Fault::DeadlineExceeded)));
    assert_eq!(due(of(300, Some(200), None)), Some((ms(200), Fault::RequestTimeout)), "never wider than the route's");
    assert_eq!(due(of(300, Some(400), None)), Some((ms(300), Fault::DeadlineExceeded)));
    assert_eq!(due(of(300, Some(400), Some(100))), Some((ms(100), Fault::BackendTimeout)), "each try");
    assert_eq!(of(300, Some(200), None).deadline(), Some((now + ms(200), Fault::RequestTimeout)));
    // No try begins after it, and one that it ended is the last.
    let mut state = of(150, None, None);
    assert_eq!(state.on_failure(Failure::Status(503), true, NOW, &mut budget, now + ms(49), 0), Next::RetryAfter(ms(100)));
    let mut state = of(150, None, None);
    assert_eq!(state.on_failure(Failure::Status(503), true, NOW, &mut budget, now + ms(50), 0), Next::GiveUp(Why::TimeSpent));
    let passed = Failure::Sent(Fault::DeadlineExceeded);
    assert_eq!(of(900, None, None).on_failure(passed, true, NOW, &mut budget, now, 0), Next::GiveUp(Why::NotRetryable));
}

#[test]
fn who_asks_to_wait_is_waited_for_within_reason() {
    let (now, mut budget) = setup();
    let policy = policy();
    let ms = Duration::from_millis;
    let mut ask = |asked: Duration, request: Option<Duration>| {
        let timeouts = Timeouts { request, backend_request: None };
        let mut state = RetryState::new(Some(&policy), timeouts, true, now);
        state.on_failure(Failure::Status(503), true, asked, &mut budget, now, 0)
    };
    assert_eq!(ask(ms(700), None), Next::RetryAfter(ms(700)));
    assert_eq!(ask(ms(7), None), Next::RetryAfter(ms(100)), "never sooner than the rule has it");
    assert_eq!(ask(limits::RETRY_AFTER_LONGEST, None), Next::RetryAfter(limits::RETRY_AFTER_LONGEST));
    assert_eq!(ask(limits::RETRY_AFTER_LONGEST + ms(1), None), Next::GiveUp(Why::AskedToWait));
    assert_eq!(ask(ms(700), Some(ms(700))), Next::GiveUp(Why::TimeSpent));
}

#[test]
fn the_budget_gives_a_share_and_a_few_each_second() {
    let (now, mut budget) = setup();
    let mut granted = 0;
    while budget.withdraw(now) {
        granted += 1;
    }
    assert_eq!(granted, 100);
    for _ in 0..5 {
        budget.deposit(now);
    }
    assert!(budget.withdraw(now) && !budget.withdraw(now), "one retry per five requests");
    let second = now + Duration::from_secs(1);
    let more = (0..100).filter(|_| budget.withdraw(second)).count() as u64;
    assert_eq!(more, 10);
}

#[test]
fn a_policy_shapes_the_budget() {
    let now = Instant::now();
    let small = RetryBudget { percent: 50, interval: Duration::from_secs(2), min_count: 1, min_interval: Duration::from_secs(1) };
    let mut budget = Budget::new(RetryBudget::default(), now);
    budget.adopt(small, now);
    assert_eq!([(); 3].map(|()| budget.withdraw(now)), [true, true, false], "one a second, kept for two");
    budget.deposit(now);
    assert!(!budget.withdraw(now));
    budget.deposit(now);
    assert!(budget.withdraw(now), "every second request earns a retry");
    budget.adopt(small, now);
    assert!(!budget.withdraw(now), "the same rule fills nothing");
}

#[test]
fn pauses_grow_up_to_a_bound_unless_a_rule_asks_for_longer_ones() {
    let (now, mut budget) = setup();
    let second = Duration::from_secs;
    for (backoff, longest) in [(second(6), limits::BACKOFF_LONGEST), (second(11), second(11))] {
        let policy = Retry { backoff, ..policy() };
        let mut state = RetryState::new(Some(&policy), Timeouts::default(), true, now);
        for _ in 0..policy.attempts {
            let next = state.on_failure(Failure::Status(503), true, NOW, &mut budget, now, u32::MAX);
            assert_eq!(next, Next::RetryAfter(longest), "{backoff:?}");
        }
    }
}
