//! `docs/programs.md`, line by line as far as the programs are on this machine.

mod common;

use common::{SOON, called, mesh, nothing_is_left, python, up};
use testkit::{Mesh, Need, Process, free_port, require};

const SERVER: [Need; 2] = [Need::Program("python3"), Need::Program("curl")];

/// Runs one program in a mesh in which `a` serves `/name`.
fn in_a_mesh(ask: impl FnOnce(&Mesh)) {
    let mesh = mesh();
    let mut up = up(&mesh);
    let mut a = python(&mesh, "a", &[]);
    assert_eq!(called(&mesh, "http://a/name"), "a");
    ask(&mesh);
    a.stop(SOON);
    up.stop(SOON);
    nothing_is_left(&mesh);
}

#[test]
fn curl_and_python_are_carried_as_they_are() {
    if !require(&SERVER) {
        return;
    }
    in_a_mesh(|mesh| {
        let ask = "import urllib.request as r; print(r.urlopen('http://a/name', timeout=5).read().decode())";
        let (code, said, error) = mesh.run(&["run", "--", "python3", "-c", ask]);
        assert_eq!((code, said.trim()), (0, "a"), "{error}");
    });
}

#[test]
fn node_before_24_needs_an_upstream() {
    if !require(&SERVER) || !require(&[Need::Program("node")]) {
        return;
    }
    let version = std::process::Command::new("node").arg("--version").output().expect("node");
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let major: u32 = version.trim_start_matches('v').split('.').next().and_then(|n| n.parse().ok()).expect("a version");
    in_a_mesh(|mesh| {
        let ask = |url: &str| format!("fetch('{url}').then(r => r.text()).then(t => console.log(t), () => process.exit(9))");
        let (code, said, error) = mesh.run(&["run", "--", "node", "-e", &ask("http://a/name")]);
        match major >= 24 {
            true => assert_eq!((code, said.trim()), (0, "a"), "{error}"),
            false => assert_eq!(code, 9, "it is not carried: {said}{error}"),
        }
        let port = free_port();
        let (code, said, error) =
            mesh.run(&["run", "--upstream", &format!("a={port}"), "--", "node", "-e", &ask(&format!("http://127.0.0.1:{port}/name"))]);
        assert_eq!((code, said.trim()), (0, "a"), "{error}");
    });
}

#[test]
fn java_finds_the_proxy_and_is_refused_without_the_secret() {
    if !require(&SERVER) || !require(&[Need::Program("java")]) {
        return;
    }
    in_a_mesh(|mesh| {
        let file = mesh.home().join("Ask.java");
        let source = "public class Ask { public static void main(String[] a) throws Exception { var c = (java.net.HttpURLConnection) \
             java.net.URI.create(a[0]).toURL().openConnection(); System.out.println(c.getResponseCode()); } }";
        std::fs::write(&file, source).expect("a program");
        let file = file.display().to_string();
        let (code, said, error) = mesh.run(&["run", "--", "java", &file, "http://a/name"]);
        assert_eq!((code, said.trim()), (0, "407"), "{error}");
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}/name");
        let (code, said, error) = mesh.run(&["run", "--upstream", &format!("a={port}"), "--", "java", &file, &url]);
        assert_eq!((code, said.trim()), (0, "200"), "{error}");
    });
}

#[test]
fn go_is_carried_as_it_is() {
    if !require(&SERVER) || !require(&[Need::Program("go")]) {
        return;
    }
    in_a_mesh(|mesh| {
        let source = mesh.home().join("ask.go");
        let text = "package main\nimport (\"fmt\"; \"io\"; \"net/http\"; \"os\")\nfunc main() {\n\tanswer, err := http.Get(os.Args[1])\n\
             \tif err != nil { panic(err) }\n\tbody, _ := io.ReadAll(answer.Body)\n\tfmt.Println(string(body))\n}\n";
        std::fs::write(&source, text).expect("a program");
        let program = mesh.home().join("ask");
        // Nothing but Go's own library: hermetic. Its build cache must outlive the mesh's folder.
        let built = std::process::Command::new("go").args(["build", "-o"]).args([&program, &source]).status().expect("go");
        assert!(built.success());
        let (code, said, error) = mesh.run(&["run", "--", &program.display().to_string(), "http://a/name"]);
        assert_eq!((code, said.trim()), (0, "a"), "{error}");
    });
}

#[test]
fn grpc_goes_by_connect_and_by_an_upstream() {
    if !require(&[Need::Python("grpc")]) {
        return;
    }
    let mesh = mesh();
    let mut up = up(&mesh);
    let port = free_port().to_string();
    let organza = testkit::process::organza().display().to_string();
    let serve = ["run", "--service", "g", "--port", &port, "--", &organza, "sample", "--name", "g", "--port", &port];
    let mut g = Process::start(mesh.organza(&serve));
    // Any name of a method will do: the sample sends back what it gets.
    let ask = |target: &str| {
        format!(
            "import grpc\nwith grpc.insecure_channel('{target}') as c:\n  call = c.unary_unary('/echo.Echo/Say')\n  print(call(b'hello', timeout=20, wait_for_ready=True).decode())"
        )
    };
    let (code, said, error) = mesh.run(&["run", "--", "python3", "-c", &ask("g:80")]);
    assert_eq!((code, said.trim()), (0, "hello"), "{error}");
    let local = free_port();
    let (code, said, error) =
        mesh.run(&["run", "--upstream", &format!("g={local}"), "--", "python3", "-c", &ask(&format!("127.0.0.1:{local}"))]);
    assert_eq!((code, said.trim()), (0, "hello"), "{error}");
    let (_, edges, _) = mesh.run(&["get", "edges", "-o", "json"]);
    assert!(edges.contains("\"g\""), "it went through the mesh: {edges}");
    g.stop(SOON);
    up.stop(SOON);
    nothing_is_left(&mesh);
}
