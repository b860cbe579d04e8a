//! How long a proxy waits for whom it asks and for whom it answers, and how much it takes of them, where nobody says otherwise.

use super::quiet::{Network, on, took};
use super::resources::{self, HTTP, Place, backend, on_service, rule};
use super::{Mesh, Proxy, guard, key};
use crate::http::{self, Client, Ingress};
use crate::limits;
use crate::upstream::UpstreamKey;
use model::route::Mirror;
use model::traffic::{RequestLimits, TrafficPolicy};
use model::{Backend, Fault, Filter, Kind, Resource, Retry, Rule, ServiceRef, Timeouts};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use telemetry::Security;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use transport::preface::Framing;
use transport::{Stream, h1, rt};

const MOMENT: Duration = Duration::from_millis(100);

/// The caller's proxy, which sends calls of `catalog` by this rule to wherever the network leads.
fn web(rule: Rule) -> (Mesh, Proxy) {
    let mut mesh = Mesh::new();
    let web = mesh.proxy("web");
    let mut all = resources::catalog(&[Place::plain("catalog-1", 9)]);
    all.push(on_service("catalog", rule));
    mesh.put(all);
    (mesh, web)
}

fn to_catalog() -> Rule {
    rule(vec![backend("catalog", HTTP, 1)])
}

/// A connection of the application.
fn call(web: &Proxy) -> Stream {
    let (caller, server) = Stream::pair(1 << 20);
    let ingress = Ingress::Service { service: key(Kind::Service, "catalog"), port: HTTP };
    let client = Client::new(ingress, None, web.worker.unknown(), Security::Plain);
    rt::spawn(http::serve(web.worker.clone(), h1::Connection::new(server), client));
    caller
}

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: catalog\r\nConnection: close\r\n{fields}\r\n")
}

/// The whole of what is answered.
async fn asked(web: &Proxy, request: &str) -> String {
    let mut caller = call(web);
    caller.write_all(request.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    caller.read_to_end(&mut all).await.unwrap();
    String::from_utf8(all).unwrap()
}

const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine";

#[test]
fn who_cannot_be_reached_is_dialled_for_so_long_and_no_longer() {
    on(Network::Nowhere, async {
        let (_mesh, web) = web(to_catalog());
        let at = UpstreamKey::plain("10.0.0.1:80".parse().unwrap(), Framing::Http1);
        let (reached, time) = took(web.worker.connect(&at, false)).await;
        assert_eq!((reached.err().unwrap().fault, time), (Fault::ConnectTimeout, transport::limits::CONNECT_TIME));
    });
}

#[test]
fn a_place_among_requests_under_way_is_waited_for_so_long() {
    on(Network::Silent, async {
        let mut mesh = Mesh::new();
        let web = mesh.proxy("web");
        let limits = RequestLimits { parallel_requests: 1, pending_requests: 1 };
        mesh.put(guard::catalog(&[Place::plain("catalog-1", 9)], Some(TrafficPolicy { limits, ..TrafficPolicy::default() })));
        let mut first = call(&web);
        first.write_all(get("").as_bytes()).await.unwrap();
        rt::sleep(MOMENT).await;
        let (answer, time) = took(asked(&web, &get(""))).await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("no place"), "{answer}");
        assert_eq!(time, crate::limits::PENDING_TIME);
    });
}

#[test]
fn so_many_interim_answers_are_passed_on_and_no_more() {
    let most = transport::limits::INFORMATIONAL;
    for (interim, status) in [(most, "200"), (most + 1, "502")] {
        let (network, _) = Network::says(format!("{}{FINE}", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(interim)));
        on(network, async {
            let (_mesh, web) = web(to_catalog());
            let answer = asked(&web, &get("")).await;
            let last = answer.split("HTTP/1.1 ").last().unwrap();
            assert!(last.starts_with(status), "{interim}: {answer}");
        });
    }
}

#[test]
fn a_copy_for_a_mirror_is_given_up_in_the_end() {
    on(Network::Silent, async {
        let to = Backend::Service(ServiceRef { service: key(Kind::Service, "catalog"), port: HTTP, subset: None });
        let filters = vec![Filter::Mirror(Mirror { backend: to, fraction: (1, 1) })];
        let timeouts = Timeouts { request: Some(Duration::from_secs(1)), backend_request: None };
        let (_mesh, web) = web(Rule { filters, timeouts, ..to_catalog() });
        rt::sleep(MOMENT).await;
        let (before, begun) = (rt::tasks(), rt::now());
        let answer = asked(&web, &get("")).await;
        assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
        let left = || limits::MIRROR_TIME.saturating_sub(rt::now().saturating_duration_since(begun));
        rt::sleep(left() - MOMENT).await;
        assert_eq!(rt::tasks(), before + 1, "the copy waits");
        rt::sleep(2 * MOMENT).await;
        assert_eq!(rt::tasks(), before);
    });
}

#[test]
fn who_sends_on_after_the_answer_is_listened_to_for_a_moment() {
    on(Network::Nowhere, async {
        let mut mesh = Mesh::new();
        let web = mesh.proxy("web");
        // Nobody is there to answer.
        mesh.put(resources::catalog(&[]));
        rt::sleep(MOMENT).await;
        let before = rt::tasks();
        let mut caller = call(&web);
        caller.write_all(b"POST / HTTP/1.1\r\nHost: catalog\r\nContent-Length: 1000000\r\n\r\nand so on").await.unwrap();
        let mut answer = Vec::new();
        caller.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 503"), "{}", String::from_utf8_lossy(&answer));
        rt::sleep(limits::EARLY_ANSWER_TIME - MOMENT).await;
        assert_eq!(rt::tasks(), before + 1);
        rt::sleep(2 * MOMENT).await;
        assert_eq!(rt::tasks(), before);
    });
}

#[test]
fn who_is_answered_before_all_was_sent_may_send_the_rest_and_ask_again() {
    for (pause, goes_on) in [(limits::EARLY_ANSWER_TIME - MOMENT, true), (limits::EARLY_ANSWER_TIME + MOMENT, false)] {
        let (network, heard) = Network::says(FINE);
        on(network, async {
            let heard = || String::from_utf8(heard.lock().unwrap().clone()).unwrap();
            let (_mesh, web) = web(to_catalog());
            let mut caller = call(&web);
            caller.write_all(b"POST / HTTP/1.1\r\nHost: catalog\r\nContent-Length: 9\r\n\r\nand ").await.unwrap();
            let mut answer = vec![0; 1024];
            let mut length = 0;
            while !answer[..length].ends_with(b"fine") {
                length += caller.read(&mut answer[length..]).await.unwrap();
            }
            assert!(!String::from_utf8_lossy(&answer[..length]).to_ascii_lowercase().contains("connection: close"));
            rt::sleep(pause).await;
            caller.write_all(b"so onGET / HTTP/1.1\r\nHost: catalog\r\n\r\n").await.unwrap();
            let ended = rt::timeout(MOMENT, caller.read(&mut answer)).await;
            let both = heard().contains("and so on") && heard().matches("HTTP/1.1").count() == 2;
            assert_eq!((ended.is_none(), both), (goes_on, goes_on), "{}", heard());
        });
    }
}

#[test]
fn bodies_up_to_a_length_are_sent_again() {
    let most = usize::try_from(limits::REPLAY_BYTES).unwrap();
    for (length, heads) in [(most, 2), (most + 1, 1)] {
        let (network, heard) = Network::says("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        on(network, async {
            let retry = Some(Box::new(Retry { codes: vec![503], attempts: 1, backoff: MOMENT }));
            let (_mesh, web) = web(Rule { retry, ..to_catalog() });
            let head = format!("POST / HTTP/1.1\r\nHost: catalog\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
            let answer = asked(&web, &(head + &"x".repeat(length))).await;
            assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
            let heard = String::from_utf8(heard.lock().unwrap().clone()).unwrap();
            assert_eq!(heard.matches("POST / HTTP/1.1").count(), heads, "{length}");
        });
    }
}

#[test]
fn identifiers_of_requests_are_taken_over_up_to_a_length() {
    for (length, taken) in [(limits::REQUEST_ID_BYTES, true), (limits::REQUEST_ID_BYTES + 1, false)] {
        let (network, heard) = Network::says(FINE);
        on(network, async {
            let (_mesh, web) = web(to_catalog());
            let id = "x".repeat(length);
            let answer = asked(&web, &get(&format!("X-Request-Id: {id}\r\n"))).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            let heard = String::from_utf8(heard.lock().unwrap().clone()).unwrap();
            assert_eq!(heard.contains(&id), taken, "{heard}");
        });
    }
}

#[test]
fn what_is_under_way_may_end_for_so_long_and_no_longer() {
    on(Network::Nowhere, async {
        let (_mesh, web) = web(to_catalog());
        let _under_way = web.worker.busy();
        let (handing, doors) = tokio::sync::mpsc::unbounded_channel();
        drop(handing);
        let ((), time) = took(crate::doors::work(web.worker.clone(), doors)).await;
        assert_eq!(time, limits::DRAIN);
    });
}

/// On a connection of its own: the network says it once on each.
const FINE_AND_CLOSED: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nfine";

#[test]
fn whose_machine_acknowledges_nothing_is_asked_last_until_it_is_heard_of() {
    let gone: IpAddr = [10, 0, 0, 7].into();
    let (Network::Says(answer, heard), _) = Network::says(FINE_AND_CLOSED) else { unreachable!() };
    on(Network::SaysBut(answer, heard, gone), async {
        let mut mesh = Mesh::new();
        let web = mesh.proxy("web");
        let mut all = resources::catalog(&[Place::plain("catalog-1", 9), Place::plain("catalog-2", 9)]);
        for resource in &mut all {
            if let Resource::Endpoints(set) = resource {
                Arc::make_mut(set).endpoints[0].address = gone;
            }
        }
        mesh.put(all);
        // One of the first two comes to it, and to the other once nothing was acknowledged for so long.
        let mut times = Vec::new();
        for _ in 0..12 {
            let (answer, time) = took(asked(&web, &get(""))).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            times.push(time);
        }
        let slow: Vec<_> = times.iter().filter(|time| **time >= MOMENT).collect();
        assert!(matches!(slow[..], [time] if *time < Duration::from_secs(4)), "one finds out, and nobody else: {times:?}");
        // Nobody knows it any more: somebody finds out again.
        rt::sleep(transport::limits::UNACKNOWLEDGED_KNOWN).await;
        let mut again = 0;
        for _ in 0..12 {
            again += usize::from(took(asked(&web, &get(""))).await.1 >= MOMENT);
        }
        assert_eq!(again, 1);
    });
}

#[test]
fn who_is_alone_is_asked_though_its_machine_acknowledges_nothing() {
    let gone: IpAddr = [127, 0, 0, 1].into();
    let (Network::Says(answer, heard), _) = Network::says(FINE_AND_CLOSED) else { unreachable!() };
    on(Network::SaysBut(answer, heard.clone(), gone), async {
        let (_mesh, web) = web(to_catalog());
        for round in 1..=2 {
            let mut caller = call(&web);
            caller.write_all(get("").as_bytes()).await.unwrap();
            rt::sleep(transport::limits::UNACKNOWLEDGED + MOMENT).await;
            assert!(heard.lock().unwrap().windows(4).filter(|word| word == b"GET ").count() >= round, "it was asked");
        }
    });
}
