//! `cargo xtask test jaeger`: a real Jaeger beside a mesh. Its all-in-one is built from its own module (once; its build takes a while, so it is no part of CI), a
//! mesh sends it spans by gRPC and by HTTP, and its query API is asked whether it has them, with the right parents. Ends what it started.

use crate::process;
use crate::running::{Running, eventually, free_ports, wait_for_port};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

const MODULE: &str = "github.com/jaegertracing/jaeger@v1.76.0";

/// `arguments`: `--organza FILE` and `--jaeger FILE`, where other programs are meant than those that are built.
pub fn test(arguments: &[String]) -> Result<()> {
    let (mut organza, mut jaeger) = (None, None);
    let mut words = arguments.iter();
    while let Some(flag) = words.next() {
        let file = words.next().with_context(|| format!("{flag} names no file"))?;
        match flag.as_str() {
            "--organza" => organza = Some(std::path::absolute(file)?),
            "--jaeger" => jaeger = Some(std::path::absolute(file)?),
            _ => bail!("test jaeger takes --organza FILE, --jaeger FILE or nothing"),
        }
    }
    let jaeger = jaeger.map_or_else(built, Ok)?;
    let organza = match organza {
        Some(organza) => organza,
        None => {
            process::run(&process::cargo(), &["build", "--release", "--locked", "-p", "cli"])?;
            crate::root().join("target/release/organza")
        }
    };
    let folder = std::env::temp_dir().join(format!("organza-jaeger-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let seen = both(&organza, &jaeger, &folder);
    std::fs::remove_dir_all(&folder).ok();
    seen
}

/// Jaeger's program, from its module, beside our finished programs.
fn built() -> Result<PathBuf> {
    let folder = crate::root().join("target/tools/jaeger");
    let program = folder.join("all-in-one");
    if program.exists() {
        return Ok(program);
    }
    std::fs::create_dir_all(&folder)?;
    let told = Command::new("go").args(["mod", "download", "-json", MODULE]).env("GONOSUMDB", "*").env("GOFLAGS", "-mod=mod").output();
    let told: Value = serde_json::from_slice(&told.context("cannot run go")?.stdout).context("go downloads no Jaeger")?;
    let source = folder.join("src");
    let from = told["Dir"].as_str().context("go says not where Jaeger is")?;
    process::run("cp", &["-r", "--no-preserve=mode", from, source.to_str().context("a path that is not UTF-8")?])?;
    eprintln!("+ go build ./cmd/all-in-one (of Jaeger; minutes)");
    let mut build = Command::new("nice");
    build.args(["go", "build", "-trimpath", "-o"]).arg(&program).arg("./cmd/all-in-one").current_dir(&source);
    let status = build.envs([("GONOSUMDB", "*"), ("GOFLAGS", "-mod=mod"), ("CGO_ENABLED", "0")]).status()?;
    std::fs::remove_dir_all(&source).ok();
    if status.success() { Ok(program) } else { bail!("Jaeger cannot be built: {status}") }
}

fn both(organza: &Path, jaeger: &Path, folder: &Path) -> Result<()> {
    let [query, grpc, http, admin, own, other] = free_ports()?;
    let at = |flag: &str, port: u16| format!("--{flag}=127.0.0.1:{port}");
    let _jaeger = Running::quietly(Command::new(jaeger).args([
        at("query.http-server.host-port", query),
        at("query.grpc-server.host-port", own),
        at("collector.otlp.grpc.host-port", grpc),
        at("collector.otlp.http.host-port", http),
        at("collector.grpc-server.host-port", other),
        at("collector.http-server.host-port", 0),
        at("admin.http.host-port", admin),
    ]))?;
    for port in [query, grpc, http] {
        wait_for_port(port)?;
    }
    for (protocol, port) in [("Grpc", grpc), ("HttpProtobuf", http)] {
        of_one_call(organza, &folder.join(protocol), protocol, port, query).with_context(|| format!("by {protocol}"))?;
        println!("ok   Jaeger has both spans of a call by {protocol}, one below the other");
    }
    Ok(())
}

/// A mesh of two that sends its spans there, and calls within a trace until Jaeger has one of them whole: each proxy tells in its own second.
fn of_one_call(organza: &Path, folder: &Path, protocol: &str, collector: u16, query: u16) -> Result<()> {
    let [port, door] = free_ports()?;
    let (files, pages, home) = (folder.join("mesh"), folder.join("pages"), folder.join("state"));
    for made in [&files, &pages, &home] {
        std::fs::create_dir_all(made)?;
    }
    std::fs::write(pages.join("name"), "hi\n")?;
    let says = format!("tracing: {{sampling: {{percent: 0}}, otlp: {{endpoint: 'http://127.0.0.1:{collector}', protocol: {protocol}}}}}");
    let head = "apiVersion: organza.dev/v1alpha1\nkind: TelemetryPolicy\nmetadata: {name: mesh, namespace: organza-system}\n";
    std::fs::write(files.join("telemetry.yaml"), format!("{head}spec: {{{says}}}\n"))?;
    let command = || {
        let mut command = Command::new(organza);
        command.env("XDG_STATE_HOME", &home).current_dir(folder);
        command
    };
    let _up = Running::quietly(command().arg("up").arg("-f").arg(&files))?;
    eventually("the mesh answers", || Ok(command().arg("status").output()?.status.success()))?;
    let words = ["run", "--service", "catalog", "--port", &port.to_string(), "--", "python3", "-m", "http.server"].map(str::to_owned);
    let _catalog = Running::quietly(command().args(words).arg(port.to_string()).args(["--bind", "127.0.0.1", "-d"]).arg(&pages))?;
    let _caller = Running::quietly(command().args(["run", "--upstream", &format!("catalog={door}")]))?;
    let url = format!("http://127.0.0.1:{door}/name");
    eventually("catalog answers", || Ok(curl(&[&url])?.is_some()))?;
    // The policy must be there before a call that it is to be seen by.
    let trace = format!("{:032x}", u128::from(std::process::id()) << 64 | u128::from(collector) << 16 | u128::from(port));
    let parent = format!("traceparent: 00-{trace}-00f067aa0ba902b7-01");
    let api = format!("http://127.0.0.1:{query}/api/traces/{trace}");
    let mut last = Ok(());
    let whole = eventually("Jaeger has a call whole", || {
        curl(&["-H", &parent, &url])?;
        let told = curl(&[&api])?.and_then(|text| serde_json::from_str::<Value>(&text).ok()).unwrap_or_default();
        last = judge(told["data"][0]["spans"].as_array().map_or(&[], Vec::as_slice));
        Ok(last.is_ok())
    });
    last.and(whole)
}

/// Of the calls that were sent until Jaeger had seen one whole, each is a client's span below the caller's, and a server's below that.
fn judge(spans: &[Value]) -> Result<()> {
    let tag = |span: &Value, key: &str| {
        let tags = span["tags"].as_array().into_iter().flatten();
        tags.clone().find(|tag| tag["key"] == key).map(|tag| tag["value"].to_string().trim_matches('"').to_owned()).unwrap_or_default()
    };
    let parent = |span: &Value| span["references"][0]["spanID"].as_str().unwrap_or_default().to_owned();
    let kind = |wanted: &str| spans.iter().filter(|span| tag(span, "span.kind") == wanted).collect::<Vec<_>>();
    let (clients, servers) = (kind("client"), kind("server"));
    let joined = servers
        .iter()
        .find_map(|server| clients.iter().find(|client| client["spanID"] == parent(server).as_str()).map(|client| (client, server)));
    let Some((client, server)) = joined else { bail!("no server's span lies below a client's, of {}", spans.len()) };
    for (what, is, should) in [
        ("the caller's span", parent(client), "00f067aa0ba902b7"),
        ("status of the client's span", tag(client, "http.response.status_code"), "200"),
        ("status of the server's span", tag(server, "http.response.status_code"), "200"),
        ("path of the server's span", tag(server, "url.path"), "/name"),
    ] {
        if is != should {
            bail!("{what} is {is:?}, not {should:?}: {client:#} {server:#}");
        }
    }
    Ok(())
}

/// What answers with success says.
fn curl(arguments: &[&str]) -> Result<Option<String>> {
    let output = Command::new("curl").args(["-sf", "-m", "2"]).args(arguments).output().context("cannot run curl")?;
    Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
}
