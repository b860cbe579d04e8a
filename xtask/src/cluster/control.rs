//! The control plane of a cluster: etcd, API server, controller manager, scheduler, and what stands in for a cloud's load balancer. Either beside the first
//! node in its namespaces, or etcd and the API server alone on loopback.

use super::certificates::Pki;
use super::ledger::Ledger;
use super::node::{self, Node};
use super::programs;
use crate::running::free_ports;
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// etcd and the API server on ports that are free; they outlive us.
pub fn alone(folder: &Path, ledger: &Ledger) -> Result<()> {
    let [etcd, peer, api] = free_ports()?;
    let pki = Pki::create(&folder.join("pki"), &format!("https://127.0.0.1:{api}"), "IP:127.0.0.1,DNS:localhost,IP:10.91.0.1")?;
    let start = |name: &str, arguments: &[String]| -> Result<()> {
        let log = fs::File::create(folder.join("log").join(name))?;
        let mut command = Command::new(programs::folder(&[])?.join(name));
        command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot run {name}"))?;
        ledger.note(name, child.id())
    };
    start("etcd", &etcd_arguments(folder, etcd, peer))?;
    let mut arguments = api_arguments(&pki, "127.0.0.1", api, etcd);
    // Nobody reaches it by the Service `kubernetes`, whose endpoint may not be of loopback.
    arguments.push("--endpoint-reconciler-type=none".into());
    start("kube-apiserver", &arguments)?;
    administrator(&pki, folder)
}

/// The same in the first node's namespaces; its controllers are another matter, for they give up on an API server that is slow to come.
pub fn beside(folder: &Path, first: &Node) -> Result<Pki> {
    let names =
        format!("IP:{},IP:127.0.0.1,IP:{},DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc", first.address, node::API);
    let pki = Pki::create(&folder.join("pki"), &format!("https://{}:6443", first.address), &names)?;
    administrator(&pki, folder)?;
    first.start("etcd", &etcd_arguments(folder, 2379, 2380))?;
    let mut arguments = api_arguments(&pki, &first.address, 6443, 2379);
    pki.client("kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client")?;
    arguments.extend([
        flag("kubelet-client-certificate", pki.file("kubelet-client.crt").display()),
        flag("kubelet-client-key", pki.file("kubelet-client.key").display()),
        // Names of nodes resolve nowhere; `kubectl exec` goes by address.
        "--kubelet-preferred-address-types=InternalIP".into(),
    ]);
    first.start("kube-apiserver", &arguments)?;
    Ok(pki)
}

/// All that asks the API server, once it is ready.
pub fn controllers(folder: &Path, first: &Node, pki: &Pki) -> Result<()> {
    let kubeconfig = pki.client("controller-manager", "/CN=system:kube-controller-manager")?;
    let controllers = [
        flag("kubeconfig", kubeconfig.display()),
        flag("service-account-private-key-file", pki.file("sa.key").display()),
        flag("root-ca-file", pki.file("ca.crt").display()),
        flag("cluster-signing-cert-file", pki.file("ca.crt").display()),
        flag("cluster-signing-key-file", pki.file("ca.key").display()),
        "--use-service-account-credentials".into(),
        "--leader-elect=false".into(),
    ];
    first.start("kube-controller-manager", &controllers)?;
    let kubeconfig = pki.client("scheduler", "/CN=system:kube-scheduler")?;
    first.start("kube-scheduler", &[flag("kubeconfig", kubeconfig.display()), "--leader-elect=false".into()])?;
    let balancer = [flag("kubeconfig", folder.join("kubeconfig").display()), flag("pool", node::BALANCERS)];
    first.start_program("balancer", &programs::ours("balancer", "./cluster/balancer")?, &balancer)
}

fn administrator(pki: &Pki, folder: &Path) -> Result<()> {
    let file = pki.client("admin", "/O=system:masters/CN=admin")?;
    fs::rename(file, folder.join("kubeconfig")).context("kubeconfig")
}

fn flag(name: &str, value: impl std::fmt::Display) -> String {
    format!("--{name}={value}")
}

/// It forgets all when the machine stops, and is quick for it.
fn etcd_arguments(folder: &Path, port: u16, peer: u16) -> Vec<String> {
    let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer}"));
    vec![
        flag("data-dir", folder.join("etcd").display()),
        flag("listen-client-urls", &client),
        flag("advertise-client-urls", &client),
        flag("listen-peer-urls", &peer),
        flag("initial-advertise-peer-urls", &peer),
        flag("initial-cluster", format!("default={peer}")),
        "--unsafe-no-fsync".into(),
        "--log-level=warn".into(),
    ]
}

fn api_arguments(pki: &Pki, address: &str, port: u16, etcd: u16) -> Vec<String> {
    vec![
        flag("etcd-servers", format!("http://127.0.0.1:{etcd}")),
        flag("bind-address", address),
        flag("advertise-address", address),
        flag("secure-port", port),
        flag("tls-cert-file", pki.file("apiserver.crt").display()),
        flag("tls-private-key-file", pki.file("apiserver.key").display()),
        flag("client-ca-file", pki.file("ca.crt").display()),
        flag("service-cluster-ip-range", node::SERVICES),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
        flag("service-account-signing-key-file", pki.file("sa.key").display()),
        flag("service-account-key-file", pki.file("sa.key").display()),
        "--authorization-mode=Node,RBAC".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        "--allow-privileged".into(),
        "--profiling=false".into(),
    ]
}
