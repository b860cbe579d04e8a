//! `cargo xtask test telemetry`: Gateway API's own policy of telemetry on a real API server. Raises etcd and an API server with the definitions of v1.7, starts
//! a control plane on it, and looks at what becomes of policies: their status as the API server keeps it, and that neither the control API nor the log shows
//! what goes along to a collector. Ends what it started.

use crate::cluster::Cluster;
use crate::process;
use crate::running::{PATIENCE, Running, eventually};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What each policy's status is to be: name, condition, status, reason.
const EXPECTED: &[(&str, &str, &str, &str)] = &[
    ("all", "Accepted", "True", "Accepted"),
    ("all", "ResolvedRefs", "True", "ResolvedRefs"),
    ("younger", "Accepted", "False", "Conflicted"),
    ("secret", "Accepted", "False", "Invalid"),
    ("lost", "Accepted", "False", "TargetNotFound"),
    ("unresolved", "ResolvedRefs", "False", "BackendNotFound"),
];
/// What `all` sends along to its collector.
const CANARY: &str = "canary-5d0e";
/// Values that a definition of v1.7 takes back, so that it is the API server's own that judges.
const REFUSED: &str = r#"{"apiVersion":"gateway.networking.x-k8s.io/v1alpha1","kind":"XTelemetryPolicy","metadata":{"name":"refused","namespace":"default"},
"spec":{"targetRefs":[{"group":"gateway.networking.k8s.io","kind":"Gateway","name":"edge"}],"tracing":{"mode":"Disabled","samplingRate":{"numerator":1}}}}"#;

/// `--organza FILE` (else the release build).
pub fn test(arguments: &[String]) -> Result<()> {
    let organza = match arguments {
        [] => {
            process::run(&process::cargo(), &["build", "--release", "--locked", "-p", "cli"])?;
            crate::root().join("target/release/organza")
        }
        [flag, file] if flag == "--organza" => std::path::absolute(file)?,
        _ => bail!("test telemetry takes --organza FILE or nothing"),
    };
    let cluster = Cluster::named("telemetry")?;
    cluster.down()?;
    let seen = cluster.alone().and_then(|()| see(&cluster, &organza));
    cluster.down()?;
    seen
}

fn see(cluster: &Cluster, organza: &Path) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("organza-telemetry-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let seen = on_it(cluster, organza, &folder);
    if seen.is_err() {
        println!("what the control plane wrote:\n{}", std::fs::read_to_string(folder.join("log")).unwrap_or_default());
    }
    std::fs::remove_dir_all(&folder).ok();
    seen
}

fn on_it(cluster: &Cluster, organza: &Path, folder: &Path) -> Result<()> {
    for definitions in ["third_party/gateway-api/crd-v1.7", "deploy/crds"] {
        let definitions = crate::root().join(definitions);
        cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &definitions.to_string_lossy()])?;
    }
    let established = ["wait", "--for=condition=Established", "--timeout=60s", "crd", "xtelemetrypolicies.gateway.networking.x-k8s.io"];
    cluster.kubectl(&established)?;
    let objects = crate::root().join("conformance/telemetry/objects.yaml");
    cluster.kubectl(&["apply", "-f", &objects.to_string_lossy()])?;
    let refused = folder.join("refused.json");
    std::fs::write(&refused, REFUSED)?;
    match cluster.kubectl(&["apply", "-f", &refused.to_string_lossy()]) {
        Err(error) if error.to_string().contains("samplingRate can only be set when mode is Enabled") => {}
        other => bail!("the API server's definition is not that of v1.7: {other:?}"),
    }
    println!("ok   the API server judges by v1.7's definition");
    let log = std::fs::File::create(folder.join("log"))?;
    let mut control = Command::new(organza);
    control.args(["control", "--mesh", "telemetry", "--kubernetes", "--replica", "one", "--listen", "127.0.0.1:0", "--state"]).arg(folder);
    control.env("KUBECONFIG", cluster.kubeconfig()).stdin(std::process::Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let _control = Running::start(&mut control)?;
    eventually("the first policy is accepted", || Ok(condition(cluster, "all", "Accepted")?.is_some_and(|told| told.0 == "True")))?;
    // Younger than what it competes with; a second is as finely as the API server tells ages.
    std::thread::sleep(Duration::from_millis(1100));
    apply(cluster, folder, &policy("younger", "edge", "collector"))?;
    apply(cluster, folder, &policy("unresolved", "other", "nobody"))?;
    for (name, kind, status, reason) in EXPECTED {
        let mut last = None;
        let is = |told: &Option<(String, String)>| told.as_ref().is_some_and(|(is, why)| is == status && why == reason);
        let seen = eventually(&format!("{name} is {kind} {status} since {reason}"), || {
            last = condition(cluster, name, kind)?;
            Ok(is(&last))
        });
        seen.with_context(|| format!("its status says {last:?}"))?;
        println!("ok   {name}: {kind} is {status}, {reason}");
    }
    shown(folder)?;
    changes(cluster, folder)?;
    if std::fs::read_to_string(folder.join("log"))?.contains(CANARY) {
        bail!("the log shows what goes along to a collector");
    }
    println!("ok   the log does not show what goes along to a collector");
    Ok(())
}

/// The control API shows the policies as they were written, but for what goes along to a collector: kubectl noted it beside them, too.
fn shown(folder: &Path) -> Result<()> {
    let mut socket = UnixStream::connect(folder.join("control.sock")).context("the control socket")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(b"GET /v1/objects?manifests=true HTTP/1.1\r\nhost: organza\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    if !answer.starts_with("HTTP/1.1 200") || !answer.contains("XTelemetryPolicy") || !answer.contains("x-key") {
        bail!("the control API shows no policy with the header: {answer}");
    }
    if answer.contains(CANARY) {
        bail!("the control API shows what goes along to a collector");
    }
    println!("ok   the control API does not show what goes along to a collector");
    Ok(())
}

/// What is written follows what is asked: the older policy goes, and the younger holds.
fn changes(cluster: &Cluster, folder: &Path) -> Result<()> {
    cluster.kubectl(&["-n", "default", "delete", "xtelemetrypolicy", "all"])?;
    eventually("the younger holds once the older has gone", || {
        Ok(condition(cluster, "younger", "Accepted")?.is_some_and(|told| told.0 == "True"))
    })?;
    println!("ok   the younger holds once the older has gone");
    let mut changed = policy("younger", "edge", "collector");
    changed["spec"]["tracing"]["serviceName"] = json!("door");
    apply(cluster, folder, &changed)?;
    eventually("the status is of the generation that was read", || {
        let object = object(cluster, "younger")?;
        let ancestor = &object["status"]["ancestors"][0];
        let observed = ancestor["conditions"].as_array().into_iter().flatten().all(|one| one["observedGeneration"] == 2);
        let of_ours = ancestor["controllerName"] == "organza.dev/gateway-controller" && ancestor["ancestorRef"]["name"] == "edge";
        Ok(object["metadata"]["generation"] == 2 && observed && of_ours)
    })?;
    println!("ok   its status names the Gateway and the generation that was read");
    Ok(())
}

fn policy(name: &str, gateway: &str, collector: &str) -> Value {
    json!({"apiVersion": "gateway.networking.x-k8s.io/v1alpha1", "kind": "XTelemetryPolicy", "metadata": {"name": name, "namespace": "default"},
        "spec": {"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway}],
            "tracing": {"mode": "Enabled", "provider": {"backendRef": {"name": collector, "port": 4317}}}}})
}

fn apply(cluster: &Cluster, folder: &Path, object: &Value) -> Result<()> {
    let file = folder.join("object.json");
    std::fs::write(&file, object.to_string())?;
    cluster.kubectl(&["apply", "-f", &file.to_string_lossy()]).map(drop)
}

fn object(cluster: &Cluster, name: &str) -> Result<Value> {
    let text = cluster.kubectl(&["-n", "default", "get", "xtelemetrypolicy", name, "-o", "json"])?;
    serde_json::from_str(&text).context("kubectl tells no JSON")
}

/// Status and reason of a condition of its first ancestor, where there is one.
fn condition(cluster: &Cluster, name: &str, kind: &str) -> Result<Option<(String, String)>> {
    let object = object(cluster, name)?;
    let all = object["status"]["ancestors"][0]["conditions"].as_array().into_iter().flatten();
    let word = |one: &Value, field: &str| one[field].as_str().unwrap_or_default().to_owned();
    Ok(all.clone().find(|one| one["type"] == kind).map(|one| (word(one, "status"), word(one, "reason"))))
}
