//! What a user may get wrong, and what may go wrong around a mesh: each is told with what, where, why and what to do, and what worked goes on.

mod common;

use common::{SOON, json, mesh, nothing_is_left, up};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use testkit::process::{eventually, organza};
use testkit::{Mesh, Need, Process, free_port, free_ports, require};

const TEN: Duration = Duration::from_secs(10);

fn gateway(name: &str, port: u16) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: {name}}}
spec:
  gatewayClassName: organza
  listeners: [{{name: http, port: {port}, protocol: HTTP}}]
"
    )
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(folder.join(name), text).expect("a file");
}

#[test]
fn two_folders_may_hold_files_of_one_name_but_not_one_object() {
    let mesh = mesh();
    let (a, b) = (mesh.home().join("a"), mesh.home().join("b"));
    let ports = free_ports(3);
    write(&a, "gateway.yaml", &gateway("one", ports[0]));
    write(&b, "gateway.yaml", &gateway("two", ports[1]));
    let (folder_a, folder_b) = (a.display().to_string(), b.display().to_string());
    let both = ["-f", &folder_a, "-f", &folder_b];
    let mut up = Process::start(mesh.organza(&[&["up"], &both[..]].concat()));
    up.wait_for("mesh default is up", SOON);
    let table = mesh.run(&["get", "gateways"]).1;
    assert!(table.contains("a/gateway.yaml:1") && table.contains("b/gateway.yaml:1"), "{table}");
    let (code, said, error) = mesh.run(&[&["diff"], &both[..]].concat());
    assert_eq!((code, said.starts_with("no difference")), (0, true), "{said}{error}");

    write(&a, "again.yaml", &gateway("two", ports[2]));
    up.wait_for("a/again.yaml:1:1: error: Gateway default/two it is written twice: b/gateway.yaml:1 is in force", TEN);
    let (code, status, _) = mesh.run(&["status"]);
    assert!(code == 1 && status.contains("keep one of them"), "{status}");
    let two = json(&mesh.run(&["get", "gateway", "two", "-o", "json"]).1);
    assert_eq!(two["spec"]["listeners"][0]["port"], ports[1], "what worked goes on: {two}");
    std::fs::remove_file(a.join("again.yaml")).expect("removed");
    up.wait_for("all files are good again", TEN);
    assert_eq!(mesh.run(&["status"]).0, 0);
    up.stop(SOON);
    nothing_is_left(&mesh);
}

#[test]
fn a_folder_that_vanishes_is_served_on_and_may_return_and_an_empty_one_is_told() {
    let mesh = mesh();
    let folder = mesh.config();
    let mut empty = Process::start(mesh.organza(&["up", "-f", &folder.display().to_string()]));
    empty.wait_for("mesh default is up", SOON);
    assert!(empty.output().contains("holds no *.yaml, *.yml or *.json file yet"), "{}", empty.output());
    empty.stop(SOON);

    mesh.write("gateway.yaml", &gateway("door", free_port()));
    let mut up = up(&mesh);
    let away = mesh.home().join("away");
    std::fs::rename(&folder, &away).expect("moved");
    up.wait_for(&format!("{}: error: there is no such file or folder (put it back", folder.display()), TEN);
    up.wait_for("still serving generation", TEN);
    assert_eq!(mesh.run(&["get", "gateways", "-o", "name"]).1.lines().count(), 1);
    assert_eq!(mesh.run(&["status"]).0, 1);
    std::fs::rename(&away, &folder).expect("moved back");
    up.wait_for("all files are good again", TEN);
    up.stop(SOON);
    nothing_is_left(&mesh);
}

#[test]
fn a_taken_port_of_a_gateway_is_told_in_one_line_with_its_holder() {
    let mesh = mesh();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    mesh.write("gateway.yaml", &gateway("door", taken.local_addr().expect("an address").port()));
    let (code, _, error) = mesh.run(&["up", "-f", &mesh.config().display().to_string()]);
    assert_eq!(code, 1, "{error}");
    assert_eq!(error.lines().count(), 3, "what, why, and what to do:\n{error}");
    assert!(error.contains(&format!("held by process {}", std::process::id())) && error.contains("do:  "), "{error}");
    nothing_is_left(&mesh);
}

#[test]
fn a_token_that_is_wrong_expired_or_anothers_lets_nobody_in_and_says_why() {
    let (mine, far, other) = (mesh(), mesh(), mesh());
    let (mut up_mine, mut up_other) = (up(&mine), up(&other));
    let create = |mesh: &Mesh, ttl: &str| {
        let (code, token, error) = mesh.run(&["token", "create", "--service-account", "default/far", "--ttl", ttl]);
        assert_eq!(code, 0, "{error}");
        token.trim().to_owned()
    };
    let join = |token: &str| {
        let file = far.home().join("token");
        std::fs::write(&file, token).expect("written");
        let (code, _, error) = far.run(&["run", "--token", &file.display().to_string(), "--", "true"]);
        (code, error)
    };
    let expired = create(&mine, "1s");
    eventually("it is expired", TEN, || mine.run(&["token", "list"]).1.contains("expired"));
    let (code, error) = join(&expired);
    assert!(code == 1 && error.contains("has expired") && error.contains("organza token create"), "{error}");

    let good = create(&mine, "5m");
    assert_eq!(join(&good).0, 0);
    // Also after others were made.
    create(&mine, "5m");
    let (code, error) = join(&good);
    assert!(code == 1 && error.contains("was used before"), "{error}");

    // Well-formed, and no mesh's: secrets of one, address and root of another.
    let (code, error) = join("nonsense");
    assert!(code == 1 && error.contains("holds no token"), "{error}");
    let withdrawn = create(&mine, "5m");
    let id = json_tokens(&mine);
    for id in id {
        mine.run(&["token", "delete", &id]);
    }
    let (code, error) = join(&withdrawn);
    assert!(code == 1 && error.contains("is not known here"), "{error}");

    // The mesh is another one now, at the same place: the token pins the root of the one that made it.
    let pinned = create(&other, "5m");
    up_other.stop(SOON);
    std::fs::remove_dir_all(other.home().join("state/organza/default/ca")).expect("another authority");
    up_other = up(&other);
    let (code, error) = join(&pinned);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("no mesh at") && error.contains("why:"), "{error}");
    up_mine.stop(SOON);
    up_other.stop(SOON);
    nothing_is_left(&mine);
    nothing_is_left(&other);
}

fn json_tokens(mesh: &Mesh) -> Vec<String> {
    let table = mesh.run(&["token", "list"]).1;
    table.lines().skip(1).filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn a_mesh_that_was_killed_is_not_reachable_and_comes_up_again() {
    let mesh = mesh();
    let mut first = up(&mesh);
    first.signal("KILL");
    first.wait(SOON);
    nothing_is_left(&mesh);
    for command in [
        &["status"][..],
        &["get", "services"],
        &["wait", "--for=Programmed", "route/x", "--timeout", "1s"],
        &["token", "list"],
        &["diff", "-f", "../examples/shop"],
        &["down"],
        &["run", "--", "true"],
    ] {
        let (code, _, error) = mesh.run(command);
        assert!(code == 3 && error.contains("organza up --mesh default"), "{command:?}: {code} {error}");
    }
    let mut second = up(&mesh);
    assert_eq!(mesh.run(&["status"]).0, 0);
    second.stop(SOON);
    nothing_is_left(&mesh);
}

/// Runs in the mount namespace of a process, where the disk is small.
fn inside(pid: u32, home: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("nsenter");
    command.args(["-t", &pid.to_string(), "-m", "--"]).args(arguments).env("XDG_STATE_HOME", home.join("state"));
    command.stdin(Stdio::null()).output().expect("nsenter")
}

#[test]
fn a_full_disk_is_told_loses_nothing_that_works_and_is_got_over() {
    if !require(&[Need::Namespaces, Need::Program("unshare"), Need::Program("nsenter")]) {
        return;
    }
    let mesh = mesh();
    let port = free_port();
    mesh.write("gateway.yaml", &gateway("door", port));
    let (state, config) = (mesh.home().join("state"), mesh.config());
    std::fs::create_dir_all(&state).expect("a folder");
    let binary = organza().display().to_string();
    let line = format!("mount -t tmpfs -o size=3m tmpfs '{}' && exec '{binary}' up -f '{}'", state.display(), config.display());
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &line]).env("XDG_STATE_HOME", &state).env("NO_COLOR", "1");
    let mut up = Process::start(command);
    up.wait_for("mesh default is up", SOON);
    let run = |arguments: &[&str]| {
        let out = inside(up.id(), mesh.home(), arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (out.status.code().unwrap_or(-1), text(&out.stdout) + &text(&out.stderr))
    };
    let fill = state.join("fill").display().to_string();
    run(&["dd", "if=/dev/zero", &format!("of={fill}"), "bs=4k"]);

    // An edit takes effect all the same; what could not be stored is told.
    mesh.write("gateway.yaml", &gateway("door", port).replace("name: http", "name: web"));
    up.wait_for("spec.listeners[0].name · 1/1 proxies", TEN);
    let (code, said) = run(&[&binary, "run", "--", "true"]);
    assert!(code == 1 && said.contains("No space left on device") && said.contains("make room on that disk"), "{said}");
    // The store has a little room of its own: decisions until it is used up.
    let services: Vec<String> = (0..200).map(|n| format!("--service={n:060}")).collect();
    let mut token = vec![binary.as_str(), "token", "create", "--service-account", "default/x"];
    token.extend(services.iter().map(String::as_str));
    let mut status = (0, String::new());
    eventually("the store is full", SOON, || {
        run(&token);
        status = run(&[&binary, "status"]);
        status.1.contains("is not stored")
    });
    assert!(status.0 == 1 && status.1.contains("make room on that disk"), "{}", status.1);
    let (code, said) = run(&[&binary, "demo", "--for", "1s"]);
    assert!(code == 1 && said.contains("make room on that disk") && said.contains("/demo/"), "{said}");

    run(&["rm", &fill]);
    eventually("what was decided is stored after all", TEN, || run(&[&binary, "status"]).0 == 0);
    let (code, said) = run(&[&binary, "run", "--", "true"]);
    assert_eq!(code, 0, "{said}");
    up.stop(SOON);
    nothing_is_left(&mesh);
}
