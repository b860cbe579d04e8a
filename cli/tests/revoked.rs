//! A machine that joined by a token and is no longer to be trusted: `organza ca revoke` ends what it has open, and it opens nothing any more; a process that
//! joined beside it under the same name goes on. Likewise for what members of the mesh have open towards it.

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
---
apiVersion: v1
kind: Service
metadata: {name: shelf}
spec:
  ports: [{name: bytes, port: 7000, appProtocol: tcp}]
---
apiVersion: v1
kind: Service
metadata: {name: desk}
spec:
  ports: [{name: bytes, port: 7000, appProtocol: tcp}]
";

/// Joins the mesh from another machine's state folder, with a door to the ledger, and answers for a service at a port of it; its name.
fn join(mine: &Mesh, far: &Mesh, port: u16, (service, answers): (&str, u16)) -> (Process, String) {
    let (code, token, error) = mine.run(&["token", "create", "--service-account", "default/far", "--service", service]);
    assert_eq!(code, 0, "{error}");
    let file = far.home().join("token").display().to_string();
    std::fs::write(&file, token.trim()).expect("written");
    let (answers, door) = (answers.to_string(), format!("ledger:7000={port}"));
    let serves = ["--service", service, "--port", &answers, "--service-port", "7000"];
    let process = Process::start(far.organza(&[&["run", "--token", &file, "--upstream", &door][..], &serves].concat()));
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

/// Whether it was ended by the other side, whatever it came by last.
fn is_ended(mut stream: TcpStream) -> bool {
    let ended = stream.read(&mut [0]);
    matches!(&ended, Ok(0)) || ended.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset)
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
    let [program, cut_at, kept_at, to_cut, to_kept] = free_ports(5)[..] else { panic!("five ports") };
    let port = program.to_string();
    // What all three are behind.
    let mut program_runs = Process::start(mine.organza(&["sample", "--name", "ledger", "--port", &port, "--tcp"]));
    let mut ledger = Process::start(mine.organza(&["run", "--service", "ledger", "--port", &port, "--service-port", "7000"]));
    ledger.wait_for("is in the mesh", SOON);
    let (mut cut, name) = join(&mine, &far, cut_at, ("shelf", program));
    let (mut kept, _) = join(&mine, &near, kept_at, ("desk", program));
    let doors = [format!("shelf:7000={to_cut}"), format!("desk:7000={to_kept}")];
    let mut client = Process::start(mine.organza(&["run", "--upstream", &doors[0], "--upstream", &doors[1]]));
    client.wait_for("is in the mesh", SOON);
    let (mut theirs, mut ours) = (opened(cut_at), opened(kept_at));
    assert!(echoes(&mut theirs) && echoes(&mut ours));
    let (mut to_theirs, mut to_ours) = (opened(to_cut), opened(to_kept));
    assert!(echoes(&mut to_theirs) && echoes(&mut to_ours));

    let (code, _, error) = mine.run(&["ca", "revoke", "nobody"]);
    assert!(code == 1 && error.contains("no proxy is called \"nobody\""), "{error}");
    let (code, _, error) = mine.run(&["ca", "revoke", "ledger"]);
    assert!(code == 1 && error.contains("is a process of this machine") && error.contains("end it"), "{error}");
    let (code, said, error) = mine.run(&["ca", "revoke", &name]);
    assert!(code == 0 && said.contains(&format!("{name} is taken out")), "{said}{error}");
    // Nothing more comes, and nothing more goes there.
    assert!(is_ended(theirs) && is_ended(to_theirs));
    assert!(echoes(&mut ours) && echoes(&mut to_ours), "who joined beside it is not touched");
    assert!(!echoes(&mut opened(cut_at)) && echoes(&mut opened(kept_at)));
    assert!(!echoes(&mut opened(to_cut)) && echoes(&mut opened(to_kept)));
    let (_, proxies, _) = mine.run(&["get", "proxies", "-o", "name"]);
    assert!(!proxies.lines().any(|line| line == format!("proxy/{name}")), "{proxies}");

    [&mut client, &mut cut, &mut kept, &mut ledger, &mut program_runs, &mut up].into_iter().for_each(|process| _ = process.stop(SOON));
    [&far, &near, &mine].into_iter().for_each(nothing_is_left);
}
