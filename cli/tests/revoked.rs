//! A machine that joined by a token and is no longer to be trusted: `organza ca revoke` ends what it has open, and it opens nothing any more; a process that
//! joined beside it under the same name goes on.

mod common;

use common::{SOON, mesh, nothing_is_left, up};
use std::io::{Read, Write};
use std::net::TcpStream;
use testkit::{Mesh, Process, free_ports};

const LEDGER: &str = "\
apiVersion: v1
kind: Service
metadata: {name: ledger}
spec:
  ports: [{name: bytes, port: 7000, appProtocol: tcp}]
";

/// Joins the mesh from another machine's state folder, with a door to the ledger; its name.
fn join(mine: &Mesh, far: &Mesh, port: u16) -> (Process, String) {
    let (code, token, error) = mine.run(&["token", "create", "--service-account", "default/far"]);
    assert_eq!(code, 0, "{error}");
    let file = far.home().join("token").display().to_string();
    std::fs::write(&file, token.trim()).expect("written");
    let process = Process::start(far.organza(&["run", "--token", &file, "--upstream", &format!("ledger:7000={port}")]));
    process.wait_for("is in the mesh", SOON);
    let said = process.output();
    let name =
        said.lines().find_map(|line| line.strip_prefix("organza: ")?.split(" is in the mesh").next().filter(|name| !name.contains(' ')));
    (process, name.unwrap_or_else(|| panic!("{said}")).to_owned())
}

fn opened(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("a door");
    stream.set_read_timeout(Some(SOON)).expect("a time");
    stream
}

/// Whether bytes come back; not where the connection was ended.
fn echoes(stream: &mut TcpStream) -> bool {
    let mut back = [0; 4];
    stream.write_all(b"ping").is_ok() && stream.read_exact(&mut back).is_ok()
}

#[test]
fn a_machine_that_is_revoked_is_cut_and_comes_in_no_more() {
    let (mine, [far, near]) = (mesh(), [mesh(), mesh()]);
    mine.write("ledger.yaml", LEDGER);
    let mut up = up(&mine);
    let [program, cut_at, kept_at] = free_ports(3)[..] else { panic!("three ports") };
    let port = program.to_string();
    let mut program = Process::start(mine.organza(&["sample", "--name", "ledger", "--port", &port, "--tcp"]));
    let mut ledger = Process::start(mine.organza(&["run", "--service", "ledger", "--port", &port, "--service-port", "7000"]));
    ledger.wait_for("is in the mesh", SOON);
    let ((mut cut, name), (mut kept, _)) = (join(&mine, &far, cut_at), join(&mine, &near, kept_at));
    let (mut theirs, mut ours) = (opened(cut_at), opened(kept_at));
    assert!(echoes(&mut theirs) && echoes(&mut ours));

    let (code, _, error) = mine.run(&["ca", "revoke", "nobody"]);
    assert!(code == 1 && error.contains("no proxy is called \"nobody\""), "{error}");
    let (code, _, error) = mine.run(&["ca", "revoke", "ledger"]);
    assert!(code == 1 && error.contains("is a process of this machine") && error.contains("end it"), "{error}");
    let (code, said, error) = mine.run(&["ca", "revoke", &name]);
    assert!(code == 0 && said.contains(&format!("{name} is taken out")), "{said}{error}");
    // Nothing more comes; how it ends is all the same.
    let ended = theirs.read(&mut [0]);
    assert!(matches!(&ended, Ok(0)) || ended.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset), "{ended:?}");
    assert!(echoes(&mut ours), "who joined beside it is not touched");
    assert!(!echoes(&mut opened(cut_at)) && echoes(&mut opened(kept_at)));
    let (_, proxies, _) = mine.run(&["get", "proxies", "-o", "name"]);
    assert!(!proxies.lines().any(|line| line == format!("proxy/{name}")), "{proxies}");

    [&mut cut, &mut kept, &mut ledger, &mut program, &mut up].into_iter().for_each(|process| _ = process.stop(SOON));
    [&far, &near, &mine].into_iter().for_each(nothing_is_left);
}
