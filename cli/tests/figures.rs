//! Figures that must agree, whoever tells them: what a caller counted itself, what the called program was really asked, the metrics of both sides,
//! Prometheus over the restart of a proxy, the graph, a tap and the traces; of answers, errors, resets, retries, time-outs and a proxy that was killed.
//! And a tap that asks for everything: what it is not told is counted.

mod common;

use common::prometheus::Prometheus;
use common::{SOON, get, json, mesh, nothing_is_left, processes, up};
use serde_json::Value;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::process::Command;
use testkit::process::{eventually, organza};
use testkit::{Mesh, Need, Process, free_port, require};

/// A program whose every answer its path decides, and which counts by the first word of it what it was really asked.
const PROGRAM: &str = r#"
import http.server, json, socket, struct, sys, time
seen, asked = set(), {}
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *rest): pass
    def do_GET(self):
        word = self.path.split("/")[1]
        asked[word] = asked.get(word, 0) + 1
        if word == "asked":
            return self.say(200, json.dumps(asked))
        if word == "flaky" and self.path not in seen:
            seen.add(self.path)
            return self.say(503, "once")
        if word == "slow":
            time.sleep(3)
        if word == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return self.connection.close()
        self.say({"missing": 404, "fail": 500}.get(word, 200), word)
    def say(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *rest): pass
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"#;

const ROUTES: &str = "
apiVersion: v1
kind: Service
metadata: {name: catalog}
spec: {selector: {app: catalog}, ports: [{name: http, port: 80, targetPort: http, appProtocol: http}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: catalog}
spec:
  parentRefs: [{group: '', kind: Service, name: catalog}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /flaky}}]
    retry: {attempts: 1, codes: [503]}
    backendRefs: [{name: catalog, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /slow}}]
    timeouts: {request: 300ms}
    backendRefs: [{name: catalog, port: 80}]
  - backendRefs: [{name: catalog, port: 80}]
";

/// What is asked in one whole round: word, how often, and the status that the caller is to get.
const ROUND: &[(&str, u64, u16)] =
    &[("fine", 20, 200), ("missing", 5, 404), ("fail", 7, 500), ("flaky", 6, 200), ("slow", 3, 504), ("reset", 4, 503)];

/// What was asked so far, by word.
type Asked = BTreeMap<&'static str, u64>;
type ByStatus = BTreeMap<u16, u64>;

fn sum(asked: &Asked, of: impl Fn(&str, u16) -> bool) -> u64 {
    ROUND.iter().filter(|(word, _, status)| of(word, *status)).map(|(word, ..)| asked[word]).sum()
}

/// As its caller sees them.
fn by_status(asked: &Asked) -> ByStatus {
    ROUND.iter().map(|(.., status)| (*status, sum(asked, |_, other| other == *status))).collect()
}

/// As the proxy beside the program sees them: what the caller's proxy tried again is a request of its own, and whom it left alone got no answer.
fn by_status_of_called(asked: &Asked) -> ByStatus {
    let of = |word: &'static str| asked[word];
    [(200, of("fine") + of("flaky")), (404, of("missing")), (500, of("fail")), (503, of("flaky") + of("reset")), (0, of("slow"))].into()
}

fn label<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    line.split(&format!("{name}=\"")).nth(1)?.split('"').next()
}

fn metric(port: u16, name: &str, reporter: &str) -> Vec<(Option<u16>, u64)> {
    let (_, text) = get(&format!("127.0.0.1:{port}"), "/metrics HTTP/1.1\r\nhost: a");
    let lines = text.lines().filter(|line| line.starts_with(&format!("{name}{{")) && label(line, "reporter") == Some(reporter));
    let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.trim().parse::<f64>().ok()).expect("a value") as u64;
    lines.map(|line| (label(line, "response_code").and_then(|code| code.parse().ok()), value(line))).collect()
}

fn requests(port: u16, reporter: &str) -> ByStatus {
    let mut sums = ByStatus::new();
    for (status, count) in metric(port, "istio_requests_total", reporter) {
        *sums.entry(status.expect("a status")).or_default() += count;
    }
    sums
}

fn retries(port: u16, reporter: &str) -> u64 {
    metric(port, "organza_retries_total", reporter).into_iter().map(|(_, count)| count).sum()
}

/// What came since, without what did not.
fn since(now: &ByStatus, before: &ByStatus) -> ByStatus {
    let less = now.iter().map(|(status, count)| (*status, count - before.get(status).copied().unwrap_or(0)));
    less.filter(|(_, count)| *count > 0).collect()
}

fn told(mesh: &Mesh, words: &[&str]) -> Value {
    let (code, said, error) = mesh.run(words);
    assert_eq!(code, 0, "{words:?}: {error}");
    json(&said)
}

/// Requests, failures, faults, retries and attempts of the edge from the client to the catalog, in the last hour; the first two since it started, too.
fn edge(mesh: &Mesh) -> [u64; 7] {
    let graph = told(mesh, &["graph", "--window", "1h", "-o", "json"]);
    let edges = graph["edges"].as_array().expect("edges").iter();
    let mut sums = [0; 7];
    for edge in edges.filter(|edge| edge["destination"].as_str().is_some_and(|to| to.ends_with("/catalog"))) {
        let of = &edge["figures"];
        let told = [&of["requests"], &of["failures"], &of["faults"], &of["retries"], &of["attempts"]];
        let told = told.into_iter().chain([&edge["total_requests"], &edge["total_failures"]]);
        sums.iter_mut().zip(told).for_each(|(sum, one)| *sum += one.as_u64().expect("a number"));
    }
    sums
}

/// One mesh with a caller and the program, and whoever tells of them.
struct Stage {
    mesh: Mesh,
    door: String,
    /// Where the metrics of the caller's proxy are.
    client: u16,
    /// Questions that are of no round; each is answered.
    others: Cell<u64>,
}

impl Stage {
    /// What the program was asked until now, by word; this question is one.
    fn really(&self) -> Option<BTreeMap<String, u64>> {
        let (status, said) = get(&self.door, "/asked HTTP/1.1\r\nhost: catalog");
        if status == 200 {
            self.others.set(self.others.get() + 1);
        }
        (status == 200).then(|| serde_json::from_str(said.split_once("\r\n\r\n")?.1).ok())?
    }

    /// So much of a round; each request begins a trace that is to be recorded, and its answer is looked at.
    fn round(&self, number: u64, most: u64) -> Asked {
        for (place, (word, times, status)) in ROUND.iter().enumerate() {
            for time in 0..*times.min(&most) {
                let trace = format!("00-{:032x}-00f067aa0ba902b7-01", number << 32 | (place as u64) << 16 | (time + 1));
                let question = format!("/{word}/{number}/{time} HTTP/1.1\r\nhost: catalog\r\ntraceparent: {trace}");
                let (got, answer) = get(&self.door, &question);
                assert_eq!(got, *status, "{question}: {answer}");
            }
        }
        ROUND.iter().map(|(word, times, _)| (*word, *times.min(&most))).collect()
    }

    /// Once the graph has all that the caller's metrics have.
    fn settled(&self) -> ([u64; 7], ByStatus) {
        let both = || (edge(&self.mesh), requests(self.client, "source"));
        let mut found = both();
        eventually("what was asked until now is told", SOON, || {
            found = both();
            found.0[0] > 0 && found.0[0] == found.1.values().sum::<u64>()
        });
        found
    }
}

/// What a tap said so far, by who told it: requests of rounds by status, and all others.
#[derive(Debug, Default, PartialEq)]
struct Tapped {
    source: ByStatus,
    destination: ByStatus,
    others: [u64; 2],
    dropped: u64,
}

fn tapped(tap: &Process) -> Tapped {
    let mut all = Tapped::default();
    for line in tap.output().lines().filter(|line| line.starts_with('{')).map(json) {
        all.dropped += line["dropped"].as_u64().unwrap_or(0);
        let is_source = line["reporter"] == "source";
        match (line["path"].as_str(), line["response_code"].as_u64()) {
            (Some("/asked"), _) => all.others[usize::from(is_source)] += 1,
            (Some(_), Some(status)) => {
                let side = if is_source { &mut all.source } else { &mut all.destination };
                *side.entry(status as u16).or_default() += 1;
            }
            _ => {}
        }
    }
    all
}

#[test]
fn whoever_tells_of_requests_tells_the_same() {
    if !require(&[Need::Program("prometheus"), Need::Program("python3")]) {
        return;
    }
    let mesh = mesh();
    mesh.write("all.yaml", ROUTES);
    let mut control = up(&mesh);
    let (service, client, door, port) = (free_port(), free_port(), free_port(), free_port().to_string());
    let program = mesh.home().join("program.py");
    std::fs::write(&program, PROGRAM).expect("a program");
    let program = program.display().to_string();
    let words = ["run", "--service", "catalog", "--port", &port, "--metrics", &service.to_string(), "--", "python3", &program, &port];
    let mut catalog = Process::start(mesh.organza(&words));
    let upstream = format!("catalog={door}");
    let mut caller = Process::start(mesh.organza(&["run", "--upstream", &upstream, "--metrics", &client.to_string()]));
    let stage = Stage { mesh, door: format!("127.0.0.1:{door}"), client, others: Cell::new(0) };
    eventually("the service answers", SOON, || stage.really().is_some());
    let prometheus = Prometheus::start(stage.mesh.home(), &[service, client]);
    let mut tap = Process::start(stage.mesh.organza(&["tap", "--to", "catalog", "-o", "json"]));
    // A tap reaches proxies with the answer to their reports: it is there once both were heard.
    let heard = |before: [u64; 2]| {
        eventually("the tap hears both sides", SOON, || {
            stage.really();
            tapped(&tap).others.iter().zip(before).all(|(now, before)| *now > before)
        });
    };
    heard([0, 0]);
    let really = stage.really().expect("it is there");
    let (edge_before, metrics_before) = stage.settled();
    let (called_before, again_before) = (requests(service, "destination"), retries(service, "destination"));
    let tried_before = retries(client, "source");
    stage.others.set(0);
    let mut asked = stage.round(1, u64::MAX);

    // What the program counted, less what it was asked before: all tries of all requests.
    let tries_of_program = |really: &BTreeMap<String, u64>, asked: &Asked| {
        let now = stage.really().expect("it is there");
        let of = |word: &str| now.get(word).copied().unwrap_or(0) - really.get(word).copied().unwrap_or(0);
        for (word, ..) in ROUND {
            let (told, sent) = (of(word), asked[word]);
            // A connection that was kept and breaks before a word of an answer is tried once more, on a fresh one.
            let right = match *word {
                "flaky" => told == 2 * sent,
                "reset" => (sent..=2 * sent).contains(&told),
                _ => told == sent,
            };
            assert!(right, "{word}: {told} of {sent}");
        }
        now.values().sum::<u64>() - really.values().sum::<u64>()
    };
    let tries = tries_of_program(&really, &asked);
    let others = stage.others.get();
    // The graph, metrics of both sides, the tap and the traces.
    let agree = |asked: &Asked, others: u64, tries: u64| {
        let all = sum(asked, |_, _| true) + others;
        let failed = sum(asked, |_, status| status >= 500);
        let (faults, more) = (asked["slow"] + asked["reset"], tries - all);
        let wanted = [all, failed, faults, more, tries, all, failed];
        let wanted: [u64; 7] = std::array::from_fn(|at| edge_before[at] + wanted[at]);
        eventually(&format!("the graph tells {wanted:?}"), SOON, || edge(&stage.mesh) == wanted);
        let mut called = by_status_of_called(asked);
        *called.entry(200).or_default() += others;
        eventually(&format!("the called side tells {called:?}"), SOON, || {
            since(&requests(service, "destination"), &called_before) == called
        });
        assert_eq!(retries(service, "destination") - again_before, more - asked["flaky"], "what the called side tried again");
        let (source, destination) = (by_status(asked), by_status_of_called(asked));
        eventually("the tap tells each request once, by both sides", SOON, || {
            let tapped = tapped(&tap);
            (tapped.source, tapped.destination, tapped.dropped) == (source.clone(), destination.clone(), 0)
        });
        let traces = |more: &[&str]| {
            let list = told(&stage.mesh, &[&["trace", "-o", "json"], more].concat());
            let of_rounds = |one: &&Value| one["name"].as_str().is_some_and(|name| !name.contains("/asked"));
            let of_rounds: Vec<_> = list["items"].as_array().expect("traces").iter().filter(of_rounds).cloned().collect();
            let spans = of_rounds.iter().map(|one| one["spans"].as_u64().expect("a number")).sum::<u64>();
            (of_rounds.len() as u64, spans)
        };
        let requests = sum(asked, |_, _| true);
        let spans = requests + destination.values().sum::<u64>();
        eventually("each request has its trace, of all its spans", SOON, || traces(&[]) == (requests, spans));
        // What succeeded at last failed once.
        assert_eq!(traces(&["--failed"]).0, failed + asked["flaky"]);
    };
    let caller_tells = |asked: &Asked, others: u64, before: &ByStatus| {
        let mut wanted = by_status(asked);
        *wanted.entry(200).or_default() += others;
        eventually(&format!("the caller's side tells {wanted:?}"), SOON, || since(&requests(client, "source"), before) == wanted);
    };
    caller_tells(&asked, others, &metrics_before);
    assert_eq!(retries(client, "source") - tried_before, asked["flaky"]);
    agree(&asked, others, tries);

    // Prometheus has all of it; then the caller's proxy dies, and counts anew.
    let total = || prometheus.ask(r#"sum(istio_requests_total{reporter="source"})"#);
    let counted = || requests(client, "source");
    let scraped = || eventually("it is scraped", SOON, || total() == [counted().values().sum::<u64>() as f64]);
    scraped();
    let of_first = counted();
    let (proxy, _) = processes(stage.mesh.home())
        .into_iter()
        .find(|(_, command)| command.contains(" proxy ") && !command.contains("catalog"))
        .expect("the caller's proxy");
    let known = tapped(&tap).others;
    Command::new("kill").args(["-s", "KILL", &proxy.to_string()]).status().expect("killed");
    eventually("there is another one", SOON, || stage.really().is_some());
    heard(known);
    let (others_before, counted_before, tried_before) = (stage.others.get(), counted(), retries(client, "source"));
    // A counter that has begun anew is told from one that went on by a sample that is lower: a little first, and the rest once that was seen.
    for (number, most) in [(2, 1), (3, u64::MAX)] {
        stage.round(number, most).iter().for_each(|(word, times)| *asked.entry(word).or_default() += times);
        scraped();
    }
    let later = asked.iter().map(|(word, times)| (*word, times - ROUND.iter().find(|(other, ..)| other == word).expect("it").1)).collect();
    caller_tells(&later, stage.others.get() - others_before, &counted_before);
    assert_eq!(retries(client, "source") - tried_before, later["flaky"]);
    let tries = tries_of_program(&really, &asked);
    agree(&asked, stage.others.get(), tries);
    scraped();
    // What Prometheus makes of the restart: nothing is lost and nothing counted twice. What series had when they were first seen is no increase.
    let in_all = of_first.values().sum::<u64>() + counted().values().sum::<u64>();
    let series = r#"istio_requests_total{reporter="source"}"#;
    assert_eq!(prometheus.increases(series) + prometheus.firsts(series), in_all as f64);
    // Its own functions say the same, but that they guess what was between the window's edges and the first and last sample.
    let fine = r#"istio_requests_total{reporter="source",response_code="200"}"#;
    let (made, lasted) = (prometheus.increases(fine), 600.0);
    for told in [format!("increase({fine}[10m])"), format!("{lasted} * rate({fine}[10m])")] {
        let said = prometheus.ask(&told).iter().sum::<f64>();
        assert!((said - made).abs() <= 0.15 * made, "{told} is {said}, and {made} were made");
    }
    drop(prometheus);
    for process in [&mut tap, &mut caller, &mut catalog, &mut control] {
        process.stop(SOON);
    }
    nothing_is_left(&stage.mesh);
}

#[test]
fn a_tap_that_asks_for_everything_is_told_how_much_it_was_not_told() {
    let mesh = mesh();
    let mut control = up(&mesh);
    let (door, port, organza) = (free_port(), free_port().to_string(), organza().display().to_string());
    let program = ["--", &organza, "sample", "--name", "catalog", "--port", &port];
    let mut catalog = Process::start(mesh.organza(&[&["run", "--service", "catalog", "--port", &port], &program[..]].concat()));
    let mut caller = Process::start(mesh.organza(&["run", "--upstream", &format!("catalog={door}")]));
    let address = format!("127.0.0.1:{door}");
    let ready = || get(&address, "/asked HTTP/1.1\r\nhost: catalog").0 == 200;
    eventually("the service answers", SOON, ready);
    let mut tap = Process::start(mesh.organza(&["tap", "-o", "json"]));
    eventually("the tap hears both sides", SOON, || {
        ready();
        tapped(&tap).others.iter().all(|heard| *heard > 0)
    });
    let (code, said, error) = mesh.run(&["load", &format!("http://{address}/many"), "--for", "3s", "--connections", "8"]);
    assert_eq!(code, 0, "{said}{error}");
    let sent = json(&said)["requests"].as_u64().expect("a number");
    // Both proxies tell of each: what found no room in a report is told as a number, until all adds up, though nobody calls any more.
    let told = || {
        let tapped = tapped(&tap);
        (tapped.source.values().chain(tapped.destination.values()).sum::<u64>(), tapped.dropped)
    };
    eventually(&format!("{sent} requests add up"), SOON, || told().0 + told().1 == 2 * sent);
    let (lines, dropped) = told();
    // A hundred lines are told by each report of each proxy, and those that are longest on their way are three seconds and one.
    assert!(dropped > 0 && lines < sent, "{lines} told and {dropped} not, of {sent}");
    for process in [&mut tap, &mut caller, &mut catalog, &mut control] {
        process.stop(SOON);
    }
    nothing_is_left(&mesh);
}
