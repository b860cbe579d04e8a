use super::*;

const MICRO: Duration = Duration::from_micros(1);

/// Whether a thread rests after a round of so many messages, where all its rounds were so, one `every` so often, and answers awaited for so long together.
fn would_rest(messages: u32, every: Duration, waited: Duration) -> bool {
    let begun = Instant::now();
    let mut pace = Pace::new(begun);
    (1..=ROUNDS).map(|round| pace.round(messages, || (begun + every * round, waited))).last().unwrap()
}

#[test]
fn who_is_busy_and_awaits_many_answers_that_come_one_by_one_rests() {
    assert!(would_rest(2, 20 * MICRO, 20 * MICRO * ROUNDS * 50));
    assert!(would_rest(COMPANY - 1, 280 * MICRO, 280 * MICRO * ROUNDS * 50));
    assert!(would_rest(1, 20 * MICRO, 20 * MICRO * ROUNDS * AWAITED), "just as often, and as many, as is wanted");
}

#[test]
fn who_has_company_or_time_or_few_callers_never_rests() {
    let many = 20 * MICRO * ROUNDS * 50;
    assert!(!would_rest(COMPANY, 20 * MICRO, many), "enough go out together");
    assert!(!would_rest(1, 21 * MICRO, many), "nobody would come meanwhile");
    assert!(!would_rest(2, 20 * MICRO, 20 * MICRO * ROUNDS * (AWAITED - 1)), "who would come waits for us");
    assert!(!would_rest(0, 20 * MICRO, many), "nothing went out behind others");
}

#[test]
fn it_is_judged_anew_after_some_rounds() {
    let begun = Instant::now();
    let mut pace = Pace::new(begun);
    let mut waited = Some(SOON);
    let rested: Vec<bool> =
        (1..=3 * ROUNDS).map(|round| pace.round(1, || (begun + MICRO * round, waited.take().unwrap_or_default()))).collect();
    let judged = ROUNDS as usize - 1;
    assert!(rested[..judged].iter().all(|rests| !rests));
    assert!(rested[judged..judged + ROUNDS as usize].iter().all(|rests| *rests));
    assert!(rested[judged + ROUNDS as usize..].iter().all(|rests| !rests), "since then nobody was answered");
}

#[test]
fn an_answer_that_was_long_in_coming_counts_as_one_that_was_not() {
    answered(MICRO);
    answered(1000 * SOON);
    assert_eq!(WAITED.take(), MICRO + SOON);
}

#[test]
fn a_thread_of_run_rests_where_it_should_and_counts_it() {
    let rested = |messages, rounds| {
        (0..rounds).any(|_| {
            answered(SOON);
            round(messages);
            rests() > 0
        })
    };
    assert!(!rested(COMPANY - 1, 2 * ROUNDS), "no thread of `run`");
    open();
    assert!(!rested(COMPANY, 2 * ROUNDS));
    // Where the machine stands still meanwhile, messages are few for the time.
    assert!(rested(COMPANY - 1, 1000 * ROUNDS));
    close();
}
