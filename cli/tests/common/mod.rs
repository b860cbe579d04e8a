//! What the end-to-end tests share: who is left behind, and a plain GET that follows nothing and retries nothing.
#![allow(dead_code, reason = "each test binary uses a part")]

pub mod prometheus;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;
use testkit::process::eventually;
use testkit::{Mesh, Process, free_port};

pub const SOON: Duration = Duration::from_secs(30);

pub fn mesh() -> Mesh {
    Mesh::new()
}

/// Processes that were started with this mesh's state folder, each with its command line. Children inherit the variable that names it.
pub fn processes(home: &Path) -> Vec<(u32, String)> {
    let marker = format!("XDG_STATE_HOME={}", home.display()).into_bytes();
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    let ours = all.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let environment = std::fs::read(entry.path().join("environ")).ok()?;
        environment.windows(marker.len()).any(|window| window == marker).then_some(())?;
        let command = std::fs::read(entry.path().join("cmdline")).ok()?;
        Some((pid, String::from_utf8_lossy(&command).replace('\0', " ")))
    });
    // A zombie has no command line; it is its parent's, and gone for everyone else.
    ours.filter(|(_, command): &(u32, String)| !command.is_empty()).collect()
}

pub fn nothing_is_left(mesh: &Mesh) {
    let end = std::time::Instant::now() + Duration::from_secs(15);
    loop {
        let left = processes(mesh.home());
        if left.is_empty() {
            return;
        }
        assert!(std::time::Instant::now() < end, "left behind: {left:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Status and body of a GET; 0 and the error where there is no answer.
pub fn get(address: &str, head: &str) -> (u16, String) {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(format!("GET {head}\r\nconnection: close\r\n\r\n").as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    match ask() {
        Ok(answer) => {
            let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
            (status, answer)
        }
        Err(error) => (0, error.to_string()),
    }
}

pub fn answers(address: &str, head: &str) {
    eventually(&format!("{address} answers"), SOON, || get(address, head).0 == 200);
}

pub fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not JSON ({error}): {text}"))
}

pub fn up(mesh: &Mesh) -> Process {
    let up = Process::start(mesh.organza(&["up", "-f", &mesh.config().display().to_string()]));
    up.wait_for("mesh default is up", SOON);
    up
}

/// `python3 -m http.server` in the mesh, which serves a page with its name.
pub fn python(mesh: &Mesh, name: &str, more: &[&str]) -> Process {
    let (port, pages) = (free_port().to_string(), mesh.home().join(name));
    std::fs::create_dir_all(&pages).expect("a folder");
    std::fs::write(pages.join("name"), name).expect("a page");
    let pages = pages.display().to_string();
    let start = ["run", "--service", name, "--port", &port];
    let serve = ["--", "python3", "-m", "http.server", &port, "--bind", "127.0.0.1", "-d", &pages];
    Process::start(mesh.organza(&[&start[..], more, &serve].concat()))
}

/// curl in the mesh until it succeeds; its output.
pub fn called(mesh: &Mesh, url: &str) -> String {
    let mut body = String::new();
    eventually(&format!("{url} answers"), SOON, || {
        let (code, said, _) = mesh.run(&["run", "--", "curl", "-sSf", "-m", "5", url]);
        body = said;
        code == 0
    });
    body
}
