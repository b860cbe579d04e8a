use super::*;
use wire::v1;

const NOW: u64 = 20_000 * DAY + 100;

fn call(source: &str, method: &str, path: &str) -> v1::Call {
    v1::Call {
        namespace: "shop".into(),
        service: "catalog".into(),
        source: format!("spiffe://organza.local/ns/shop/sa/{source}"),
        port: 80,
        protocol: "http".into(),
        method: method.into(),
        path: path.into(),
        ..Default::default()
    }
}

fn seen(calls: &mut Calls, call: v1::Call, allowed: u64, denied: u64, now: u64) {
    calls.report(&[read(v1::Call { allowed, denied, ..call }).unwrap()], now);
}

fn told(calls: &Calls) -> Vec<(String, u64, u64)> {
    calls.told().map(|told| (format!("{} {}", told.call.method, told.call.path), told.counts.allowed, told.counts.denied)).collect()
}

fn word(n: usize) -> String {
    n.to_string().bytes().map(|b| char::from(b - b'0' + b'a')).collect()
}

#[test]
fn calls_are_counted_by_day_and_forgotten_after_seven() {
    let mut calls = Calls::default();
    for day in 0..10 {
        seen(&mut calls, call("web", "GET", "/"), 10, 1, NOW + day * DAY);
    }
    seen(&mut calls, call("web", "GET", "/new"), 1, 0, NOW + 9 * DAY);
    let last = NOW + 9 * DAY;
    assert_eq!(told(&calls), [("GET /".to_owned(), 70, 7), ("GET /new".to_owned(), 1, 0)]);
    assert_eq!(calls.told().next().map(|told| (told.first, told.last)), Some((NOW, last)));
    // A clock that goes back invents no day.
    seen(&mut calls, call("web", "GET", "/"), 1, 0, NOW);
    assert_eq!((told(&calls)[0].1, calls.told().next().map(|told| told.last)), (71, Some(last)));
    calls.sweep(last + 8 * DAY);
    assert_eq!((told(&calls), calls.kinds), (Vec::new(), 0));
}

#[test]
fn what_was_seen_survives_in_the_store_and_what_is_gone_leaves_it() {
    let mut calls = Calls::default();
    seen(&mut calls, call("web", "GET", "/items/{id}"), 5, 0, NOW);
    seen(&mut calls, call("jobs", "POST", "/items"), 2, 1, NOW);
    let saved = calls.sweep(NOW + 1);
    assert_eq!(saved.put.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["calls/shop/catalog/"]);
    let again = calls.sweep(NOW + 2);
    assert!(again.put.is_empty() && again.delete.is_empty(), "nothing is new");
    let mut loaded = Calls::load(saved.put);
    assert_eq!((told(&loaded), loaded.kinds), (told(&calls), 2));
    seen(&mut loaded, call("web", "GET", "/items/{id}"), 1, 0, NOW + 3);
    assert_eq!(told(&loaded)[1].1, 6);
    assert_eq!(loaded.sweep(NOW + 9 * DAY).delete, ["calls/shop/catalog/"]);
    // What cannot be read is nobody's.
    assert_eq!(told(&Calls::load([("calls/x".to_owned(), b"{".to_vec()), ("calls/a/b/".to_owned(), b"{".to_vec())])), []);
}

#[test]
fn what_is_known_and_what_is_new_are_counted_whatever_else_a_report_tells() {
    let told = |service: &str, path: &str, allowed, denied| {
        read(v1::Call { service: service.into(), allowed, denied, ..call("web", "GET", path) }).unwrap()
    };
    let mut calls = Calls::default();
    calls.report(&[told("a", "/", 1, 0)], NOW);
    let all = [told("a", "/", 2, 1), told("a", "/new", 3, 0), told("a", "/new", 3, 0), told("b", "/", 4, 0), told("a", "/", 5, 0)];
    calls.report(&all, NOW + 1);
    let seen: Vec<_> =
        calls.told().map(|told| (&*told.called.service, &*told.call.path, told.counts.allowed, told.counts.denied)).collect();
    assert_eq!(seen, [("a", "/", 8, 1), ("a", "/new", 6, 0), ("b", "/", 4, 0)]);
    assert_eq!((calls.kinds, calls.sweep(NOW + 1).put.len()), (3, 2));
    // What tells nothing new is stored as well.
    calls.report(&[told("b", "/", 1, 0)], NOW + 2);
    assert_eq!(calls.sweep(NOW + 2).put.len(), 1);
    // Of each caller its own, one new among such as are known.
    let by = |source: &str, path: &str| read(v1::Call { service: "b".into(), allowed: 1, ..call(source, "GET", path) }).unwrap();
    calls.report(&[by("web", "/"), by("api", "/"), by("web", "/"), by("api", "/"), by("web", "/new")], NOW + 3);
    let seen = calls.told().filter(|told| told.called.service == "b");
    let seen: Vec<_> = seen.map(|told| (told.source.rsplit_once('/').unwrap().1, &*told.call.path, told.counts.allowed)).collect();
    assert_eq!(seen, [("api", "/", 2), ("web", "/", 7), ("web", "/new", 1)]);
}

#[test]
fn a_call_that_is_denied_now_was_not_let_through_now() {
    let mut calls = Calls::default();
    seen(&mut calls, call("web", "GET", "/"), 5, 0, NOW);
    seen(&mut calls, call("web", "GET", "/"), 0, 3, NOW + 50);
    seen(&mut calls, call("dev", "GET", "/"), 0, 1, NOW);
    let last = |calls: &Calls| calls.told().map(|told| (told.last, told.last_allowed)).collect::<Vec<_>>();
    assert_eq!(last(&calls), [(NOW, None), (NOW + 50, Some(NOW))]);
    let saved = calls.sweep(NOW + 60);
    assert_eq!(last(&Calls::load(saved.put)), last(&calls));
    // An older release says only when it was last seen.
    let old = r#"[{"source":"spiffe://organza.local/ns/shop/sa/web","call":{"port":80,"protocol":"http","method":"GET","path":"/"},"seen":{"first":1,"last":9,"days":[[20000,4,1]]}}]"#;
    assert_eq!(last(&Calls::load([("calls/shop/catalog/".to_owned(), old.into())])), [(9, Some(9))]);
}

#[test]
fn callers_in_plaintext_are_told_apart_by_their_address() {
    let mut calls = Calls::default();
    for source in ["10.0.0.7", "2001:db8::1", "", "a name", "10.0.0.7:80"] {
        let bytes = v1::Call { source: source.into(), protocol: "tcp".into(), ..call("", "", "") };
        seen(&mut calls, bytes, 1, 0, NOW);
    }
    assert_eq!(calls.told().map(|told| told.source).collect::<Vec<_>>(), ["", "10.0.0.7", "2001:db8::1"]);
}

#[test]
fn paths_that_are_too_many_fold_into_what_they_begin_with() {
    let mut calls = Calls::default();
    seen(&mut calls, call("web", "GET", "/health"), 1, 0, NOW);
    seen(&mut calls, call("web", "POST", "/users/anna/mail"), 1, 0, NOW);
    for n in 0..200 {
        seen(&mut calls, call("web", "GET", &format!("/users/{}", word(n))), 1, 0, NOW);
    }
    let all = [("GET /health".to_owned(), 1, 0), ("GET /users/{**}".to_owned(), 200, 0), ("POST /users/{**}".to_owned(), 1, 0)];
    assert_eq!((told(&calls), calls.kinds), (all.to_vec(), 3));
    // Where paths have nothing in common.
    let mut calls = Calls::default();
    for n in 0..200 {
        seen(&mut calls, call("web", "GET", &format!("/{0}/{0}/x", word(n))), 1, 0, NOW);
    }
    assert_eq!(told(&calls), [("GET /{**}".to_owned(), 200, 0)]);
}

#[test]
fn who_scans_makes_nobody_elses_paths_coarser_nor_what_was_allowed() {
    let mut calls = Calls::default();
    seen(&mut calls, call("web", "GET", "/items"), 1, 0, NOW);
    for n in 0..300 {
        seen(&mut calls, call("evil", "GET", &format!("/{}", word(n))), 1, 0, NOW);
        seen(&mut calls, call("web", "GET", &format!("/{}", word(n))), 0, 1, NOW);
    }
    fn of(calls: &Calls, source: &str) -> Vec<String> {
        let own = calls.told().filter(|told| told.source.ends_with(source) && told.counts.allowed > 0);
        own.map(|told| told.call.path.clone()).collect()
    }
    assert_eq!(of(&calls, "/web"), ["/items"]);
    assert_eq!(of(&calls, "/evil"), ["/{**}"]);
    assert_eq!(calls.told().filter(|told| told.source.ends_with("/web")).count(), 1 + limits::CALL_PATHS + 1);
    // What was denied before and is allowed now is one of those that were let through.
    seen(&mut calls, call("web", "GET", "/a"), 1, 0, NOW);
    assert_eq!(calls.told().find(|told| told.source.ends_with("/web") && told.call.path == "/a").map(|told| told.counts.allowed), Some(1));
}

#[test]
fn callers_and_kinds_are_bounded_and_what_is_over_is_counted() {
    let mut calls = Calls::default();
    for n in 0..limits::CALLERS + 5 {
        seen(&mut calls, call(&word(n), "GET", "/"), 2, 0, NOW);
    }
    assert_eq!((calls.kinds, calls.left_out()), (limits::CALLERS, 10));
    for n in 0..limits::CALLS {
        seen(&mut calls, v1::Call { service: format!("s{n}"), ..call("web", "GET", "/") }, 1, 0, NOW);
    }
    assert_eq!((calls.kinds, calls.left_out()), (limits::CALLS, 10 + limits::CALLERS as u64));
    let places = calls.all.len();
    seen(&mut calls, v1::Call { service: "invented".into(), ..call("web", "GET", "/") }, 1, 0, NOW);
    assert_eq!(calls.all.len(), places);
    calls.sweep(NOW);
    assert_eq!(calls.kinds, limits::CALLS);
}

#[test]
fn what_proxies_had_no_room_for_is_counted_once_and_over_restarts() {
    let mut calls = Calls::default();
    for (proxy, incarnation, count, all) in [("a", 1, 3, 3), ("a", 1, 5, 5), ("b", 1, 1, 6), ("a", 2, 0, 6), ("a", 2, 2, 8), ("a", 2, 2, 8)]
    {
        calls.left_out_by(proxy, incarnation, count);
        assert_eq!(calls.left_out(), all, "{proxy} {incarnation} {count}");
    }
}

#[test]
fn nonsense_is_no_call() {
    let good = v1::Call { allowed: 1, ..call("web", "GET", "/items/{id}") };
    let is_kept = |call: v1::Call| {
        let mut calls = Calls::default();
        calls.report(&Vec::from_iter(read(call)), NOW);
        let is_stored = !calls.sweep(NOW).put.is_empty();
        assert_eq!((is_stored, calls.left_out()), (calls.told().count() > 0, 0));
        is_stored
    };
    assert!(is_kept(good.clone()));
    let spoilt: [fn(&mut v1::Call); 9] = [
        |call| call.path = format!("/{}", "a".repeat(limits::CALL_PATH)),
        |call| call.source = "root".into(),
        |call| call.namespace = String::new(),
        |call| call.service = "a/b".into(),
        |call| call.workload = "both".into(),
        |call| call.port = 70_000,
        |call| call.protocol = "smtp".into(),
        |call| call.method = "GET /".into(),
        |call| call.path = "/items/{id".into(),
    ];
    for (n, spoil) in spoilt.iter().enumerate() {
        let mut call = good.clone();
        spoil(&mut call);
        assert!(!is_kept(call), "{n}");
    }
}

#[test]
fn a_denial_after_an_upgrade_is_not_taken_for_a_call_that_was_let_through() {
    let mut kept = Seen { last: NOW, days: vec![(NOW / DAY, 5, 0)], ..Seen::default() };
    kept.add(&CallCounts { allowed: 0, denied: 1 }, NOW + 50);
    assert_eq!((kept.last, kept.last_allowed()), (NOW + 50, Some(NOW)));
}

#[test]
fn who_only_knocks_keeps_nobody_out_who_is_let_through() {
    let from = |n: usize| v1::Call { source: format!("10.0.{}.{}", n / 256, n % 256), ..call("", "GET", "/") };
    let sources = |calls: &Calls| calls.told().map(|told| told.source.to_owned()).collect::<BTreeSet<_>>();
    let mut calls = Calls::default();
    // Addresses take a part of the places alone.
    for n in 0..300 {
        seen(&mut calls, from(n), 0, 1, NOW + n as u64);
    }
    assert_eq!((calls.kinds, calls.left_out()), (limits::CALLERS_BY_ADDRESS, 300 - limits::CALLERS_BY_ADDRESS as u64));
    // One that is let through takes the place of the one that was silent longest.
    seen(&mut calls, from(1000), 1, 0, NOW + 400);
    assert!(!sources(&calls).contains("10.0.0.0") && sources(&calls).contains("10.0.0.1") && sources(&calls).contains("10.0.3.232"));
    assert_eq!((calls.kinds, calls.left_out()), (limits::CALLERS_BY_ADDRESS, 301 - limits::CALLERS_BY_ADDRESS as u64));
    // The same for the rest: identities that were only denied fill the table, and hold it against nobody who is let through.
    for n in limits::CALLERS_BY_ADDRESS..limits::CALLERS {
        seen(&mut calls, call(&word(n), "GET", "/"), 0, 1, NOW + 500);
    }
    let left_out = calls.left_out();
    seen(&mut calls, call("late", "GET", "/"), 0, 1, NOW + 600);
    assert_eq!((calls.kinds, calls.left_out()), (limits::CALLERS, left_out + 1));
    seen(&mut calls, call("web", "GET", "/"), 1, 0, NOW + 600);
    assert!(sources(&calls).iter().any(|source| source.ends_with("/web")) && !sources(&calls).contains("10.0.0.1"));
    assert_eq!((calls.kinds, calls.left_out()), (limits::CALLERS, left_out + 2));
    // Nobody goes who was let through.
    assert!(sources(&calls).contains("10.0.3.232"));
}
