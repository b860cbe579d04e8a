//! `cargo xtask conformance gateway`: the official suite of the Gateway API, whole and as it is, against Organza on a real cluster. What is tested is what the
//! GatewayClass claims in its status; no test is skipped, no feature is exempt, time-outs are the suite's own. It fails unless each of the five
//! profiles passed all its tests and claims all its features. The report is kept under `conformance/reports/`.

use super::Options;
use crate::cluster::{self, Cluster, ECHO};
use crate::image::{self, Profile};
use crate::process;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

const PROFILES: &[&str] = &["GATEWAY-HTTP", "GATEWAY-GRPC", "GATEWAY-TLS", "GATEWAY-TCP", "GATEWAY-UDP"];
/// Addresses of the stand-in for a load balancer: one of its pool, and one that is not.
const USABLE: &str = "10.92.0.200";
const UNUSABLE: &str = "10.94.0.1";
const USAGE: &str = "cargo xtask conformance gateway [--dev | --organza FILE] [--keep] [--test NAME] [--name CLUSTER]";
const KNOWN: &[&str] = &["--dev", "--organza", "--keep", "--test", "--name"];

pub fn run(arguments: &[String]) -> Result<()> {
    let options = Options::read(arguments, KNOWN, USAGE)?;
    let begun = Instant::now();
    let suite = cluster::tests_of("gateway.test", "./gateway")?;
    cluster::theirs(ECHO.0, ECHO.1)?;
    let cluster = Cluster::named(options.name.as_deref().unwrap_or("tests"))?;
    let stood = cluster.ensure()?;
    println!("cluster and suite: {:.1} s", begun.elapsed().as_secs_f64());
    let checked = check(&options, &cluster, &suite);
    if !options.keep && !stood {
        cluster.down()?;
    }
    checked
}

fn check(options: &Options, cluster: &Cluster, suite: &Path) -> Result<()> {
    install(cluster, &options.program()?, options.is_other(), &[])?;
    for tag in echo_tags()? {
        cluster.bring(ECHO.0, &tag)?;
    }
    // Written beside, so that the report of another run is never taken for this one's.
    let report = cluster.folder().join("report.yaml");
    let kept = crate::root().join("conformance/reports/organza.yaml");
    fs::remove_file(&report).ok();
    let file = cluster.folder().join("conformance.yaml");
    fs::write(&file, settings(&image::version()?, !options.keep))?;
    let mut command = cluster.command(&suite.to_string_lossy())?;
    command.args(["-test.run=^TestConformance$", "-test.timeout=90m", "-conformance-options-file"]).arg(&file);
    let begun = Instant::now();
    match &options.only {
        Some(test) => command.args(["-run-test", test, "-debug", "-test.v"]),
        None => command.arg("-report-output").arg(&report),
    };
    let passed = command.status().context("cannot run the suite")?.success();
    println!("suite: {:.1} s", begun.elapsed().as_secs_f64());
    if options.only.is_some() {
        return if passed { Ok(()) } else { bail!("the suite failed") };
    }
    let text = fs::read_to_string(&report).context("the suite wrote no report")?;
    fs::create_dir_all(kept.parent().context("a folder")?)?;
    fs::write(&kept, &text)?;
    let complaints = complaints(&text);
    for complaint in &complaints {
        println!("{complaint}");
    }
    match (passed, complaints.as_slice()) {
        (true, []) => Ok(()),
        (_, complaints) => bail!("the suite {}; {} complaints", if passed { "passed" } else { "failed" }, complaints.len()),
    }
}

/// The static program: one that was built before, or one that is built now.
pub fn program(built: Option<&Path>, dev: bool) -> Result<PathBuf> {
    match built {
        Some(file) => fs::canonicalize(file).with_context(|| file.display().to_string()),
        None => image::program(if dev { Profile::Dev } else { Profile::Release }),
    }
}

/// As a user does it: the image, the manifests that `organza install` prints, and until the class is accepted. `may_be_large`: the program need not be as it is
/// given to others.
pub fn install(cluster: &Cluster, organza: &Path, may_be_large: bool, flags: &[&str]) -> Result<()> {
    let profile = if may_be_large { Profile::Dev } else { Profile::Release };
    cluster.load(&image::of(organza, profile)?)?;
    let manifests = cluster.folder().join("organza.yaml");
    fs::write(&manifests, process::output(&organza.to_string_lossy(), &[&["install"], flags].concat())?)?;
    cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &manifests.to_string_lossy()])?;
    let accepted = "-o=jsonpath={.status.conditions[?(@.type==\"Accepted\")].status}";
    cluster
        .until("GatewayClass organza is accepted", || Ok(cluster.kubectl(&["get", "gatewayclass", "organza", accepted])?.trim() == "True"))
}

/// All names by which the suite's manifests ask for the program.
fn echo_tags() -> Result<BTreeSet<String>> {
    let folder = crate::root().join("third_party/gateway-api/conformance");
    let mut tags = BTreeSet::new();
    for part in ["base", "tests"] {
        for entry in fs::read_dir(folder.join(part))? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            let text = fs::read_to_string(path)?;
            tags.extend(text.lines().filter_map(image_of).filter(|image| image.contains("/echo-basic:")).map(str::to_owned));
        }
    }
    Ok(tags)
}

fn image_of(line: &str) -> Option<&str> {
    line.trim().trim_start_matches("- ").strip_prefix("image: ")
}

/// What the suite is told. Features are not: it reads them from the GatewayClass.
fn settings(version: &str, cleanup: bool) -> String {
    let profiles = PROFILES.iter().map(|profile| format!("- {profile}\n")).collect::<String>();
    format!(
        "gatewayClassName: organza
cleanupBaseResources: {cleanup}
cleanupTestResources: true
conformanceProfiles:
{profiles}implementation:
  organization: organza
  project: organza
  url: https://organza.dev
  version: {version}
  contact: [https://organza.dev]
usableNetworkAddresses: [{{ type: IPAddress, value: {USABLE} }}]
unusableNetworkAddresses: [{{ type: IPAddress, value: {UNUSABLE} }}]
"
    )
}

/// What keeps a report from being whole: a profile that is not there, a test that failed or was skipped, a feature that is not claimed.
fn complaints(report: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let names: Vec<&str> = report.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("name: ")).collect();
    for profile in PROFILES.iter().filter(|profile| !names.contains(profile)) {
        complaints.push(format!("no profile {profile} in the report"));
    }
    let mut list: Option<(&str, usize)> = None;
    for line in report.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        // A list's items may stand below its name without being moved in.
        if let (Some((what, at)), Some(item)) = (list, text.strip_prefix("- "))
            && indent >= at
            && !item.contains(": ")
        {
            complaints.push(format!("{what}: {item}"));
            continue;
        }
        list = ["failedTests", "skippedTests", "unsupportedFeatures"]
            .into_iter()
            .find(|what| text.trim_end_matches(':') == *what && text.ends_with(':'))
            .map(|what| (what, indent));
        if let Some(result) = text.strip_prefix("result: ").filter(|result| *result != "success") {
            complaints.push(format!("a result is {result}"));
        }
    }
    complaints
}

#[cfg(test)]
mod tests;
