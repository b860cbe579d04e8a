//! `organza up`: a gateway before what already runs and never joins, in the foreground and behind.

mod common;

use common::{SOON, answers, get, json, mesh, nothing_is_left, processes};
use std::net::UdpSocket;
use std::time::Duration;
use testkit::backend::Backend;
use testkit::process::eventually;
use testkit::{Mesh, Process, free_port};

/// A gateway before two addresses that are not in the mesh, with weights.
fn gateway(port: u16, first: u16, second: u16, weights: (u32, u32)) -> String {
    let service = |name: &str, at: u16| {
        format!(
            "\
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  ports:
  - {{name: http, port: 80, appProtocol: http}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}-1
  labels: {{kubernetes.io/service-name: {name}}}
addressType: IPv4
ports:
- {{name: http, port: {at}, protocol: TCP}}
endpoints:
- addresses: [\"127.0.0.1\"]
"
        )
    };
    let (a, b) = weights;
    format!(
        "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: door}}
spec:
  gatewayClassName: organza
  listeners:
  - {{name: http, port: {port}, protocol: HTTP}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: outside}}
spec:
  parentRefs: [{{name: door}}]
  rules:
  - backendRefs:
    - {{name: first, port: 80, weight: {a}}}
    - {{name: second, port: 80, weight: {b}}}
{}{}",
        service("first", first),
        service("second", second)
    )
}

/// `first` and `second`, which answer until this is dropped.
struct Outside {
    ports: (u16, u16),
    end: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Outside {
    fn start() -> Self {
        let (end, ended) = tokio::sync::oneshot::channel();
        let (say, said) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let (first, second) = (Backend::http("first").await, Backend::http("second").await);
                say.send((first.address.port(), second.address.port())).expect("someone waits");
                let _ = ended.await;
            });
        });
        Self { ports: said.recv_timeout(SOON).expect("backends"), end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        drop(self.end.take());
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

/// What answers there, in twenty requests.
fn who(address: &str) -> Vec<String> {
    let head = "/x HTTP/1.1\r\nhost: shop.example";
    let mut names: Vec<String> = (0..20)
        .map(|_| {
            let (status, answer) = get(address, head);
            assert_eq!(status, 200, "{answer}");
            let name = answer.lines().find_map(|line| line.strip_prefix("x-backend: ").map(str::to_owned));
            name.unwrap_or_else(|| panic!("nobody's answer: {answer}"))
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

fn folder(mesh: &Mesh) -> String {
    mesh.config().display().to_string()
}

#[test]
fn edits_of_files_take_effect_and_broken_ones_keep_what_worked() {
    let (mesh, outside) = (mesh(), Outside::start());
    let port = free_port();
    let (a, b) = outside.ports;
    let address = format!("127.0.0.1:{port}");
    mesh.write("gateway.yaml", &gateway(port, a, b, (1, 0)));
    let mut up = Process::start(mesh.organza(&["up", "-f", &folder(&mesh)]));
    up.wait_for("mesh default is up", SOON);
    answers(&address, "/ HTTP/1.1\r\nhost: shop.example");
    assert_eq!(who(&address), ["first"]);

    mesh.write("gateway.yaml", &gateway(port, a, b, (0, 1)));
    up.wait_for("1/0 → 0/1 · 1/1 proxies", Duration::from_secs(10));
    assert_eq!(who(&address), ["second"]);

    mesh.write("gateway.yaml", "kind: [not closed\n");
    up.wait_for("gateway.yaml", Duration::from_secs(10));
    up.wait_for("still serving generation", Duration::from_secs(10));
    assert_eq!(who(&address), ["second"]);
    let (code, status, _) = mesh.run(&["status"]);
    assert_eq!(code, 1, "a problem of the files is a problem of the mesh: {status}");
    assert!(status.contains("gateway.yaml:1"), "{status}");

    mesh.write("gateway.yaml", &gateway(port, a, b, (1, 1)));
    eventually("both answer", SOON, || who(&address) == ["first", "second"]);
    up.signal("INT");
    assert!(up.wait(SOON).success(), "{}", up.output());
    nothing_is_left(&mesh);
}

#[test]
fn what_is_wrong_with_files_from_the_beginning_is_told_when_the_mesh_comes_up() {
    let mesh = mesh();
    (0..10).for_each(|n| mesh.write(&format!("route-{n}.yaml"), "kind: [not closed\n"));
    let mut up = Process::start(mesh.organza(&["up", "-f", &folder(&mesh)]));
    up.wait_for("route-7.yaml:1", SOON);
    up.wait_for("and 2 more: organza status --mesh default", SOON);
    up.signal("INT");
    assert!(up.wait(SOON).success(), "{}", up.output());
    let (code, said, error) = mesh.run(&["up", "-d", "-f", &folder(&mesh)]);
    assert_eq!(code, 0, "{said}{error}");
    assert!(said.contains("route-0.yaml:1") && said.contains("and 2 more"), "{said}");
    let (code, said, error) = mesh.run(&["down"]);
    assert_eq!(code, 0, "{said}{error}");
    nothing_is_left(&mesh);
}

#[test]
fn listeners_of_a_set_are_served_beside_the_gateways_own() {
    let (mesh, outside) = (mesh(), Outside::start());
    let (port, second) = (free_port(), free_port());
    let (a, b) = outside.ports;
    let door = gateway(port, a, b, (1, 0)).replace("  listeners:", "  allowedListeners: {namespaces: {from: Same}}\n  listeners:");
    let set = format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: ListenerSet\nmetadata: {{name: more}}\nspec:\n  parentRef: {{name: door}}\n  \
         listeners:\n  - {{name: http, port: {second}, protocol: HTTP}}\n"
    );
    let both = door.replace("parentRefs: [{name: door}]", "parentRefs: [{name: door}, {kind: ListenerSet, name: more}]");
    mesh.write("gateway.yaml", &format!("{both}{set}"));
    let mut up = Process::start(mesh.organza(&["up", "-f", &folder(&mesh)]));
    up.wait_for("mesh default is up", SOON);
    let addresses = [port, second].map(|port| format!("127.0.0.1:{port}"));
    addresses.iter().for_each(|address| answers(address, "/ HTTP/1.1\r\nhost: shop.example"));
    mesh.write("gateway.yaml", &door);
    eventually("the set's listener is gone", SOON, || get(&addresses[1], "/ HTTP/1.1\r\nhost: shop.example").0 != 200);
    assert_eq!(get(&addresses[0], "/ HTTP/1.1\r\nhost: shop.example").0, 200);
    up.signal("INT");
    assert!(up.wait(SOON).success(), "{}", up.output());
    nothing_is_left(&mesh);
}

/// Answers each datagram with this name and the port that it came from.
fn datagrams(name: &'static str) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let port = socket.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((_, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(format!("{name} {}", from.port()).as_bytes(), from);
        }
    });
    port
}

/// A client of the gateway's datagrams, and who answers it.
struct Asker(UdpSocket);

impl Asker {
    fn new(port: u16) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.connect(("127.0.0.1", port)).expect("connected");
        socket.set_read_timeout(Some(SOON)).expect("set");
        Self(socket)
    }

    fn ask(&self) -> String {
        self.0.send(b"?").expect("sent");
        let mut buffer = [0; 64];
        let length = self.0.recv(&mut buffer).expect("an answer");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }
}

#[test]
fn datagrams_are_led_by_weight_and_go_on_across_an_upgrade() {
    let (mesh, outside) = (mesh(), Outside::start());
    let port = free_port();
    let (a, b) = outside.ports;
    // One number for connections and for datagrams, at the gateway and at the Services.
    let mut text = gateway(port, a, b, (1, 1))
        .replace("protocol: HTTP}\n", &format!("protocol: HTTP}}\n  - {{name: names, port: {port}, protocol: UDP}}\n"));
    text = text.replace("appProtocol: http}\n", "appProtocol: http}\n  - {name: names, port: 80, protocol: UDP}\n");
    for (name, at) in [("first", datagrams("first")), ("second", datagrams("second"))] {
        text.push_str(&format!(
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: {name}-names\n  labels: {{kubernetes.io/service-name: {name}}}\n\
             addressType: IPv4\nports:\n- {{name: names, port: {at}, protocol: UDP}}\nendpoints:\n- addresses: [\"127.0.0.1\"]\n"
        ));
    }
    text.push_str(
        "---\napiVersion: gateway.networking.k8s.io/v1alpha2\nkind: UDPRoute\nmetadata: {name: names}\nspec:\n  parentRefs: [{name: door, sectionName: names}]\n  \
         rules:\n  - backendRefs:\n    - {name: first, port: 80, weight: 1}\n    - {name: second, port: 80, weight: 1}\n",
    );
    mesh.write("gateway.yaml", &text);
    let mut up = Process::start(mesh.organza(&["up", "-f", &folder(&mesh)]));
    up.wait_for("mesh default is up", SOON);
    let address = format!("127.0.0.1:{port}");
    answers(&address, "/ HTTP/1.1\r\nhost: shop.example");
    assert_eq!(who(&address), ["first", "second"], "by HTTP");
    let askers: Vec<_> = (0..24).map(|_| Asker::new(port)).collect();
    let all = || -> Vec<String> { askers.iter().map(Asker::ask).collect() };
    let led = all();
    assert!(["first", "second"].iter().all(|name| led.iter().any(|led| led.starts_with(name))), "{led:?}");
    assert_eq!(all(), led, "each stays where it was led");
    let asked = ["explain", &format!("udp://:{port}"), "--from", "gateway/door", "--expect", "first", "--expect", "second"];
    let (code, story, error) = mesh.run(&asked);
    assert_eq!(code, 0, "{story}{error}");
    assert!(story.contains("UDPRoute default/names"), "{story}");
    let (code, said, error) = mesh.run(&["up", "--upgrade"]);
    assert_eq!(code, 0, "{said}{error}");
    assert_eq!(all(), led, "another process leads them to the same sockets");
    Asker::new(port).ask();
    // One question and its answer are over after a few seconds.
    eventually("the graph shows it", SOON, || mesh.run(&["graph", "-o", "json"]).1.contains("udp"));
    up.signal("INT");
    assert!(up.wait(SOON).success(), "{}", up.output());
    nothing_is_left(&mesh);
}

#[test]
fn to_writes_a_gateway_before_one_address_whose_hop_shows_as_plain() {
    let (mesh, outside) = (mesh(), Outside::start());
    let (port, to) = (free_port().to_string(), format!("127.0.0.1:{}", outside.ports.0));
    let mut up = Process::start(mesh.organza(&["up", "--to", &to, "--port", &port]));
    up.wait_for("mesh default is up", SOON);
    let address = format!("127.0.0.1:{port}");
    answers(&address, "/ HTTP/1.1\r\nhost: any.example");
    assert_eq!(who(&address), ["first"]);
    let edges = || json(&mesh.run(&["get", "edges", "-A", "-o", "json"]).1);
    eventually("the hop is seen", SOON, || edges()["items"].as_array().is_some_and(|edges| !edges.is_empty()));
    let edges = edges();
    assert!(edges["items"].as_array().expect("edges").iter().all(|edge| edge["security"] == "plain"), "{edges}");
    up.stop(SOON);
    nothing_is_left(&mesh);
}

#[test]
fn behind_the_scenes_it_comes_up_says_how_it_is_and_goes() {
    let (mesh, outside) = (mesh(), Outside::start());
    let port = free_port();
    mesh.write("gateway.yaml", &gateway(port, outside.ports.0, outside.ports.1, (1, 1)));
    let (code, said, error) = mesh.run(&["up", "-d", "-f", &folder(&mesh)]);
    assert_eq!(code, 0, "{said}{error}");
    let (code, said, error) = mesh.run(&["wait", "--for=Programmed", "route/outside", "--timeout", "20s"]);
    assert_eq!(code, 0, "{said}{error}");
    let (code, said, error) = mesh.run(&["wait", "--for=Programmed", "gateway/door", "--timeout", "20s"]);
    assert_eq!(code, 0, "{said}{error}");
    assert_eq!(who(&format!("127.0.0.1:{port}")), ["first", "second"]);
    let (code, said, error) = mesh.run(&["up", "-d", "-f", &folder(&mesh)]);
    assert_eq!(code, 1, "it is up already: {said}{error}");
    let (code, status, error) = mesh.run(&["status"]);
    assert_eq!(code, 0, "{status}{error}");
    assert!(status.contains("1 of 1 proxies have it"), "{status}");
    let (code, _, error) = mesh.run(&["status", "--mesh", "elsewhere"]);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("organza up --mesh elsewhere, or take the one that is up: --mesh default"), "{error}");
    let (code, logs, _) = mesh.run(&["logs"]);
    assert_eq!(code, 0);
    assert!(logs.contains("gateway-door") && logs.contains("control"), "{logs}");
    let (code, table, _) = mesh.run(&["get", "routes"]);
    assert_eq!(code, 0);
    assert!(table.contains("outside"), "{table}");
    let (code, story, error) = mesh.run(&[
        "explain",
        "GET",
        &format!("http://shop.example:{port}/x"),
        "--from",
        "gateway/door",
        "--expect",
        "first",
        "--expect",
        "second",
    ]);
    assert_eq!(code, 0, "{story}{error}");
    let (code, said, error) = mesh.run(&["diff", "-f", &folder(&mesh)]);
    assert_eq!(code, 0, "{error}");
    assert!(said.starts_with("no difference"), "{said}");
    let other = mesh.home().join("other");
    std::fs::create_dir_all(&other).expect("a folder");
    let text = gateway(port, outside.ports.0, outside.ports.1, (9, 1))
        .replace("name: second, port: 80, appProtocol", "name: web, port: 80, appProtocol");
    std::fs::write(other.join("gateway.yaml"), text.replace("name: first-1", "name: first-2")).expect("written");
    let (code, said, error) = mesh.run(&["diff", "-f", &other.display().to_string()]);
    assert_eq!(code, 0, "{said}{error}");
    for line in [
        "~ gateway.yaml: HTTPRoute outside 1/1 → 9/1",
        "+ gateway.yaml: EndpointSlice first-2 added",
        "- gateway.yaml: EndpointSlice first-1 removed",
    ] {
        assert!(said.contains(line), "no {line}: {said}");
    }
    assert_eq!(who(&format!("127.0.0.1:{port}")), ["first", "second"], "nothing was changed");
    let (code, said, error) = mesh.run(&["down"]);
    assert_eq!(code, 0, "{said}{error}");
    nothing_is_left(&mesh);
    assert_eq!(mesh.run(&["status"]).0, 3);
}

/// How often threads of these processes went to wait.
fn waits(mesh: &Mesh) -> u64 {
    let tasks =
        processes(mesh.home()).into_iter().flat_map(|(pid, _)| std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten());
    let status = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok());
    let waits = |status: &String| status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")?.trim().parse::<u64>().ok());
    status.filter_map(|status| waits(&status)).sum()
}

/// Of all threads of supervisor, control plane and a proxy, in a second; it was 280 while each looked for news fifty times.
const CALM: u64 = 120;

#[test]
fn with_nothing_to_do_hardly_anything_wakes() {
    let (mesh, outside) = (mesh(), Outside::start());
    mesh.write("gateway.yaml", &gateway(free_port(), outside.ports.0, outside.ports.1, (1, 1)));
    let (code, said, error) = mesh.run(&["up", "-d", "-f", &folder(&mesh)]);
    assert_eq!(code, 0, "{said}{error}");
    let (code, said, error) = mesh.run(&["wait", "--for=Programmed", "gateway/door", "--timeout", "20s"]);
    assert_eq!(code, 0, "{said}{error}");
    // What a start brings along is over once a second had few; a slow machine waits less often, not more.
    let second = |_| {
        let before = waits(&mesh);
        std::thread::sleep(Duration::from_secs(1));
        waits(&mesh) - before
    };
    let seen: Vec<u64> = (0..15).map(second).take_while(|waits| *waits > CALM).collect();
    assert!(seen.len() < 15, "waits by second: {seen:?}");
    let (code, said, error) = mesh.run(&["down"]);
    assert_eq!(code, 0, "{said}{error}");
}

#[test]
fn a_named_port_that_is_taken_is_an_error_that_names_its_holder() {
    let mesh = mesh();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = taken.local_addr().expect("an address").port();
    let (code, _, error) = mesh.run(&["up", "--to", "127.0.0.1:9", "--port", &port.to_string()]);
    assert_eq!(code, 1, "{error}");
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");

    // A Gateway's port was named too.
    mesh.write("gateway.yaml", &gateway(port, 9, 9, (1, 1)));
    let (code, said, error) = mesh.run(&["up", "-f", &folder(&mesh)]);
    assert_eq!(code, 1, "{said}{error}");
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    nothing_is_left(&mesh);
}
