//! What backends answer.

use super::cases::{self, Case};
use super::{exchange, statuses};
use crate::tests::resources::{self, HTTP, Place};
use crate::tests::{Mesh, key, within};
use model::{Kind, Target};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const CASES: &str = include_str!("../../../testdata/http1-answers.txt");
const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall good\n";

/// What is answered to `/bad`, and whether the connection ends with it.
type Script = Rc<RefCell<(Vec<u8>, bool)>>;

/// A backend that answers each request well, but for `/bad`.
async fn scripted() -> (SocketAddr, Script) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let script = Script::default();
    let told = script.clone();
    transport::rt::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            transport::rt::spawn(answer(stream, told.clone()));
        }
    });
    (address, script)
}

async fn answer(mut stream: TcpStream, script: Script) {
    let mut buffer = Vec::new();
    loop {
        while !buffer.windows(4).any(|end| end == b"\r\n\r\n") {
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let bad = buffer.windows(5).any(|part| part == b" /bad");
        buffer.clear();
        let (bytes, close) = if bad { script.borrow().clone() } else { (GOOD.to_vec(), false) };
        if stream.write_all(&bytes).await.is_err() || close {
            return;
        }
    }
}

#[tokio::test]
async fn a_bad_answer_harms_its_own_caller_alone() {
    within(Duration::from_secs(120), async {
        let (address, script) = scripted().await;
        let mut mesh = Mesh::new();
        let mut catalog = mesh.proxy("catalog");
        let tunnel = catalog.inbound("catalog-1");
        let doors: Vec<_> = [Place::organza("catalog-1", tunnel, address.port()), Place::plain("catalog-1", address.port())]
            .into_iter()
            .map(|place| {
                // Each gateway keeps the world as it was when it was made.
                let mut gateway = mesh.proxy("gateway");
                (place, gateway.gateway(80), gateway)
            })
            .collect();
        let target = Target::Listener(key(Kind::Listener, "edge.web"));
        let rule = resources::rule(vec![resources::backend("catalog", HTTP, 1)]);
        mesh.put(vec![resources::listener(80, None), resources::route(target, rule)]);
        let cases = cases::read(CASES);
        let mut wrong = Vec::new();
        for (place, door, _gateway) in &doors {
            mesh.put(resources::catalog(std::slice::from_ref(place)));
            for case in &cases {
                wrong.extend(play(case, *door, &script).await.map(|complaint| format!("{} ({:?}): {complaint}", case.name, place.tunnel)));
            }
        }
        assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
        assert!(cases.len() >= 60, "{} cases", cases.len());
    })
    .await;
}

async fn play(case: &Case, door: SocketAddr, script: &Script) -> Option<String> {
    *script.borrow_mut() = (case.bytes.clone(), case.field("then") == "close");
    let bad = format!("{} HTTP/1.1\r\nHost: shop.example\r\n\r\n", case.field("asked"));
    let good = "GET /good HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
    let got = exchange(door, format!("{bad}{good}").as_bytes()).await;
    let innocent = exchange(door, good.as_bytes()).await;
    if statuses(&got) != case.list("gets", " ") {
        return Some(format!("the caller gets {:?}: {got:?}", statuses(&got)));
    }
    // The second answer is there as a whole, or there is none.
    let both = statuses(&got).len() > 1 && statuses(&got).last() == Some(&"200");
    if got.contains("smuggled") || got.ends_with("all good\n") != both {
        return Some(format!("the caller reads {got:?}"));
    }
    (!innocent.ends_with("\r\n\r\nall good\n") || innocent.contains("smuggled")).then(|| format!("an innocent caller reads {innocent:?}"))
}
