//! `cargo xtask conformance`: suites that others wrote, whole. `gateway` is the Gateway API's, on a real cluster; `h2` is h2spec, against a gateway that carries
//! the demo's traffic meanwhile, in plain and by TLS; `later` asks by hand what the Gateway API's next release adds; `faults` loses parts of a cluster under load. h2spec comes from Go's module proxy and is
//! built once. They never start anything that they do not end.

pub mod faults;
pub mod gateway;
mod later;

use crate::process;
use crate::running::{Running, free_ports, wait_for_port};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const H2SPEC: &str = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible";
/// Cases that h2spec counts as failed and the standard does not, with the reason.
const PLAIN_EXCEPTIONS: &[(&str, &str)] = &[(
    "Sends invalid connection preface",
    "a port that speaks HTTP/1 too answers what is no preface by 400 in HTTP/1 and closes (RFC 9113, section 3.4, leaves it a choice)",
)];

pub fn run(arguments: &[String]) -> Result<()> {
    match arguments {
        [what] if what == "h2" => h2(),
        [what, rest @ ..] if what == "gateway" => gateway::run(rest),
        [what, rest @ ..] if what == "later" => later::run(rest),
        [what, rest @ ..] if what == "faults" => faults::run(rest),
        _ => bail!("conformance to what? h2, gateway, later, faults"),
    }
}

fn h2() -> Result<()> {
    let h2spec = process::go_tool("h2spec", H2SPEC)?;
    process::run(&process::cargo(), &["build", "--release", "--locked", "-p", "cli"])?;
    let organza = crate::root().join("target/release/organza");
    let folder = std::env::temp_dir().join(format!("organza-h2-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let checked = check(&h2spec, &organza, &folder);
    std::fs::remove_dir_all(&folder).ok();
    checked
}

fn check(h2spec: &Path, organza: &Path, folder: &Path) -> Result<()> {
    let [plain, tls] = free_ports()?;
    let start = |arguments: &[&str]| -> Result<Running> {
        let mut command = Command::new(organza);
        command.args(arguments).current_dir(folder).env("XDG_STATE_HOME", folder.join("state")).stdin(Stdio::null()).stdout(Stdio::null());
        Running::start(&mut command)
    };
    let _demo = start(&["demo", "--port", &plain.to_string(), "--for", "120s", "-o", "json"])?;
    wait_for_port(plain)?;
    std::fs::write(folder.join("gateway.yaml"), gateway(tls, plain, &certificate()?))?;
    let _up = start(&["up", "-f", "gateway.yaml", "--mesh", "h2"])?;
    wait_for_port(tls)?;
    spec(h2spec, "in plain", &["-p", &plain.to_string()], PLAIN_EXCEPTIONS)?;
    spec(h2spec, "by TLS", &["-p", &tls.to_string(), "-t", "-k"], &[])
}

/// Runs all of it, and fails unless what fails is what is excepted.
fn spec(h2spec: &Path, how: &str, arguments: &[&str], exceptions: &[(&str, &str)]) -> Result<()> {
    let mut child =
        Command::new(h2spec).args(["-h", "127.0.0.1", "-o", "5"]).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(child.stdout.take().context("no output")?).lines().collect::<Result<Vec<_>, _>>()?;
    child.wait()?;
    let summary =
        lines.iter().find(|line| line.contains(" tests, ")).with_context(|| format!("h2spec said nothing:\n{}", lines.join("\n")))?;
    let mut failed: Vec<&str> = lines.iter().filter_map(|line| line.split_once("× ")?.1.split_once(": ")).map(|(_, name)| name).collect();
    failed.sort_unstable();
    failed.dedup();
    println!("h2spec {how}: {summary}");
    for (name, why) in exceptions.iter().filter(|(name, _)| failed.contains(name)) {
        println!("  excepted: {name}: {why}");
    }
    let bad: Vec<&str> = failed.into_iter().filter(|name| !exceptions.iter().any(|(excepted, _)| excepted == name)).collect();
    if !bad.is_empty() {
        println!("{}", lines.join("\n"));
        bail!("h2spec {how}: failed: {}", bad.join("; "));
    }
    Ok(())
}

/// What the suites on a cluster are told.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    /// Organza of the quick profile.
    dev: bool,
    /// A static program that was built before, in place of one that is built now.
    organza: Option<PathBuf>,
    /// The cluster stays, and what the suite made stays in it.
    keep: bool,
    name: Option<String>,
    /// What is run of the suite, where that is not all.
    only: Option<String>,
}

impl Options {
    /// `known`: the words that this suite knows, as `usage` has them; `--test` and `--only` narrow it.
    fn read(arguments: &[String], known: &[&str], usage: &'static str) -> Result<Self> {
        let mut options = Self::default();
        let mut words = arguments.iter();
        while let Some(word) = words.next().map(String::as_str) {
            ensure!(known.contains(&word), usage);
            match word {
                "--dev" => options.dev = true,
                "--keep" => options.keep = true,
                "--organza" => options.organza = Some(words.next().context(usage)?.into()),
                "--name" => options.name = Some(words.next().context(usage)?.clone()),
                _ => options.only = Some(words.next().context(usage)?.clone()),
            }
        }
        Ok(options)
    }

    /// The program that is put into the image.
    fn program(&self) -> Result<PathBuf> {
        gateway::program(self.organza.as_deref(), self.dev)
    }

    /// Whether that is no program of the release as it is built now.
    fn is_other(&self) -> bool {
        self.dev || self.organza.is_some()
    }
}

/// A condition of an object's status; null where it is not there.
fn condition<'v>(conditions: &'v Value, kind: &str) -> &'v Value {
    conditions.as_array().into_iter().flatten().find(|one| one["type"] == kind).unwrap_or(&Value::Null)
}

/// Whether a condition of an object's status is there and true.
fn is_true(conditions: &Value, kind: &str) -> bool {
    condition(conditions, kind)["status"] == "True"
}

/// Certificate and key in one text, as base64 for a Secret.
fn certificate() -> Result<(String, String)> {
    let request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    let output = Command::new("openssl").args(request).args(["-subj", "/CN=localhost", "-keyout", "-", "-out", "-"]).output();
    let text = String::from_utf8(output.context("cannot run openssl")?.stdout)?;
    let (key, certificate) = text.split_at(text.find("-----BEGIN CERTIFICATE").context("openssl wrote no certificate")?);
    Ok((certificate.to_owned(), key.to_owned()))
}

fn gateway(port: u16, backend: u16, (certificate, key): &(String, String)) -> String {
    let block = |text: &str| text.trim().lines().map(|line| format!("    {line}\n")).collect::<String>();
    format!(
        "apiVersion: v1
kind: Secret
metadata: {{ name: h2 }}
type: kubernetes.io/tls
stringData:
  tls.crt: |
{}  tls.key: |
{}---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{ name: h2 }}
spec:
  gatewayClassName: organza
  listeners:
  - {{ name: https, port: {port}, protocol: HTTPS, tls: {{ certificateRefs: [{{ name: h2 }}] }} }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{ name: h2 }}
spec:
  parentRefs: [{{ name: h2 }}]
  rules:
  - backendRefs: [{{ name: demo, port: 80 }}]
---
apiVersion: v1
kind: Service
metadata: {{ name: demo }}
spec:
  ports: [{{ name: http, port: 80 }}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{ name: demo-1, labels: {{ kubernetes.io/service-name: demo }} }}
addressType: IPv4
endpoints: [{{ addresses: [\"127.0.0.1\"] }}]
ports: [{{ name: http, port: {backend} }}]
",
        block(certificate),
        block(key)
    )
}
