use super::Counts;
use super::place::{take_off, values};
use crate::limits;
use model::RequestHead;
use model::consumer::KeyPlace;
use std::sync::Arc;
use telemetry::{EdgeTracker, Metrics, Peer, Record};

#[test]
fn consumers_are_counted_apart_up_to_a_limit() {
    let (metrics, mut counts) = (Metrics::new(), Counts::default());
    let peer = Arc::new(Peer::unknown());
    let mut record = Record::begin(std::time::UNIX_EPOCH, telemetry::Reporter::Gateway, peer.clone(), peer);
    counts.count(&metrics, &record);
    (record.status, record.api) = (200, Some("HTTPRoute shop/site".into()));
    for consumer in 0..limits::CONSUMED + 2 {
        record.consumer = Some(format!("shop/c{consumer}").into());
        counts.count(&metrics, &record);
    }
    (record.consumer, record.status) = (Some("shop/c0".into()), 404);
    counts.count(&metrics, &record);
    let told = metrics.encode();
    let line = |consumer: &str, api: &str, code: &str, count: u32| {
        format!("organza_consumer_requests_total{{consumer=\"{consumer}\",api=\"{api}\",code=\"{code}\"}} {count}.0\n")
    };
    assert!(told.contains(&line("shop/c0", "HTTPRoute shop/site", "2xx", 1)));
    assert!(told.contains(&line("other", "other", "2xx", 2)) && told.contains(&line("other", "other", "4xx", 1)));
    assert_eq!(told.matches("organza_consumer_requests_total{").count(), limits::CONSUMED + 2);
}

#[test]
fn of_what_is_told_so_much_is_kept_and_whoever_asks_no_more_makes_room() {
    let (metrics, mut counts, mut tracker) = (Metrics::new(), Counts::default(), EdgeTracker::new(1));
    let peer = Arc::new(Peer::unknown());
    let mut record = Record::begin(std::time::UNIX_EPOCH, telemetry::Reporter::Gateway, peer.clone(), peer);
    (record.status, record.api) = (200, Some("HTTPRoute shop/site".into()));
    let mut ask = |counts: &mut Counts, n: usize| {
        record.consumer = Some(format!("shop/c{n}").into());
        counts.count(&metrics, &record);
    };
    let most = telemetry::limits::CONSUMED;
    (0..most + 2).for_each(|n| ask(&mut counts, n));
    let left_out = || metrics.counter("organza_consumer_left_out", "", &[]).get();
    assert_eq!((metrics.consumption().len(), left_out()), (most, 2.0));
    let first = tracker.poll(&metrics, true).unwrap();
    tracker.acknowledged(first.sequence);
    // All but one ask no more; who is let go has been told.
    counts.sweep(telemetry::limits::CONSUMED_IDLE / 2);
    ask(&mut counts, 0);
    counts.sweep(telemetry::limits::CONSUMED_IDLE / 2);
    let second = tracker.poll(&metrics, true).unwrap();
    assert_eq!((second.consumed.len(), metrics.consumption().len()), (1, 1));
    tracker.acknowledged(second.sequence);
    ask(&mut counts, most);
    ask(&mut counts, 1);
    let third = tracker.poll(&metrics, true).unwrap();
    let told: Vec<_> = third.consumed.iter().map(|(id, counts)| (&*id.consumer, counts.requests)).collect();
    assert_eq!((told, left_out()), (vec![("shop/c1", 1), ("shop/c4096", 1)], 2.0));
}

fn head(target: &str, fields: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::default();
    head.set_target(target);
    fields.iter().for_each(|(name, value)| head.headers.push(name, value.as_bytes()));
    head
}

/// What stands there, and what is left once it is taken off: the target, and the fields.
fn at(place: &KeyPlace, mut head: RequestHead) -> (Vec<String>, String, Vec<String>) {
    let found = values(place, &head).iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect();
    take_off(place, &mut head);
    let left = head.headers.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value))).collect();
    (found, head.target().to_owned(), left)
}

#[test]
fn keys_are_read_where_they_stand_and_taken_off_there_alone() {
    let query = KeyPlace::Query("key".into());
    let cases: [(&str, &[&str], &str); 9] = [
        ("/a?key=x", &["x"], "/a"),
        ("/a?b=1&key=x&c=2", &["x"], "/a?b=1&c=2"),
        ("/a?keys=x&mykey=y", &[], "/a?keys=x&mykey=y"),
        // An escape of the name is the name, for whoever decodes it would take it so.
        ("/a?%6bey=x%2Fy", &["x/y"], "/a"),
        ("/a?key=%zz", &["%zz"], "/a"),
        ("/a?key=x&key=y", &["x", "y"], "/a"),
        ("/a?key=&b", &[], "/a?b"),
        ("/a?key", &[], "/a"),
        ("/key=x", &[], "/key=x"),
    ];
    for (target, found, left) in cases {
        let (values, target_left, _) = at(&query, head(target, &[]));
        assert_eq!((values, &*target_left), (found.iter().map(|v| (*v).to_owned()).collect(), left), "{target}");
    }
    let cookie = KeyPlace::Cookie("key".into());
    let cookies: [(&[&str], &[&str], &[&str]); 6] = [
        (&["key=x"], &["x"], &[]),
        (&["a=1; key=x; b=2"], &["x"], &["a=1; b=2"]),
        (&["a=1", "key=\"x\"; c=3"], &["x"], &["a=1; c=3"]),
        (&["keys=x; a=key=y"], &[], &["keys=x; a=key=y"]),
        (&["key=x; key=y"], &["x", "y"], &[]),
        (&["Key=x"], &[], &["Key=x"]),
    ];
    for (fields, found, left) in cookies {
        let fields: Vec<(&str, &str)> = fields.iter().map(|value| ("Cookie", *value)).collect();
        let (values, _, fields_left) = at(&cookie, head("/", &fields));
        assert_eq!(values, found, "{fields:?}");
        let left: Vec<String> = left.iter().map(|value| format!("Cookie: {value}")).collect();
        assert_eq!(
            fields_left.iter().map(|f| f.to_lowercase()).collect::<Vec<_>>(),
            left.iter().map(|f| f.to_lowercase()).collect::<Vec<_>>()
        );
    }
    let header = KeyPlace::Header("x-api-key".into());
    let (values, _, left) = at(&header, head("/", &[("X-Api-Key", "x"), ("a", "1"), ("x-api-key", "")]));
    assert_eq!((values, left), (vec!["x".to_owned()], vec!["a: 1".to_owned()]));
}
