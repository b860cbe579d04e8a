//! Commands that know a cluster, as an administrator gives them and as users who are known by a token and may less.

use super::NAMESPACE;
use crate::cluster::Cluster;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Who may what, of users who are known by a token.
const USERS: &str = "apiVersion: v1
kind: ServiceAccount
metadata: { name: tapper, namespace: later }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: nobody, namespace: later }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: tapper-asks, namespace: organza-system }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: organza-view }
subjects: [{ kind: ServiceAccount, name: tapper, namespace: later }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: mesh-tappers, namespace: organza-system }
rules: [{ apiGroups: [organza.dev], resources: [meshes], verbs: [tap] }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: tapper-taps, namespace: organza-system }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: mesh-tappers }
subjects: [{ kind: ServiceAccount, name: tapper, namespace: later }]
";

/// Who asks: a kubeconfig, and the program.
struct Asker<'c> {
    cluster: &'c Cluster,
    program: &'c Path,
    kubeconfig: PathBuf,
}

/// It hangs on the cluster's Gateway.
const ROUTE: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: asked, namespace: later }
spec:
  parentRefs: [{ name: edge }]
  rules: [{ backendRefs: [{ name: picked, group: gateway.networking.x-k8s.io, kind: XBackend }] }]
";

/// `address`: of the Gateway.
pub fn check(cluster: &Cluster, program: &Path, address: &str) -> Result<()> {
    let administrator = Asker { cluster, program, kubeconfig: cluster.kubeconfig() };
    administrator.says(&["get", "objects", "-A"], "picked")?;
    let routes = cluster.folder().join("routes.yaml");
    fs::write(&routes, ROUTE)?;
    let routes = routes.to_string_lossy();
    administrator.says(&["validate", "-f", &routes], "0 errors")?;
    // Alone nobody knows what it hangs on.
    ensure!(!Command::new(program).args(["validate", "-f", &routes]).output()?.status.success(), "without a cluster it is good too");
    administrator.says(&["diff", "-f", &routes], "HTTPRoute asked")?;
    administrator.says(&["explain", "-n", NAMESPACE, "--from", "gateway/edge", "GET", &format!("http://{address}/")], "xbackend-picked")?;
    administrator.is_drawn(address)?;
    administrator.is_tapped(address)?;
    administrator.says(&["ca", "show"], "signing")?;
    administrator.is_refused(&["token", "create", "--service-account", "later/web", "--service", "web"], "--advertise")?;
    administrator.says(&["token", "list"], "IDENTITY")?;
    administrator.says(&["check"], "the API server asks what is wrong")?;
    administrator.says(&["logs", "edge"], "edge-organza")?;
    administrator.says(&["logs", "organza-control", "--tail", "500"], "organza-control")?;
    administrator.dashboard("viewer")?;
    let users = cluster.folder().join("users.yaml");
    fs::write(&users, USERS)?;
    cluster.kubectl(&["apply", "--server-side", "-f", &users.to_string_lossy()])?;
    let tapper = Asker { cluster, program, kubeconfig: by_token(cluster, "tapper")? };
    tapper.says(&["get", "proxies", "-A"], "edge")?;
    tapper.dashboard("tapper")?;
    tapper.is_refused(&["dashboard", "--no-open", "--role", "operator"], "may not operate meshes of organza.dev")?;
    tapper.is_refused(&["token", "list"], "may not administer meshes of organza.dev")?;
    let nobody = Asker { cluster, program, kubeconfig: by_token(cluster, "nobody")? };
    nobody.is_refused(&["get", "proxies", "-A"], "forbidden")?;
    nobody.is_refused(&["dashboard", "--no-open", "--role", "viewer"], "forbidden")
}

/// A kubeconfig of a service account, by a token that the API server makes.
fn by_token(cluster: &Cluster, account: &str) -> Result<PathBuf> {
    let token = cluster.kubectl(&["-n", NAMESPACE, "create", "token", account])?;
    let file = cluster.folder().join(format!("kubeconfig-{account}"));
    fs::copy(cluster.kubeconfig(), &file)?;
    let path = file.to_string_lossy().into_owned();
    let context = cluster.kubectl(&["config", "current-context"])?;
    cluster.kubectl(&["--kubeconfig", &path, "config", "set-credentials", account, &format!("--token={}", token.trim())])?;
    cluster.kubectl(&["--kubeconfig", &path, "config", "set-context", context.trim(), &format!("--user={account}")])?;
    Ok(file)
}

impl Asker<'_> {
    fn command(&self, words: &[&str]) -> Result<Command> {
        let mut command = self.cluster.command(&self.program.to_string_lossy())?;
        command.args(words).arg("--kubernetes").env("KUBECONFIG", &self.kubeconfig).stdin(Stdio::null());
        Ok(command)
    }

    fn says(&self, words: &[&str], what: &str) -> Result<()> {
        let output = self.command(words)?.output().context("cannot run organza")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "organza {}: {text}{}", words.join(" "), String::from_utf8_lossy(&output.stderr));
        ensure!(text.contains(what), "organza {} says {text:?} and not {what:?}", words.join(" "));
        println!("ok   organza {} --kubernetes: {}", words.join(" "), text.lines().next().unwrap_or_default());
        Ok(())
    }

    fn is_refused(&self, words: &[&str], why: &str) -> Result<()> {
        let output = self.command(words)?.output().context("cannot run organza")?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success() && text.contains(why), "organza {} is not refused since {why:?}: {text}", words.join(" "));
        println!("ok   organza {} --kubernetes is refused: {}", words.join(" "), text.lines().next().unwrap_or_default());
        Ok(())
    }

    /// What its pods carry is drawn at the Gateway itself.
    fn is_drawn(&self, address: &str) -> Result<()> {
        self.cluster.until("top draws what the Gateway carries", || {
            self.ask(address)?;
            let output = self.command(&["top", "-n", NAMESPACE, "--once", "-o", "json"])?.output().context("cannot run organza")?;
            Ok(String::from_utf8_lossy(&output.stdout).contains("\"gateway/later/edge→"))
        })?;
        self.says(&["top", "-A", "--once"], "edge (gateway)")
    }

    /// A request is told as it ends.
    fn is_tapped(&self, address: &str) -> Result<()> {
        let mut command = self.command(&["tap", "-n", NAMESPACE, "--count", "1"])?;
        let mut child = Ended(command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().context("cannot run organza")?);
        self.cluster.until("a tap tells a request", || {
            self.ask(address)?;
            Ok(child.0.try_wait()?.is_some())
        })?;
        let mut told = String::new();
        child.0.stdout.take().context("no output")?.read_to_string(&mut told)?;
        ensure!(told.contains(&format!("GET {address}/tapped")), "the tap tells {told:?}");
        println!("ok   organza tap --kubernetes: {}", told.trim_end());
        Ok(())
    }

    fn ask(&self, address: &str) -> Result<()> {
        let status =
            self.cluster.command("curl")?.args(["-sS", "-m", "5", "-o", "/dev/null", &format!("http://{address}/tapped")]).status()?;
        ensure!(status.success(), "{address} does not answer");
        Ok(())
    }

    /// A browser is let in, and gets the page through what this command carries.
    fn dashboard(&self, role: &str) -> Result<()> {
        let mut command = self.command(&["dashboard", "--no-open", "--role", role])?;
        let mut child = Ended(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("cannot run organza")?);
        let mut link = String::new();
        BufReader::new(child.0.stdout.take().context("no output")?).read_line(&mut link)?;
        if link.trim().is_empty() {
            let mut why = String::new();
            child.0.stderr.take().context("no output")?.read_to_string(&mut why)?;
            bail!("organza dashboard --role {role}: {why}");
        }
        let jar = self.cluster.folder().join(format!("cookies-{role}"));
        let jar = jar.to_string_lossy();
        let output = self.cluster.command("curl")?.args(["-sS", "-L", "-m", "20", "-c", &jar, "-b", &jar, link.trim()]).output()?;
        let page = String::from_utf8_lossy(&output.stdout);
        ensure!(page.contains("<html"), "{} is answered by {page:?} {}", link.trim(), String::from_utf8_lossy(&output.stderr));
        println!("ok   organza dashboard --role {role} --kubernetes: {} bytes of a page", page.len());
        Ok(())
    }
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
