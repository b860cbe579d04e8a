use super::*;

const NOW: u64 = 20_000 * DAY + 100;

fn id(consumer: &str, api: &str) -> ConsumedId {
    ConsumedId { consumer: consumer.into(), api: api.into() }
}

fn asked(requests: u64, refused: u64) -> ConsumedCounts {
    ConsumedCounts { requests, refused, ..ConsumedCounts::default() }
}

fn told(all: &Consumption, consumer: &str) -> Vec<(String, u64, u64, usize)> {
    let one = |(api, used): (&str, &Used)| (api.to_owned(), used.counts().requests, used.counts().refused, used.days.len());
    all.of(consumer).map(one).collect()
}

#[test]
fn use_is_counted_by_day_kept_and_forgotten_after_a_month() {
    let mut all = Consumption::default();
    for day in 0..limits::CONSUMED_DAYS + 3 {
        all.report([(id("shop/acme", "HTTPRoute shop/orders"), asked(10, 1))], NOW + day * DAY);
    }
    let last = NOW + (limits::CONSUMED_DAYS + 2) * DAY;
    let month = limits::CONSUMED_DAYS;
    let orders = ("HTTPRoute shop/orders".to_owned(), 10 * month, month, month as usize);
    assert_eq!(told(&all, "shop/acme"), std::slice::from_ref(&orders));
    assert!(told(&all, "shop/beta").is_empty());
    // A clock that goes back invents no day.
    all.report([(id("shop/acme", "HTTPRoute shop/orders"), asked(1, 0))], last - DAY);
    assert_eq!(told(&all, "shop/acme"), [(orders.0, orders.1 + 1, orders.2, orders.3)]);
    let used = all.of("shop/acme").next().unwrap().1;
    assert_eq!((used.first, used.last), (NOW, last));
    let stored = all.sweep(last);
    assert_eq!((stored.put.len(), stored.delete.len()), (1, 0));
    assert!(all.sweep(last).put.is_empty(), "nothing changed");
    let mut again = Consumption::load(stored.put.clone());
    assert_eq!(told(&again, "shop/acme"), told(&all, "shop/acme"));
    assert!(again.sweep(last + month * DAY).delete == [stored.put[0].0.clone()] && told(&again, "shop/acme").is_empty());
}

#[test]
fn a_clock_that_was_far_ahead_spoils_no_days() {
    let mut all = Consumption::default();
    let mut report = |now: u64| all.report([(id("shop/acme", "HTTPRoute shop/orders"), asked(1, 0))], now);
    report(NOW);
    report(NOW + 900 * DAY);
    report(NOW);
    report(NOW + DAY);
    let used = all.of("shop/acme").next().unwrap().1;
    let days: Vec<_> = used.days.iter().map(|day| (day.day - NOW / DAY, day.requests)).collect();
    // What it had of the day before went when it was 900 days ahead.
    assert_eq!((days, used.last), (vec![(0, 2), (1, 1)], NOW + DAY));
}

#[test]
fn consumers_and_their_apis_are_so_many_and_no_more() {
    let mut all = Consumption::default();
    for n in 0..limits::CONSUMED_APIS + 2 {
        all.report([(id("shop/acme", &format!("HTTPRoute shop/r{n}")), asked(1, 0))], NOW);
    }
    let apis = told(&all, "shop/acme");
    assert_eq!(apis.len(), limits::CONSUMED_APIS + 1);
    assert!(apis.contains(&(OTHER.to_owned(), 2, 0, 1)), "nothing is lost, it is told apart no more");
    for n in 0..limits::CONSUMERS {
        all.report([(id(&format!("shop/c{n}"), "HTTPRoute shop/orders"), asked(1, 0))], NOW);
    }
    assert_eq!(all.0.all().len(), limits::CONSUMERS);
    all.report([(id("shop/acme", "HTTPRoute shop/r0"), asked(1, 0))], NOW);
    assert_eq!(told(&all, "shop/acme")[0].1, 2, "those that are known are counted on");
    let kept = all.sweep(NOW).put;
    let more = kept.iter().cloned().chain([("consumed/shop/z".to_owned(), b"{}".to_vec())]);
    assert_eq!(Consumption::load(more).0.all().len(), limits::CONSUMERS);
}

#[test]
fn names_in_a_report_are_names_and_not_too_long() {
    let told = |consumer: &str, api: &str| wire::v1::report_request::Consumed {
        consumer: consumer.into(),
        api: api.into(),
        requests: 1,
        ..Default::default()
    };
    assert!(read(told("shop/acme", "Service shop/orders")).is_some());
    for (consumer, api) in [("", "a"), ("a", ""), ("shop/a\n", "a"), ("a", "b\0")] {
        assert!(read(told(consumer, api)).is_none(), "{consumer:?} {api:?}");
    }
    let long = |bytes: usize| read(told(&"x".repeat(bytes), "a")).is_some() && read(told("a", &"x".repeat(bytes))).is_some();
    assert!(long(limits::CONSUMER_BYTES) && !long(limits::CONSUMER_BYTES + 1));
}
