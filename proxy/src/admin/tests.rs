use super::{Admin, answer, bind, serve, serve_metrics};
use crate::config::Config;
use crate::limits;
use crate::rim::Leaver;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use telemetry::Metrics;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::watch;

async fn ask(path: &Path, request: &str, body: &str) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    let length = body.len();
    let head = format!("{request} HTTP/1.1\r\nhost: organza\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn scenario(folder: &Path) {
    let config = Config::parse(
        r#"{ "mesh": "m", "proxy": "p", "namespace": "n", "identity": "spiffe://td/ns/n/sa/p", "state": "s", "svid": "s/svid", "admin": "s/a",
        "role": { "workload": { "outbound": { "address": "127.0.0.1:9", "secret": "0123456789abcdef" } } },
        "control": { "addresses": ["127.0.0.1:1"], "trustRoots": "", "trustDomain": "td" } }"#,
    );
    let (open, serving) = watch::channel(false);
    let (drain, mut draining) = watch::channel(false);
    let levels = Arc::new(Mutex::new(Vec::new()));
    let said = levels.clone();
    let admin = Admin {
        config: Arc::new(config.unwrap()),
        shared: Default::default(),
        metrics: Metrics::new(),
        serving,
        drain,
        succeeded: Arc::default(),
        took_over: Arc::default(),
        set_level: Arc::new(move |level| {
            let known = level == "debug";
            said.lock().unwrap().push(level.to_owned());
            if known { Ok(()) } else { Err("no such level".to_owned()) }
        }),
        leaver: Leaver::ended(),
    };
    let path = folder.join("admin.sock");
    std::fs::write(&path, "left over").unwrap();
    let listener = bind(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let server = tokio::spawn(serve(listener, admin.router()));
    assert_eq!(bind(&path).unwrap_err().kind(), std::io::ErrorKind::AddrInUse, "a living socket is not taken away");

    assert!(ask(&path, "GET /ready", "").await.starts_with("HTTP/1.1 503"));
    open.send_replace(true);
    assert!(ask(&path, "GET /ready", "").await.starts_with("HTTP/1.1 200"));
    assert!(ask(&path, "GET /process", "").await.contains(&format!("\"pid\":{}", std::process::id())));
    assert!(ask(&path, "GET /metrics", "").await.contains("version=0.0.4"));
    let config = ask(&path, "GET /config", "").await;
    assert!(config.contains("\"generation\":0") && !config.contains("0123456789abcdef"), "{config}");
    assert!(ask(&path, "POST /log-level", "debug\n").await.starts_with("HTTP/1.1 200"));
    assert!(ask(&path, "POST /log-level", "loud").await.starts_with("HTTP/1.1 400"));
    assert_eq!(*levels.lock().unwrap(), ["debug", "loud"]);
    let left = ask(&path, "POST /leave", "").await;
    assert!(left.starts_with("HTTP/1.1 503") && left.contains("the proxy is ending"), "{left}");
    assert!(ask(&path, "GET /drain", "").await.starts_with("HTTP/1.1 405"), "a drain is never begun by a GET");
    assert!(!*draining.borrow_and_update());
    assert!(ask(&path, "POST /drain", "").await.starts_with("HTTP/1.1 202"));
    assert!(*draining.borrow_and_update());
    assert!(ask(&path, "GET /ready", "").await.contains("draining"));
    server.abort();
}

#[test]
fn the_owner_reads_and_steers_and_sees_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    transport::rt::run(scenario(folder.path())).unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_does_not_say_what_it_wants_is_waited_for_so_long_and_no_longer() {
    // Nothing at all, what may be the beginning of any version, and half a head.
    for said in ["", "P", "GET /metrics HTTP/1.1\r\n"] {
        let (mut silent, served) = tokio::io::duplex(1024);
        answer(served, axum::Router::new(), ());
        silent.write_all(said.as_bytes()).await.unwrap();
        let begun = tokio::time::Instant::now();
        let ended = tokio::time::timeout(limits::ADMIN_HEAD * 2, silent.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "{said:?}: it is ended");
        assert_eq!(begun.elapsed(), limits::ADMIN_HEAD, "{said:?}");
    }
}

/// Time goes on only where nobody has anything to do.
#[tokio::test(start_paused = true)]
async fn scrapers_are_so_many_at_once_and_further_ones_wait() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().route("/metrics", axum::routing::get(async || "figures"));
    let served = tokio::spawn(serve_metrics(Arc::new(listener), router));
    let begun = tokio::time::Instant::now();
    let mut silent = Vec::new();
    for _ in 0..limits::METRICS_CONNECTIONS {
        silent.push(tokio::net::TcpStream::connect(address).await.unwrap());
    }
    let mut late = tokio::net::TcpStream::connect(address).await.unwrap();
    late.write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut told = String::new();
    tokio::time::timeout(limits::ADMIN_HEAD * 2, late.read_to_string(&mut told)).await.expect("its turn comes").unwrap();
    assert!(told.ends_with("figures"), "{told}");
    assert!(begun.elapsed() >= limits::ADMIN_HEAD, "the silent ones were in its way until their time was over");
    served.abort();
}
