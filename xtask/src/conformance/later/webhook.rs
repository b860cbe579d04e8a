//! The API server asks before it takes objects (`organza install --webhook`, `decisions/0023`): what is wrong in itself is refused, what is another's is not, and
//! while nobody answers, neither.

use super::NAMESPACE;
use crate::cluster::Cluster;
use anyhow::{Result, bail, ensure};
use std::fs;
use std::path::Path;

const SYSTEM: &str = "organza-system";

pub fn check(cluster: &Cluster, program: &Path) -> Result<()> {
    let field = "-o=jsonpath={.webhooks[*].clientConfig.caBundle}";
    cluster.until("the leader has written its roots into the webhook", || {
        let bundles = cluster.kubectl(&["get", "validatingwebhookconfiguration", "organza", field])?;
        Ok(bundles.split_whitespace().count() == 2)
    })?;
    let elsewhere = "apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: { name: elsewhere }
spec: { controllerName: example.com/other }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: elsewhere, namespace: later }
spec: { gatewayClassName: elsewhere, listeners: [{ name: http, port: 80, protocol: HTTP }] }
";
    taken(cluster, "another controller's", elsewhere)?;
    cluster.until("the control plane knows another controller's Gateway", || knows(cluster, program, "elsewhere"))?;
    cluster.until("it judges routes of ours", || Ok(refused(cluster, &route("edge", "(")).is_ok()))?;
    println!("ok   a route of ours with a bad regular expression is refused: {}", refused(cluster, &route("edge", "("))?);
    taken(cluster, "a good route of ours", &route("edge", "/a+"))?;
    taken(cluster, "another's route with a bad regular expression", &route("elsewhere", "("))?;
    println!("ok   an object of ours that is wrong in itself is refused: {}", refused(cluster, &policy("/a/{**}/b/{**}"))?);
    taken(cluster, "a good object of ours", &policy("/a/{**}"))?;
    away(cluster)
}

/// Whether the control plane has a Gateway, be it ours or not.
fn knows(cluster: &Cluster, program: &Path, gateway: &str) -> Result<bool> {
    let mut command = cluster.command(&program.to_string_lossy())?;
    let output = command.args(["get", "gateways", "-A", "--kubernetes"]).env("KUBECONFIG", cluster.kubeconfig()).output()?;
    ensure!(output.status.success(), "organza get gateways: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).contains(gateway))
}

/// Nobody leads any more: others are not to suffer.
fn away(cluster: &Cluster) -> Result<()> {
    cluster.kubectl(&["-n", SYSTEM, "scale", "deployment/organza-control", "--replicas=0"])?;
    cluster.until("no control plane runs", || {
        Ok(cluster.kubectl(&["-n", SYSTEM, "get", "pods", "-l", "app=organza-control", "-o=name"])?.trim().is_empty())
    })?;
    taken(cluster, "another's route while nobody answers", &route("elsewhere", "[a"))?;
    println!("ok   an object of ours is refused while nobody answers: {}", refused(cluster, &policy("/b/{**}"))?);
    cluster.kubectl(&["-n", SYSTEM, "scale", "deployment/organza-control", "--replicas=2"])?;
    cluster.until("objects of ours are taken again", || Ok(apply(cluster, &policy("/b/{**}")).is_ok()))?;
    println!("ok   and taken again once somebody leads");
    Ok(())
}

fn apply(cluster: &Cluster, text: &str) -> Result<String> {
    let file = cluster.folder().join("asked.yaml");
    fs::write(&file, text)?;
    cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &file.to_string_lossy()])
}

fn taken(cluster: &Cluster, what: &str, text: &str) -> Result<()> {
    apply(cluster, text)?;
    println!("ok   {what} is taken");
    Ok(())
}

/// Why.
fn refused(cluster: &Cluster, text: &str) -> Result<String> {
    match apply(cluster, text) {
        Ok(_) => bail!("it is taken: {text}"),
        Err(error) => {
            let why = error.to_string();
            ensure!(why.contains("organza.dev\""), "it is refused by somebody else: {why}");
            Ok(why.rsplit("webhook").next().unwrap_or_default().trim().to_owned())
        }
    }
}

fn route(parent: &str, regex: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{ name: asked-{parent}, namespace: {NAMESPACE} }}
spec:
  parentRefs: [{{ name: {parent} }}]
  rules: [{{ matches: [{{ path: {{ type: RegularExpression, value: \"/{regex}\" }} }}], backendRefs: [{{ name: later, port: 80 }}] }}]
"
    )
}

/// Two holes of any number of segments are one too many, which no definition says.
fn policy(path: &str) -> String {
    format!(
        "apiVersion: organza.dev/v1alpha1
kind: AccessPolicy
metadata: {{ name: asked, namespace: {NAMESPACE} }}
spec:
  action: Deny
  targetRefs: [{{ kind: Service, name: later }}]
  rules: [{{ name: one, destinations: [{{ paths: [{{ type: Template, value: \"{path}\" }}] }}] }}]
"
    )
}
