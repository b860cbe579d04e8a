//! The Helm chart: `deploy/organza.yaml`, which `organza install` prints, with what people set replaced by Helm's words, and the CRDs beside it. There is
//! one text of each object, so chart and plain YAML cannot drift apart. `cargo xtask dist chart` asks Helm itself whether both are the same.

use crate::{oci, peers, process};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const FOLDER: &str = "deploy/chart";
const MANIFEST: &str = "deploy/organza.yaml";
const WEBHOOK: &str = "deploy/webhook.yaml";
const CRDS: &str = "deploy/crds";
const NAMESPACE: &str = "organza-system";
/// Helm, for the check alone; from Go's module proxy.
const HELM: &str = "helm.sh/helm/v3/cmd/helm@v3.19.4";
/// The release of Kubernetes that Helm is to believe in: one that is built by hand knows of none.
const KUBE: &str = "1.34.0";

/// (what the plain text says, what the chart says, how often it is said).
const WORDS: &[(&str, &str, usize)] = &[
    ("image: ghcr.io/organza/organza:0.1.0\n", "image: {{ .Values.image | quote }}\n", 1),
    (
        "        - --image=ghcr.io/organza/organza:0.1.0\n",
        "        - --image={{ .Values.image }}\n{{- if ne .Values.serviceType \"LoadBalancer\" }}\n        - --service-type={{ .Values.serviceType }}\n{{- end }}\n",
        1,
    ),
    ("        - --replica=$(POD)\n", "        - --replica=$(POD)\n{{- if .Values.webhook }}\n        - --webhook\n{{- end }}\n", 1),
    ("--trust-domain=organza.local\n", "--trust-domain={{ .Values.trustDomain }}\n", 1),
    ("  replicas: 2\n", "  replicas: {{ .Values.replicas }}\n", 1),
    (
        "        resources:\n          requests:\n            cpu: 50m\n            memory: 128Mi\n",
        "        resources:\n          {{- toYaml .Values.resources | nindent 10 }}\n",
        1,
    ),
    (
        "      containers:\n",
        "{{- with .Values.nodeSelector }}\n      nodeSelector:\n        {{- toYaml . | nindent 8 }}\n{{- end }}\n{{- with .Values.tolerations }}\n      \
         tolerations:\n        {{- toYaml . | nindent 8 }}\n{{- end }}\n      containers:\n",
        1,
    ),
];

/// Files of the chart, as `helm package` lays them out.
pub fn files() -> Result<Vec<(String, Vec<u8>)>> {
    let read = |path: &str| fs::read_to_string(crate::root().join(path)).with_context(|| path.to_owned());
    let mut files = vec![
        ("organza/Chart.yaml".to_owned(), read(&format!("{FOLDER}/Chart.yaml"))?.into_bytes()),
        ("organza/values.yaml".to_owned(), read(&format!("{FOLDER}/values.yaml"))?.into_bytes()),
        ("organza/templates/organza.yaml".to_owned(), template(&read(MANIFEST)?)?.into_bytes()),
        (
            "organza/templates/webhook.yaml".to_owned(),
            format!("{{{{- if .Values.webhook }}}}\n{}{{{{- end }}}}\n", read(WEBHOOK)?).into_bytes(),
        ),
    ];
    for (name, bytes) in super::sorted(&crate::root().join(CRDS))? {
        files.push((format!("organza/crds/{name}"), bytes));
    }
    Ok(files)
}

/// The archive that `helm install` takes.
pub fn package() -> Result<Vec<u8>> {
    let entries: Vec<oci::Entry> = files()?.into_iter().map(|(path, bytes)| oci::Entry::file(&path, bytes)).collect();
    oci::gzip(&oci::tar(&entries))
}

/// The manifest in Helm's words, without the namespace, which is Helm's to make.
fn template(manifest: &str) -> Result<String> {
    let (first, rest) = manifest.split_once("---\n").context("the manifest has one object alone")?;
    let kinds: Vec<&str> = first.lines().filter(|line| line.starts_with("kind: ")).collect();
    if kinds != ["kind: Namespace"] {
        bail!("{MANIFEST} does not begin with its namespace alone any more");
    }
    let mut text = rest.to_owned();
    for (plain, helm, times) in WORDS {
        let found = text.matches(plain).count();
        if found != *times {
            bail!("{MANIFEST} says {plain:?} {found} times, and the chart knows of {times}");
        }
        text = text.replace(plain, helm);
    }
    let elsewhere = format!(
        "{{{{- if ne .Release.Namespace \"{NAMESPACE}\" }}}}\n{{{{- fail \"organza is installed into the namespace {NAMESPACE}: helm install organza CHART --namespace {NAMESPACE} \
         --create-namespace\" }}}}\n{{{{- end }}}}\n"
    );
    Ok(elsewhere + &text)
}

/// Whether Helm makes of the chart what `organza install` prints, and takes what people set.
pub fn check(organza: &Path) -> Result<()> {
    let helm = process::go_tool("helm", HELM)?;
    let modules = process::python_modules();
    if !modules.join("yaml").exists() {
        peers::python(&modules, &["pyyaml==6.0.3"])?;
    }
    let folder = std::env::temp_dir().join(format!("organza-chart-{}", std::process::id()));
    for (path, bytes) in files()? {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().context("a folder")?)?;
        fs::write(path, bytes)?;
    }
    let checked = compare(&helm, &folder.join("organza"), organza);
    fs::remove_dir_all(&folder).ok();
    checked
}

fn compare(helm: &Path, chart: &Path, organza: &Path) -> Result<()> {
    let (helm, chart) = (helm.to_string_lossy(), chart.to_string_lossy());
    process::run(&helm, &["lint", "--strict", &chart, "--namespace", NAMESPACE])?;
    let template = |more: &[&str]| {
        let arguments =
            [&["template", "organza", &*chart, "--kube-version", KUBE, "--namespace", NAMESPACE, "--include-crds"], more].concat();
        process::output(&helm, &arguments).and_then(|text| objects(&text))
    };
    let install =
        |more: &[&str]| process::output(&organza.to_string_lossy(), &[&["install"], more].concat()).and_then(|text| objects(&text));
    let without_namespace = |mut all: Vec<Value>| {
        all.retain(|object| object["kind"] != "Namespace");
        all
    };
    same(&template(&[])?, &without_namespace(install(&[])?))?;
    let image = "registry.example.com/mesh/organza:1.2.3";
    let set = format!("image={image},trustDomain=example.org");
    same(&template(&["--set", &set])?, &without_namespace(install(&["--image", image, "--trust-domain", "example.org"])?))?;
    same(&template(&["--set", "webhook=true"])?, &without_namespace(install(&["--webhook"])?))?;
    let more = template(&["--set", "replicas=3,serviceType=NodePort,nodeSelector.edge=yes,resources.requests.cpu=1"])?;
    let deployment = more.iter().find(|object| object["kind"] == "Deployment").context("the chart has no Deployment")?;
    let pod = &deployment["spec"]["template"]["spec"];
    let is_set = deployment["spec"]["replicas"] == 3
        && pod["nodeSelector"]["edge"] == "yes"
        && pod["containers"][0]["resources"]["requests"]["cpu"] == 1
        && pod["containers"][0]["args"].as_array().is_some_and(|all| all.iter().any(|word| word == "--service-type=NodePort"));
    if !is_set {
        bail!("the chart does not take what is set:\n{deployment:#}");
    }
    if process::output(&helm, &["template", "organza", &chart, "--kube-version", KUBE, "--namespace", "elsewhere"]).is_ok() {
        bail!("the chart lets itself be installed into another namespace");
    }
    println!("the chart is what `organza install` prints: {} objects", more.len());
    Ok(())
}

fn same(chart: &[Value], plain: &[Value]) -> Result<()> {
    let sorted = |all: &[Value]| {
        let mut all: Vec<String> = all.iter().map(Value::to_string).collect();
        all.sort();
        all
    };
    let (chart, plain) = (sorted(chart), sorted(plain));
    match chart.iter().zip(&plain).find(|(a, b)| a != b) {
        Some((chart, plain)) => bail!("the chart says\n{chart}\nwhere `organza install` says\n{plain}"),
        None if chart.len() != plain.len() => bail!("the chart has {} objects, `organza install` {}", chart.len(), plain.len()),
        None => Ok(()),
    }
}

/// YAML as JSON with sorted keys, by the Python that the tests have.
fn objects(yaml: &str) -> Result<Vec<Value>> {
    let script = "import sys, json, yaml; print(json.dumps([o for o in yaml.safe_load_all(sys.stdin) if o], sort_keys=True, default=str))";
    let mut child = Command::new("python3");
    child.args(["-c", script]).env("PYTHONPATH", process::python_modules()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = child.spawn().context("cannot run python3")?;
    std::io::Write::write_all(&mut child.stdin.take().context("no input")?, yaml.as_bytes())?;
    let output = child.wait_with_output()?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[cfg(test)]
mod tests;
