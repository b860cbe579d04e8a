//! Two machines, made of network namespaces: one joins the other's mesh with a token, and what crosses the wire between them is captured. Needs root;
//! where that is missing the test says so, and fails under CI.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use testkit::netns::{Host, Network, contains};
use testkit::process::{Mesh, Process};
use testkit::{Need, require};

const NEEDS: [Need; 5] = [Need::Namespaces, Need::Program("ip"), Need::Program("tcpdump"), Need::Program("python3"), Need::Program("curl")];
/// Stands in the page that is served; whoever sees it on a wire sees plaintext.
const MARKER: &str = "organza-marker-7f3a";

fn on(host: &Host, mesh: &Mesh, args: &[&str]) -> Command {
    host.on(&mesh.organza(args))
}

fn output(mut command: Command) -> Output {
    command.stdin(Stdio::null()).output().expect("a command runs")
}

/// Runs it until it says what is wanted.
fn until(what: &str, within: Duration, mut make: impl FnMut() -> Command, good: impl Fn(&Output) -> bool) -> Output {
    let end = Instant::now() + within;
    loop {
        let out = output(make());
        if good(&out) {
            return out;
        }
        assert!(Instant::now() < end, "{what}: {}\n{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn what_crosses_the_wire_is_encrypted_and_strangers_reach_nothing() {
    if !require(&NEEDS) {
        return;
    }
    let network = Network::pair("mesh");
    let (a, b) = (&network.a, &network.b);
    let (home, guest) = (Mesh::new(), Mesh::new());
    let page = home.home().join("page");
    std::fs::create_dir_all(&page).expect("a folder");
    std::fs::write(page.join("index.html"), MARKER).expect("a page");
    let address = a.address.to_string();
    home.write("none.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: { name: default }\n");

    let folder = home.config();
    let up = Process::start(on(a, &home, &["up", "-f", &folder.to_string_lossy(), "--listen", &format!("{address}:15012")]));
    up.wait_for("is up", Duration::from_secs(20));
    let program = ["--", "python3", "-u", "-m", "http.server", "8000", "--bind", "127.0.0.1", "--directory"];
    let mut args = vec!["run", "--service", "web", "--port", "8000", "--address", &address];
    args.extend(program);
    let page = page.to_string_lossy().into_owned();
    args.push(&page);
    let web = Process::start(on(a, &home, &args));
    web.wait_for("Serving HTTP", Duration::from_secs(20));
    let told = until(
        "web is in the mesh",
        Duration::from_secs(20),
        || on(a, &home, &["get", "services"]),
        |out| String::from_utf8_lossy(&out.stdout).contains("1/1"),
    );
    drop(told);

    let token = output(on(a, &home, &["token", "create", "--service-account", "default/guest", "--ttl", "5m"]));
    assert!(token.status.success(), "{}", String::from_utf8_lossy(&token.stderr));
    let file = guest.home().join("token");
    std::fs::write(&file, token.stdout.trim_ascii()).expect("the token is written");
    let file = file.to_string_lossy().into_owned();
    let (wire, inside) = (b.capture(guest.home()), a.capture_loopback(home.home()));
    let got = output(on(b, &guest, &["run", "--token", &file, "--", "curl", "-s", "-S", "--max-time", "20", "http://web/"]));
    let said = String::from_utf8_lossy(&got.stdout).into_owned();
    assert!(said.contains(MARKER), "{said}\n{}\nweb said:\n{}", String::from_utf8_lossy(&got.stderr), web.output());
    let (wire, inside) = (wire.finish(), inside.finish());
    assert!(wire.len() > 1000, "the capture saw the call");
    assert!(!contains(&wire, MARKER), "plaintext crossed the wire");
    assert!(contains(&inside, MARKER), "the capture would have seen plaintext: it does on the leg to the application");

    let again = output(on(b, &guest, &["run", "--token", &file, "--", "true"]));
    assert!(!again.status.success(), "a token lets one in once");

    // A stranger on the other machine: no certificate, no way in; the application itself listens on loopback alone.
    let tunnel = until(
        "the tunnel's address",
        Duration::from_secs(5),
        || on(a, &home, &["get", "services", "-o", "json"]),
        |out| out.status.success(),
    );
    let listed = String::from_utf8_lossy(&tunnel.stdout).into_owned();
    let at = listed.split(&format!("{address}:")).nth(1).and_then(|rest| rest.split('"').next()).expect("an address of the tunnel");
    for url in [format!("http://{address}:8000/"), format!("https://{address}:{at}/")] {
        let curl = output(b.on(Command::new("curl").args(["-s", "-k", "--max-time", "5", &url])));
        assert!(!curl.status.success() && !String::from_utf8_lossy(&curl.stdout).contains(MARKER), "{url} must lead nowhere");
    }
}
