//! A proxy ends when its supervisor does, however that ends: its standard input is the supervisor's pipe.

use identity::{Authority, Csr, SignRequest, Signer, Svid};
use model::{SpiffeId, TrustDomain};
use serde_json::json;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

fn start(folder: &std::path::Path) -> Child {
    let (domain, now) = (TrustDomain::parse("t.mesh").expect("a domain"), SystemTime::now());
    let id = SpiffeId::new(domain.clone(), "default", "client").expect("an identity");
    let mut authority = Authority::create(domain, now).expect("an authority");
    let csr = Csr::generate(&id).expect("a key");
    let issued = authority.sign(&SignRequest::parse(&csr.der).expect("a request"), &id, now).expect("signed");
    let root = authority.files().roots;
    std::fs::write(folder.join("svid"), Svid::new(issued.chain, csr.key()).expect("an SVID").to_pem().as_bytes()).expect("written");
    let config = json!({
        "mesh": "t", "proxy": "client-1", "namespace": "default", "identity": id.to_string(), "role": {"workload": {"services": []}},
        "state": folder, "svid": folder.join("svid"), "admin": folder.join("admin.sock"),
        // Nobody listens there: a proxy lives without its control plane.
        "control": {"addresses": ["127.0.0.1:1"], "trustRoots": root, "trustDomain": "t.mesh"},
    });
    std::fs::write(folder.join("config.json"), config.to_string()).expect("written");
    // As most shells start it.
    Command::new("sh")
        .args(["-c", "ulimit -S -n 256 && exec \"$0\" proxy --tethered --config \"$1\""])
        .arg(testkit::process::organza())
        .arg(folder.join("config.json"))
        .stdin(Stdio::piped())
        .stdout(std::fs::File::create(folder.join("log")).expect("a log"))
        .spawn()
        .expect("a proxy")
}

fn ended_within(child: &mut Child, limit: Duration) -> Option<bool> {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        if let Some(status) = child.try_wait().expect("a status") {
            return Some(status.success());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("killed");
    None
}

#[test]
fn a_tethered_proxy_lives_without_control_plane_and_ends_with_its_pipe() {
    let folder = std::env::temp_dir().join(format!("organza-tether-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut proxy = start(&folder);
    testkit::process::eventually("the admin socket is there", Duration::from_secs(10), || folder.join("admin.sock").exists());
    assert!(proxy.try_wait().expect("a status").is_none(), "it has not ended by itself");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", proxy.id())).expect("its limits");
    let files: Vec<_> = limits.lines().find(|line| line.starts_with("Max open files")).expect("a line").split_whitespace().collect();
    assert_eq!(files[3], files[4], "the soft limit is the hard one");
    let said = std::fs::read_to_string(folder.join("log")).expect("a log");
    assert!(said.contains("files; the limit was 256"), "{said}");
    drop(proxy.stdin.take());
    assert_eq!(ended_within(&mut proxy, Duration::from_secs(20)), Some(true));
    std::fs::remove_dir_all(folder).expect("cleaned");
}
