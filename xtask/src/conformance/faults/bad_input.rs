//! What nobody should write: certificates that are none, a Secret that is taken away while it is shown, ports that conflict, a thousand routes with a bad expression,
//! definitions of a release that nobody knows, another controller, a class deleted in use, objects of a megabyte. Each gets the condition that the specification
//! names, a line in the log and a number for Prometheus; what is good beside it is served as ever.

use super::{HOST, NAMESPACE, leader, read, restarts, scraped};
use crate::cluster::{Cluster, Release};
use crate::conformance::{certificate, condition, is_true};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::time::Instant;

const API: &str = "gateway.networking.k8s.io/v1";
const CRD: &str = "gatewayclasses.gateway.networking.k8s.io";
const CRD_FILE: &str = "gateway.networking.k8s.io_gatewayclasses.yaml";
/// The annotation by which definitions say whose they are.
const VERSION: &str = "gateway.networking.k8s.io/bundle-version";
const EXPRESSIONS: usize = 1000;
/// As large as an API server takes objects, less what it adds.
const LARGE: usize = 1_000_000;
/// Values of headers of the route that is so large: sixteen rules of eight matches of two.
const VALUE: usize = LARGE / (16 * 8 * 2);

/// What is written, and what must come of it; its name is the label by which it is taken away.
struct Row {
    name: &'static str,
    is_borne: fn(&Cluster, &Self) -> Result<()>,
}

const ROWS: &[Row] = &[
    Row { name: "certificates", is_borne: certificates },
    Row { name: "megabytes", is_borne: megabytes },
    Row { name: "others", is_borne: others },
    Row { name: "classes", is_borne: classes },
    Row { name: "expressions", is_borne: expressions },
];
/// Beside the others, since it waits twice for half a minute. (All at once keep two processors so busy with asking that each takes longer.)
const RELEASE: Row = Row { name: "release", is_borne: release };

pub fn happens(cluster: &Cluster) -> Result<()> {
    let before = restarts(cluster)?;
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| borne(cluster, &RELEASE));
        let rows = ROWS.iter().try_for_each(|row| borne(cluster, row));
        rows.and(beside.join().unwrap_or_else(|_| bail!("{} panicked", RELEASE.name)))
    })?;
    let after = restarts(cluster)?;
    ensure!(before == after, "probes failed, or something ended: {before} were started again before, and {after} after");
    Ok(())
}

fn borne(cluster: &Cluster, row: &Row) -> Result<()> {
    let begun = Instant::now();
    (row.is_borne)(cluster, row).context(row.name)?;
    println!("bad input: {} ({:.0} s)", row.name, begun.elapsed().as_secs_f64());
    Ok(())
}

/// Definitions of a release that nobody knows, and of one that is known again.
fn release(cluster: &Cluster, _: &Row) -> Result<()> {
    // It is looked for every half a minute.
    let supports = |wanted: &str| {
        cluster.until(&format!("GatewayClass says that its release is supported: {wanted}"), || {
            let class = read(cluster, &["get", "gatewayclass", "organza"])?;
            Ok(condition(&class["status"]["conditions"], "SupportedVersion")["status"] == wanted)
        })
    };
    cluster.kubectl(&["annotate", "--overwrite", "crd", CRD, &format!("{VERSION}=v9.0.0")])?;
    supports("False")?;
    let crd = crate::root().join(Release::V1_6.folder()).join(CRD_FILE);
    cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &crd.to_string_lossy()])?;
    supports("True")
}

impl Row {
    fn apply(&self, cluster: &Cluster, mut objects: Vec<Value>) -> Result<()> {
        for object in &mut objects {
            object["metadata"]["labels"] = json!({"bad": self.name});
        }
        let file = cluster.folder().join(format!("bad-{}.json", self.name));
        std::fs::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string())?;
        cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &file.to_string_lossy()]).map(drop)
    }

    /// What was written is taken away, and is told of no more.
    fn cleared(&self, cluster: &Cluster, kinds: &str, counted: &str) -> Result<()> {
        cluster.kubectl(&["-n", NAMESPACE, "delete", kinds, "--wait=false", "-l", &format!("bad={}", self.name)])?;
        good(cluster, counted)
    }
}

fn object(api: &str, kind: &str, name: &str, rest: Value) -> Value {
    let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}});
    if let (Value::Object(object), Value::Object(rest)) = (&mut object, rest) {
        object.extend(rest);
    }
    object
}

fn route(name: &str, gateway: &str, host: &str, rules: Value) -> Value {
    object(API, "HTTPRoute", name, json!({"spec": {"parentRefs": [{"name": gateway}], "hostnames": [host], "rules": rules}}))
}

fn secret(certificate: &str, key: &str) -> Value {
    json!({"type": "kubernetes.io/tls", "stringData": {"tls.crt": certificate, "tls.key": key}})
}

/// How many of a kind the control plane that leads tells a scraper of.
fn errors(cluster: &Cluster, kind: &str) -> Result<usize> {
    let leads = read(cluster, &["-n", "organza-system", "get", "pod", &leader(cluster)?])?;
    let text = scraped(cluster, &leads["status"]["podIP"], "15014")?;
    ensure!(text.contains("organza_control_serving{} 1"), "the leader's metrics are {text:?}");
    let begins = format!("organza_control_problems{{severity=\"error\",kind=\"{kind}\"}} ");
    let count = text.lines().find_map(|line| line.strip_prefix(&begins)).map_or(Ok(0.0), str::parse::<f64>)?;
    Ok(count as usize)
}

/// Lines of the log of the control plane that leads which tell of objects whose names begin so.
fn lines(cluster: &Cluster, object: &str) -> Result<usize> {
    let log = cluster.kubectl(&["-n", "organza-system", "logs", &leader(cluster)?, "--tail=-1"])?;
    Ok(log.lines().filter(|line| line.contains(&format!(" {object}"))).count())
}

/// Until it is told of so many in status, log and metrics.
fn told(cluster: &Cluster, count: usize, object: &str) -> Result<()> {
    let kind = object.split(' ').next().unwrap_or_default();
    cluster.until(&format!("{count} lines in the log begin with {object}"), || Ok(lines(cluster, object)? >= count))?;
    cluster.until(&format!("{count} {kind}s are bad by the metrics"), || Ok(errors(cluster, kind)? >= count))
}

/// Until nothing is told of that kind any more.
fn good(cluster: &Cluster, kind: &str) -> Result<()> {
    cluster.until(&format!("no {kind} is bad by the metrics"), || Ok(errors(cluster, kind)? == 0))
}

/// Whether the listener of Gateway `bad` says this: condition, status, reason.
fn says(cluster: &Cluster, listener: &str, wanted: [&str; 3]) -> Result<()> {
    cluster.until(&format!("listener {listener} says {}", wanted.join(" ")), || {
        let gateway = read(cluster, &["-n", NAMESPACE, "get", "gateway", "bad"])?;
        let all = gateway["status"]["listeners"].as_array().into_iter().flatten();
        let [kind, status, reason] = wanted;
        Ok(all.filter(|one| one["name"] == listener).any(|one| {
            let condition = condition(&one["conditions"], kind);
            condition["status"] == status && condition["reason"] == reason
        }))
    })
}

/// Whether a request is answered by 200: what goes before the address, and where to.
fn answered(cluster: &Cluster, arguments: &[&str]) -> Result<bool> {
    let mut command = cluster.command("curl")?;
    let output = command.args(["-sS", "-k", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}"]).args(arguments).output()?;
    Ok(output.stdout == b"200")
}

fn address(cluster: &Cluster, gateway: &str) -> Result<String> {
    let mut address = String::new();
    cluster.until(&format!("Gateway {gateway} has an address"), || {
        let gateway = read(cluster, &["-n", NAMESPACE, "get", "gateway", gateway])?;
        address = gateway["status"]["addresses"][0]["value"].as_str().unwrap_or_default().to_owned();
        Ok(!address.is_empty())
    })?;
    Ok(address)
}

/// Certificates that are none or not there, one that is taken away while it is shown, and a port of two protocols.
fn certificates(cluster: &Cluster, row: &Row) -> Result<()> {
    let (certificate, key) = certificate()?;
    let secured = |name: &str| json!({"name": name, "port": 8443, "protocol": "HTTPS", "hostname": format!("{name}.example"), "tls": {"certificateRefs": [{"name": name}]}});
    let plain = |name: &str, port: u16, protocol: &str| json!({"name": name, "port": port, "protocol": protocol});
    let listeners = [
        plain("http", 80, "HTTP"),
        secured("garbage"),
        secured("missing"),
        secured("shown"),
        plain("bytes", 9000, "TCP"),
        plain("words", 9000, "HTTP"),
    ];
    let gateway = object(API, "Gateway", "bad", json!({"spec": {"gatewayClassName": "organza", "listeners": listeners}}));
    let shown = object("v1", "Secret", "shown", secret(&certificate, &key));
    let garbage = object("v1", "Secret", "garbage", secret("none", "none"));
    let rules = json!([{"backendRefs": [{"name": "echo", "port": 80}]}]);
    row.apply(cluster, vec![gateway, shown.clone(), garbage, route("bad", "bad", "*.example", rules)])?;
    let address = address(cluster, "bad")?;
    let (plain, tls) = (format!("http://{address}/"), format!("shown.example:8443:{address}"));
    let plain = ["-H", "Host: plain.example", &plain];
    let tls = ["--resolve", &tls, "https://shown.example:8443/"];
    let none = ["ResolvedRefs", "False", "InvalidCertificateRef"];
    says(cluster, "garbage", none)?;
    says(cluster, "missing", none)?;
    for listener in ["bytes", "words"] {
        says(cluster, listener, ["Conflicted", "True", "ProtocolConflict"])?;
    }
    cluster.until("what is good beside it is served", || Ok(answered(cluster, &plain)? && answered(cluster, &tls)?))?;
    told(cluster, 4, "Gateway faults/bad: spec.listeners[")?;
    cluster.kubectl(&["-n", NAMESPACE, "delete", "secret", "shown"])?;
    says(cluster, "shown", none)?;
    told(cluster, 5, "Gateway faults/bad: spec.listeners[")?;
    cluster.until("nothing is shown where there is nothing to show", || Ok(!answered(cluster, &tls)?))?;
    ensure!(answered(cluster, &plain)?, "the listener beside the one without a certificate does not answer");
    row.apply(cluster, vec![shown])?;
    cluster.until("it is shown again", || answered(cluster, &tls))?;
    row.cleared(cluster, "gateway,httproute,secret", "Gateway")
}

/// A route of a megabyte serves, and a megabyte that is no authority is told of.
fn megabytes(cluster: &Cluster, row: &Row) -> Result<()> {
    let value = "x".repeat(VALUE);
    let matched = |rule: usize, at: usize| {
        let path = json!({"type": "PathPrefix", "value": format!("/{rule}/{at}")});
        json!({"path": path, "headers": [{"name": "x-first", "value": value}, {"name": "x-second", "value": value}]})
    };
    let rule = |rule: usize| json!({"matches": (0..8).map(|at| matched(rule, at)).collect::<Vec<_>>(), "backendRefs": [{"name": "echo", "port": 80}]});
    let large = route("large", "pair", "large.example", (0..16).map(rule).collect());
    ensure!(large.to_string().len() > LARGE, "the route is too small");
    let target = json!({"group": "", "kind": "Service", "name": "nobody"});
    let authority = json!({"group": "", "kind": "ConfigMap", "name": "large"});
    let policy = json!({"spec": {"targetRefs": [target], "validation": {"hostname": "nobody.example", "caCertificateRefs": [authority]}}});
    row.apply(
        cluster,
        vec![
            large,
            object("v1", "ConfigMap", "large", json!({"data": {"ca.crt": "x".repeat(LARGE)}})),
            object("v1", "Service", "nobody", json!({"spec": {"ports": [{"name": "https", "port": 443}]}})),
            object(API, "BackendTLSPolicy", "large", policy),
        ],
    )?;
    told(cluster, 1, "BackendTLSPolicy faults/large: ")?;
    let url = format!("http://{}/15/7", address(cluster, "pair")?);
    let headers = ["x-first", "x-second"].map(|name| format!("{name}: {value}"));
    cluster.until("the route of a megabyte is served", || {
        answered(cluster, &["-H", "Host: large.example", "-H", &headers[0], "-H", &headers[1], &url])
    })?;
    row.cleared(cluster, "httproute,configmap,service,backendtlspolicy", "BackendTLSPolicy")
}

/// What is another controller's stays so, and what it writes over ours is written anew.
fn others(cluster: &Cluster, row: &Row) -> Result<()> {
    let class =
        json!({"apiVersion": API, "kind": "GatewayClass", "metadata": {"name": "theirs"}, "spec": {"controllerName": "example.com/other"}});
    let listeners = json!([{"name": "http", "port": 80, "protocol": "HTTP"}]);
    let theirs = object(API, "Gateway", "theirs", json!({"spec": {"gatewayClassName": "theirs", "listeners": listeners}}));
    row.apply(cluster, vec![class, theirs])?;
    let wrong = json!({"status": {"conditions": [{"type": "Accepted", "status": "False", "reason": "Other", "message": "", "lastTransitionTime": "2020-01-01T00:00:00Z"}]}});
    for object in [["gatewayclass", "organza"], ["gateway", "pair"]] {
        let change = ["-n", NAMESPACE, "patch", object[0], object[1], "--subresource=status", "--type=merge", "-p", &wrong.to_string()];
        cluster.kubectl(&change)?;
        cluster.until(&format!("{} {} says again what is so", object[0], object[1]), || {
            let object = read(cluster, &["-n", NAMESPACE, "get", object[0], object[1]])?;
            Ok(is_true(&object["status"]["conditions"], "Accepted"))
        })?;
    }
    let theirs = read(cluster, &["-n", NAMESPACE, "get", "gateway", "theirs"])?;
    ensure!(
        theirs["status"]["conditions"].as_array().into_iter().flatten().all(|one| one["reason"] == "Pending"),
        "something is said of another controller's Gateway: {}",
        theirs["status"]
    );
    cluster.kubectl(&["-n", NAMESPACE, "delete", "gateway", "theirs"])?;
    cluster.kubectl(&["delete", "gatewayclass", "theirs"]).map(drop)
}

/// A class that is deleted while a Gateway uses it stays until that has gone.
fn classes(cluster: &Cluster, row: &Row) -> Result<()> {
    let class = json!({
        "apiVersion": API, "kind": "GatewayClass", "metadata": {"name": "spare"}, "spec": {"controllerName": "organza.dev/gateway-controller"},
    });
    let listeners = json!([{"name": "http", "port": 80, "protocol": "HTTP"}]);
    row.apply(
        cluster,
        vec![class, object(API, "Gateway", "spare", json!({"spec": {"gatewayClassName": "spare", "listeners": listeners}}))],
    )?;
    let metadata = || Ok::<_, anyhow::Error>(read(cluster, &["get", "gatewayclass", "spare"])?["metadata"].take());
    cluster.until("a class in use is held", || Ok(metadata()?["finalizers"].as_array().is_some_and(|all| all.len() == 1)))?;
    cluster.kubectl(&["delete", "gatewayclass", "spare", "--wait=false"])?;
    ensure!(metadata()?["deletionTimestamp"].is_string(), "the class is not marked");
    cluster.kubectl(&["-n", NAMESPACE, "delete", "gateway", "spare"])?;
    cluster.until("a class that nobody uses any more is gone", || {
        Ok(cluster.kubectl(&["get", "gatewayclass", "spare", "--ignore-not-found", "-o=name"])?.trim().is_empty())
    })
}

/// So many routes that cannot be used, and one that can.
fn expressions(cluster: &Cluster, row: &Row) -> Result<()> {
    let backend = json!([{"name": "echo", "port": 80}]);
    let bad = json!([{"matches": [{"path": {"type": "RegularExpression", "value": "("}}], "backendRefs": backend}]);
    row.apply(
        cluster,
        (0..EXPRESSIONS).map(|at| route(&format!("bad-{at}"), "pair", &format!("bad-{at}.example"), bad.clone())).collect(),
    )?;
    let begun = Instant::now();
    row.apply(cluster, vec![route("good", "pair", "good.example", json!([{"backendRefs": backend}]))])?;
    let url = format!("http://{}/", address(cluster, "pair")?);
    cluster.until("a good route is served among the bad ones", || answered(cluster, &["-H", "Host: good.example", &url]))?;
    let served = begun.elapsed();
    cluster.until("it says so", || {
        let status = read(cluster, &["-n", NAMESPACE, "get", "httproute", "good"])?["status"].take();
        Ok(is_true(&status["parents"][0]["conditions"], "Accepted"))
    })?;
    println!(
        "a good route among bad ones: served after {:.1} s, accepted after {:.1} s",
        served.as_secs_f64(),
        begun.elapsed().as_secs_f64()
    );
    cluster.until("all bad ones say so", || {
        let routes = read(cluster, &["-n", NAMESPACE, "get", "httproutes", "-l", "bad=expressions"])?;
        let refused = routes["items"].as_array().context("a list")?.iter().filter(|route| {
            let accepted = condition(&route["status"]["parents"][0]["conditions"], "Accepted");
            accepted["status"] == "False" && accepted["reason"] == "UnsupportedValue"
        });
        Ok(refused.count() == EXPRESSIONS)
    })?;
    told(cluster, EXPRESSIONS, "HTTPRoute faults/bad-")?;
    ensure!(answered(cluster, &["-H", &format!("Host: {HOST}"), &url])?, "{HOST} is not served any more");
    // By one request, where `kubectl` takes one for each.
    let path = format!("/apis/{API}/namespaces/{NAMESPACE}/httproutes?labelSelector=bad%3D{}", row.name);
    cluster.kubectl(&["delete", "--raw", &path])?;
    good(cluster, "HTTPRoute")
}
