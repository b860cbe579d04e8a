//! A secret that a caller sends through a mesh, wherever it puts it, is in nothing that the mesh tells or keeps: no file of its state, no metric, no flow
//! or trace of the control plane, no dump of a proxy, no bug report. What the called program writes itself is its own affair.

mod common;

use common::{SOON, get, mesh, nothing_is_left, processes, python, up};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use testkit::process::eventually;
use testkit::{Need, Process, free_port, require};

const SECRET: &str = "canary-7b1e04d9";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// Of the last request.
const LAST: &str = "5cf92f3577b34da6a3ce929d0e0e4737";

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(&entry.path(), out),
            Ok(kind) if kind.is_file() => out.push(entry.path()),
            _ => {}
        }
    }
}

fn said_by(stream: &mut (impl Read + Write), request: &str) -> String {
    let mut answer = Vec::new();
    stream.write_all(request.as_bytes()).expect("asked");
    // An answer that breaks off is an answer too.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn asked(socket: &Path, path: &str) -> String {
    let mut stream = UnixStream::connect(socket).expect("the socket is there");
    let answer = said_by(&mut stream, &format!("GET {path} HTTP/1.1\r\nhost: organza\r\nconnection: close\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    answer
}

/// With the secret in every place, and a trace that is recorded.
fn secrets(method: &str, path: &str) -> String {
    format!(
        "{method} {path}?token={SECRET} HTTP/1.1\r\nhost: catalog\r\nauthorization: Bearer {SECRET}\r\nproxy-authorization: Basic {SECRET}\r\n\
         cookie: id={SECRET}\r\nx-api-key: {SECRET}\r\nreferer: http://u:{SECRET}@other/?q={SECRET}\r\nbaggage: user={SECRET}\r\n\
         tracestate: vendor={SECRET}\r\ntraceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\ncontent-length: {}\r\nconnection: close\r\n\r\n\
         password={SECRET}",
        "password=".len() + SECRET.len()
    )
}

#[test]
fn a_secret_is_kept_and_told_by_nobody() {
    if !require(&[Need::Program("python3")]) {
        return;
    }
    let mesh = mesh();
    let mut control = up(&mesh);
    let (service, client, door) = (free_port(), free_port(), free_port());
    let mut catalog = python(&mesh, "catalog", &["--metrics", &service.to_string(), "--access-log"]);
    let upstream = format!("catalog={door}");
    let mut caller = Process::start(mesh.organza(&["run", "--upstream", &upstream, "--metrics", &client.to_string(), "--access-log"]));
    let door = format!("127.0.0.1:{door}");
    eventually("the service answers", SOON, || get(&door, "/name HTTP/1.1\r\nhost: catalog").0 == 200);
    // Python's server knows no POST, which is a failure of it, and told as such; the last is no request at all.
    let broken = format!("GET / HTTP/1.1\r\nhost: catalog\r\nauthorization {SECRET}\r\n\r\n");
    for (request, status) in [(secrets("GET", "/name"), "200"), (secrets("POST", "/name"), "501"), (broken, "400")] {
        let answer = said_by(&mut TcpStream::connect(&door).expect("the door"), &request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && !answer.contains(SECRET), "{request}: {answer}");
    }
    // In the address itself, however it is written: whatever is made of it, it is told to nobody. The last is told after all others.
    let plain = |target: &str, host: &str, trace: &str| {
        let head =
            format!("GET {target} HTTP/1.1\r\nhost: {host}\r\ntraceparent: 00-{trace}-00f067aa0ba902b7-01\r\nconnection: close\r\n\r\n");
        said_by(&mut TcpStream::connect(&door).expect("the door"), &head)
    };
    let hosts = ["catalog".to_owned(), format!("user:{SECRET}@catalog")];
    let targets =
        [format!("http://user:{SECRET}@catalog/name"), format!("/name#{SECRET}"), format!("/name?{SECRET}#{SECRET}"), "/name".into()];
    for (target, host) in targets.iter().flat_map(|target| hosts.iter().map(move |host| (target, host))) {
        assert!(!plain(target, host, TRACE).contains(SECRET), "{target} {host}");
    }
    plain("/name", "catalog", LAST);
    let root = mesh.home().join("state/organza/default");
    let root = if root.exists() { root } else { mesh.home().join("organza/default") };
    let socket = root.join("control.sock");
    eventually("trace and failure are told", SOON, || {
        asked(&socket, "/v1/traces").contains(LAST)
            && asked(&socket, "/v1/traces").contains(TRACE)
            && asked(&socket, "/v1/flows").contains("501")
    });
    let mut told: Vec<(String, String)> = ["/v1/traces", "/v1/flows", "/v1/problems", "/v1/proxies", "/v1/graph"]
        .into_iter()
        .map(|path| (path.to_owned(), asked(&socket, path)))
        .collect();
    told.push((TRACE.to_owned(), asked(&socket, &format!("/v1/traces/{TRACE}"))));
    for port in [service, client] {
        told.push((format!("metrics of {port}"), get(&format!("127.0.0.1:{port}"), "/metrics HTTP/1.1\r\nhost: a").1));
    }
    assert!(told.iter().any(|(what, text)| what.starts_with("metrics") && text.contains("istio_requests_total")));
    let (code, report, error) = mesh.run(&["bug-report", "-o", "-"]);
    assert_eq!(code, 0, "{error}");
    told.push(("bug-report".to_owned(), report));
    let mut all = Vec::new();
    files(mesh.home(), &mut all);
    assert!(all.len() > 5, "{all:?}");
    for file in all {
        let bytes = std::fs::read(&file).unwrap_or_default();
        told.push((file.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
    }
    let dumps = std::fs::read_dir(root.join("proxies")).expect("proxies").flatten().map(|proxy| proxy.path().join("admin.sock"));
    for socket in dumps.filter(|socket| socket.exists()) {
        told.push((socket.display().to_string(), asked(&socket, "/config")));
    }
    // What the called program writes is its own affair; whoever only calls, and the control plane, write nothing of it.
    told.extend([("the caller".to_owned(), caller.output()), ("the control plane".to_owned(), control.output())]);
    for (what, text) in &told {
        assert!(!text.contains(SECRET), "{what} tells it: {}", text.lines().find(|line| line.contains(SECRET)).unwrap_or_default());
    }
    for (process, command) in processes(mesh.home()) {
        assert!(!command.contains(SECRET), "{process}: {command}");
    }
    for process in [&mut caller, &mut catalog, &mut control] {
        process.stop(SOON);
    }
    nothing_is_left(&mesh);
}
