//! `organza run`: any program in the mesh, whose exit code, signals and output stay its own.

mod common;

use common::{SOON, answers, called, get, json, mesh, nothing_is_left, processes, python, up};
use std::process::{Command, Stdio};
use std::time::Duration;
use testkit::process::eventually;
use testkit::{Mesh, Need, Process, free_port, require};

#[test]
fn two_python_servers_are_called_by_name_and_a_route_splits_between_them() {
    if !require(&[Need::Program("python3"), Need::Program("curl")]) {
        return;
    }
    let mesh = mesh();
    let mut up = up(&mesh);
    let (mut a, mut b) = (python(&mesh, "a", &[]), python(&mesh, "b", &[]));
    assert_eq!(called(&mesh, "http://a/name"), "a");
    assert_eq!(called(&mesh, "http://b/name"), "b");
    // Its lines are where it was started; who looks for them among those that are kept is told so, and no argument of it.
    let (code, said, error) = mesh.run(&["logs", "a"]);
    assert!(code == 0 && said.contains("python3 (process ") && said.contains("it writes to a pipe"), "{said}{error}");
    assert!(!said.contains("http.server"), "{said}");

    mesh.write("split.yaml", &to_b());
    up.wait_for("HTTPRoute a", Duration::from_secs(10));
    let (code, said, error) = mesh.run(&["wait", "--for=Programmed", "route/a"]);
    assert_eq!(code, 0, "{said}{error}");
    assert_eq!(called(&mesh, "http://a/name"), "b");
    let edges = || json(&mesh.run(&["get", "edges", "-o", "json"]).1);
    eventually("the edges are seen", SOON, || edges()["items"].as_array().is_some_and(|edges| edges.len() >= 2));
    assert!(edges()["items"].as_array().expect("edges").iter().all(|edge| edge["security"] == "mtls"), "{}", edges());

    // What ends leaves the mesh, and its name with it.
    a.stop(SOON);
    b.stop(SOON);
    eventually("both are gone", SOON, || {
        let proxies = json(&mesh.run(&["get", "proxies", "-o", "json"]).1);
        proxies["items"].as_array().is_some_and(Vec::is_empty)
    });
    up.stop(SOON);
    nothing_is_left(&mesh);
}

fn to_b() -> String {
    "\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: a}
spec:
  parentRefs: [{group: \"\", kind: Service, name: a}]
  rules:
  - backendRefs: [{name: b, port: 80}]
"
    .to_owned()
}

#[test]
fn exit_codes_and_signals_are_the_programs_own() {
    let mesh = mesh();
    let mut up = up(&mesh);
    assert_eq!(mesh.run(&["run", "--", "sh", "-c", "exit 7"]).0, 7);
    assert_eq!(mesh.run(&["run", "--", "sh", "-c", "kill -9 $$"]).0, 137);
    let (code, _, error) = mesh.run(&["run", "--", "no-such-program"]);
    assert!(code != 0 && error.contains("no-such-program"), "{code} {error}");
    let trap = "trap 'echo told; exit 3' TERM; echo ready; while :; do sleep 0.1; done";
    let mut program = Process::start(mesh.organza(&["run", "--", "sh", "-c", trap]));
    program.wait_for("ready", SOON);
    program.signal("TERM");
    assert_eq!(program.wait(SOON).code(), Some(3), "{}", program.output());
    program.wait_for("told", SOON);
    up.stop(SOON);
    nothing_is_left(&mesh);
}

#[test]
fn kill_9_of_run_leaves_no_proxy() {
    let mesh = mesh();
    let mut up = up(&mesh);
    let mut run = Process::start(mesh.organza(&["run", "--", "sh", "-c", "echo ready; exec sleep 60"]));
    run.wait_for("ready", SOON);
    let proxies = || processes(mesh.home()).iter().filter(|(_, command)| command.contains(" proxy ")).count();
    assert_eq!(proxies(), 1);
    run.signal("KILL");
    run.wait(SOON);
    eventually("the proxy ended", SOON, || proxies() == 0);
    // The program had our terminal and is its own master; the test ends it.
    for (pid, command) in processes(mesh.home()) {
        if command.starts_with("sleep 60") {
            Command::new("kill").arg(pid.to_string()).status().expect("ended");
        }
    }
    up.stop(SOON);
    nothing_is_left(&mesh);
}

#[test]
fn the_outbound_listener_serves_its_owner_alone_and_upstreams_open_ports() {
    if !require(&[Need::Program("python3"), Need::Program("curl")]) {
        return;
    }
    let mesh = mesh();
    let mut up = up(&mesh);
    let mut a = python(&mesh, "a", &[]);
    assert_eq!(called(&mesh, "http://a/name"), "a");
    let local = free_port();
    let upstream = format!("a={local}");
    let mut client = Process::start(mesh.organza(&["run", "--upstream", &upstream, "--", "sh", "-c", "echo $http_proxy; exec sleep 60"]));
    client.wait_for("http://organza:", SOON);
    let url = client.output().lines().find_map(|line| line.strip_prefix("http://").map(str::to_owned)).expect("the proxy's URL");
    let (secret, address) = url.split_once('@').expect("a secret");
    let password = secret.split_once(':').expect("a name").1;
    let head = "http://a/name HTTP/1.1\r\nhost: a";
    let refused = get(address, head);
    assert_eq!(refused.0, 407, "nobody without the secret: {refused:?}");
    let wrong = format!("{head}\r\nproxy-authorization: Basic b3JnYW56YTp3cm9uZw==");
    assert_eq!(get(address, &wrong).0, 407, "nor with another");
    let with_secret = ["-sSf", "-m", "5", "-x", &format!("http://organza:{password}@{address}"), "http://a/name"];
    let output = Command::new("curl").args(with_secret).output().expect("curl");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "a", "{}", String::from_utf8_lossy(&output.stderr));

    let named = format!("127.0.0.1:{local}");
    answers(&named, "/name HTTP/1.1\r\nhost: a");
    client.signal("TERM");
    client.wait(SOON);
    assert_eq!(get(&named, "/name HTTP/1.1\r\nhost: a").0, 0, "it went with the program");
    a.stop(SOON);
    up.stop(SOON);
    nothing_is_left(&mesh);
}

#[test]
fn without_a_command_it_fronts_what_listens_already() {
    if !require(&[Need::Program("python3"), Need::Program("curl")]) {
        return;
    }
    let mesh = mesh();
    let mut up = up(&mesh);
    let port = free_port().to_string();
    let mut server = Command::new("python3");
    server.args(["-m", "http.server", &port, "--bind", "127.0.0.1"]).current_dir(mesh.home());
    let mut server = Process::start(server);
    let mut front = Process::start(mesh.organza(&["run", "--service", "already", "--port", &port]));
    front.wait_for("is in the mesh", SOON);
    assert!(called(&mesh, "http://already/").contains("config"));
    front.signal("INT");
    assert!(front.wait(SOON).success(), "{}", front.output());
    server.stop(SOON);
    up.stop(SOON);
    nothing_is_left(&mesh);
}

#[test]
fn a_program_on_all_interfaces_is_called_exposed_and_strict_refuses_it() {
    if !require(&[Need::Program("python3")]) {
        return;
    }
    let mesh = mesh();
    let mut up = up(&mesh);
    let everywhere = |strict: &[&str]| {
        let port = free_port().to_string();
        let start = ["run", "--service", "open", "--port", &port];
        let serve = ["--", "python3", "-m", "http.server", &port];
        Process::start(mesh.organza(&[&start[..], strict, &serve].concat()))
    };
    let mut warned = everywhere(&[]);
    warned.wait_for("is exposed", SOON);
    assert!(warned.is_running());
    warned.stop(SOON);
    let mut refused = everywhere(&["--strict"]);
    assert_eq!(refused.wait(SOON).code(), Some(1), "{}", refused.output());
    assert!(refused.output().contains("is exposed"), "{}", refused.output());
    up.stop(SOON);
    nothing_is_left(&mesh);
}

/// Runs organza with a file piped to its standard input: exit code, output, errors.
fn piped(mesh: &Mesh, file: &str, args: &[&str]) -> (i32, String, String) {
    use std::io::Write;
    let mut child = mesh.organza(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("organza starts");
    let text = std::fs::read(file).expect("the file");
    child.stdin.take().expect("a pipe").write_all(&text).expect("it reads");
    let out = child.wait_with_output().expect("organza ends");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (out.status.code().unwrap_or(-1), text(out.stdout), text(out.stderr))
}

#[test]
fn another_machine_joins_with_a_token_once() {
    if !require(&[Need::Program("python3"), Need::Program("curl")]) {
        return;
    }
    // Another state folder stands for another machine: nothing of the mesh's own is reached from there but its port.
    let (far, mesh) = (mesh(), mesh());
    let mut up = up(&mesh);
    let mut a = python(&mesh, "a", &[]);
    let create = |service: &str, name: &str| {
        let account = format!("default/{service}");
        let (code, token, error) = mesh.run(&["token", "create", "--service-account", &account, "--service", service]);
        assert_eq!(code, 0, "{error}");
        let file = far.home().join(name);
        std::fs::write(&file, token).expect("a token");
        file.display().to_string()
    };
    let (first, other) = (create("far", "first.token"), create("far", "other.token"));
    let port = free_port().to_string();
    let pages = far.home().join("pages");
    std::fs::create_dir_all(&pages).expect("a folder");
    std::fs::write(pages.join("name"), "far").expect("a page");
    let pages = pages.display().to_string();
    let serve = ["--", "python3", "-m", "http.server", &port, "--bind", "127.0.0.1", "-d", &pages];
    let join = |token: &str| {
        far.organza(&[&["run", "--token", token, "--service", "far", "--port", &port, "--service-port", "8081"], &serve[..]].concat())
    };
    let mut joined = Process::start(join(&first));
    assert_eq!(called(&mesh, "http://far:8081/name"), "far", "{}", joined.output());
    let edges = || json(&mesh.run(&["get", "edges", "-o", "json"]).1);
    eventually("the edge is seen", SOON, || {
        edges()["items"].as_array().is_some_and(|edges| edges.iter().any(|edge| edge["destination"] == "far" && edge["security"] == "mtls"))
    });

    // Each token lets one in, for its services alone, and what is no token says so.
    let (code, _, error) = far.run(&["run", "--token", &first, "--", "true"]);
    assert!(code == 1 && error.contains("used before"), "{code} {error}");
    let (code, _, error) = far.run(&["run", "--token", &other, "--service", "a", "--port", "9", "--", "true"]);
    assert!(code == 1 && error.contains("not for this service"), "{code} {error}");
    let (code, said, error) = piped(&far, &other, &["run", "--token", "-", "--", "curl", "-sSf", "-m", "5", "http://a/name"]);
    assert_eq!((code, &*said), (0, "a"), "{error}");
    let proxies = || json(&mesh.run(&["get", "proxies", "-o", "json"]).1)["items"].as_array().map(Vec::len);
    assert_eq!(proxies(), Some(2), "who left is gone at once, those of a and far are there");
    let nonsense = far.home().join("nonsense");
    std::fs::write(&nonsense, "nonsense").expect("written");
    let (code, _, error) = far.run(&["run", "--token", &nonsense.display().to_string(), "--", "true"]);
    assert!(code == 1 && error.contains("holds no token"), "{code} {error}");
    let unused = create("far", "unused.token");
    joined.stop(SOON);
    assert_eq!(proxies(), Some(1), "whoever joined by a token takes itself out");
    a.stop(SOON);
    up.stop(SOON);
    let (code, _, error) = far.run(&["run", "--token", &unused, "--", "true"]);
    assert_eq!(code, 3, "{error}");
    nothing_is_left(&far);
    nothing_is_left(&mesh);
}

#[test]
fn requests_are_logged_where_that_was_asked_for_and_clients_leave_without_a_word() {
    if !require(&[Need::Program("python3"), Need::Program("curl")]) {
        return;
    }
    let mesh = mesh();
    let mut up = up(&mesh);
    let mut web = python(&mesh, "web", &["--access-log"]);
    assert_eq!(called(&mesh, "http://web/name"), "web");
    let lines = || mesh.run(&["logs", "web"]).1;
    eventually("the request is in the log", SOON, || lines().contains("/name"));
    assert!(lines().contains("proxy-web") && lines().contains("GET") && lines().contains("200"), "{}", lines());
    // A line that comes later shows that the one of the client would have come before.
    mesh.write("routes.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: other}\nspec: {ports: [{port: 80}]}\n");
    up.wait_for("Service other added", SOON);
    assert!(!up.output().contains("left"), "{}", up.output());
    web.stop(SOON);
    up.stop(SOON);
    nothing_is_left(&mesh);
}

#[test]
fn a_member_that_the_mesh_forgot_is_registered_again_under_its_name() {
    if !require(&[Need::Program("python3"), Need::Program("curl")]) {
        return;
    }
    let mesh = mesh();
    let mut up = up(&mesh);
    let mut a = python(&mesh, "a", &[]);
    assert_eq!(called(&mesh, "http://a/name"), "a");
    let proxies = || json(&mesh.run(&["get", "proxies", "-o", "json"]).1);
    let member = || proxies()["items"].as_array().and_then(|all| all.iter().find(|proxy| proxy["service"] == "a").cloned());
    let name = member().expect("it is there")["name"].as_str().expect("a name").to_owned();
    let socket = mesh.home().join("state/organza/default/control.sock").display().to_string();
    let url = format!("http://organza/v1/registrations/{name}");
    let forgot = Command::new("curl").args(["-sSf", "--unix-socket", &socket, "-X", "DELETE", &url]).output().expect("curl");
    assert!(forgot.status.success(), "{url} at {socket}: {}", String::from_utf8_lossy(&forgot.stderr));
    eventually("it is back", SOON, || member().is_some_and(|proxy| proxy["name"] == *name && proxy["connected"] == true));
    assert_eq!(called(&mesh, "http://a/name"), "a");
    // Who leaves is not told of again.
    a.stop(SOON);
    assert_eq!(proxies()["items"].as_array().map(Vec::len), Some(0), "{}", proxies());
    up.stop(SOON);
    nothing_is_left(&mesh);
}

#[test]
fn every_request_is_counted_also_those_of_the_last_moment_before_an_end() {
    if !require(&[Need::Program("python3")]) {
        return;
    }
    let mesh = mesh();
    let mut up = up(&mesh);
    let mut catalog = python(&mesh, "catalog", &[]);
    let counted = || {
        let edges = json(&mesh.run(&["get", "edges", "-o", "json"]).1);
        let of = edges["items"].as_array().expect("edges").iter().filter(|edge| edge["service"] == "catalog");
        of.map(|edge| edge["requests"].as_u64().expect("a number")).sum::<u64>()
    };
    let mut asked = 0;
    for _ in 0..3 {
        let door = free_port();
        let mut caller = Process::start(mesh.organza(&["run", "--upstream", &format!("catalog={door}")]));
        let door = format!("127.0.0.1:{door}");
        let mut call = || {
            let (status, _) = get(&door, "/name HTTP/1.1\r\nhost: catalog");
            asked += u64::from(status != 0);
            status == 200
        };
        eventually("the service answers", SOON, &mut call);
        for _ in 0..20 {
            assert!(call());
        }
        caller.stop(SOON);
        assert_eq!(counted(), asked);
    }
    catalog.stop(SOON);
    up.stop(SOON);
    nothing_is_left(&mesh);
}
