//! A node: one process, the program `pause`, that holds network, mount and process namespaces, and all that runs in them. Whoever ends that process ends the
//! node with its pods, mounts and interfaces; only its cgroups must be removed. The node's files are below the cluster's folder.

use super::certificates::Pki;
use super::ledger::Ledger;
use super::programs;
use crate::peers;
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Addresses of Services, and of those that every cluster has.
pub const SERVICES: &str = "10.91.0.0/16";
pub const API: &str = "10.91.0.1";
pub const DNS: &str = "10.91.0.10";
/// Addresses of load balancers.
pub const BALANCERS: &str = "10.92.0.0/24";
const ALL_PODS: &str = "10.93.0.0/16";
/// For a process to appear, a socket to be there.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a kubelet would set for the whole machine; it finds these instead, and the machine keeps its own.
const TUNABLES: &[(&str, &str)] = &[
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

pub struct Node {
    /// `node-1`.
    name: String,
    number: u8,
    /// Of the process that holds its namespaces.
    holder: u32,
    cgroup: String,
    cluster: PathBuf,
    pub address: String,
}

impl Node {
    /// Makes the namespaces and what must be in them before anything runs.
    pub fn create(cluster: &str, folder: &Path, number: u8, ledger: &Ledger) -> Result<Self> {
        let mut node = Self::shape(folder, number, 0, group(cluster, number));
        for part in ["", "cni", "logs", "plugins", "tunables", "kubelet"] {
            fs::create_dir_all(node.folder().join(part))?;
        }
        node.holder = hold(&folder.join("log").join(&node.name), &programs::ours("pause", "./cluster/pause")?)?;
        ledger.note(&node.name, node.holder)?;
        create_cgroups(&node.cgroup)?;
        node.mounts()?;
        node.network()?;
        Ok(node)
    }

    /// One that was made before, if it lives.
    pub fn standing(folder: &Path, number: u8, ledger: &Ledger) -> Option<Self> {
        let holder = ledger.alive(&format!("node-{number}"))?;
        Some(Self::shape(folder, number, holder, String::new()))
    }

    fn shape(cluster: &Path, number: u8, holder: u32, cgroup: String) -> Self {
        Self { name: format!("node-{number}"), number, holder, cgroup, cluster: cluster.into(), address: format!("10.90.0.{number}") }
    }

    fn folder(&self) -> PathBuf {
        self.cluster.join(&self.name)
    }

    fn pods(&self) -> String {
        format!("10.93.{}.0/24", self.number)
    }

    /// A command in the node's namespaces.
    fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.to_string(), "--net", "--mount", "--pid", "--", program]).stdin(Stdio::null());
        command
    }

    fn run(&self, line: &str) -> Result<()> {
        let mut words = line.split(' ');
        let output = self.inside(words.next().unwrap_or_default()).args(words).output().context("cannot run nsenter")?;
        if !output.status.success() {
            bail!("{line}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// What programs write outside the node's folder is memory of the node's own.
    fn mounts(&self) -> Result<()> {
        for folder in ["/run", "/var/lib", "/var/log"] {
            self.run(&format!("mount -t tmpfs tmpfs {folder}"))?;
        }
        for (name, value) in TUNABLES {
            let file = self.folder().join("tunables").join(name.replace('/', "."));
            fs::write(&file, format!("{value}\n"))?;
            self.run(&format!("mount --bind {} /proc/sys/{name}", file.display()))?;
        }
        Ok(())
    }

    fn network(&self) -> Result<()> {
        self.run("ip link set lo up")?;
        for setting in ["net.ipv4.ip_forward", "net.bridge.bridge-nf-call-iptables"] {
            self.run(&format!("dd status=none of=/proc/sys/{} if={}", setting.replace('.', "/"), one(&self.folder())?.display()))?;
        }
        Ok(())
    }

    /// Starts one of the cluster's programs.
    pub fn start(&self, program: &str, arguments: &[String]) -> Result<()> {
        self.start_program(program, &programs::folder(&[])?.join(program), arguments)
    }

    /// Starts a program that ends with the node. The shell is there to leave it to the node's first process.
    pub fn start_program(&self, name: &str, program: &Path, arguments: &[String]) -> Result<()> {
        let log = self.cluster.join("log").join(if self.number == 1 { name.to_owned() } else { format!("{name}-{}", self.number) });
        let status = self
            .inside("sh")
            .args(["-c", "setsid \"$@\" </dev/null >\"$0\" 2>&1 &"])
            .arg(log)
            .arg(program)
            .args(arguments)
            .status()
            .context("cannot run nsenter")?;
        if !status.success() {
            bail!("{name} was not started on {}", self.name);
        }
        Ok(())
    }

    pub fn start_runtime(&self) -> Result<()> {
        let values = [("folder", self.folder().display().to_string()), ("pods", self.pods())];
        let templates = crate::root().join("conformance/cluster");
        peers::filled(&templates.join("cni.conflist"), &self.folder().join("cni"), &values)?;
        let config = peers::filled(&templates.join("containerd.toml"), &self.folder(), &values)?;
        self.start_program("containerd", Path::new("containerd"), &["--config".into(), config.display().to_string()])
    }

    pub fn start_kubelet(&self, pki: &Pki) -> Result<()> {
        fs::write(self.folder().join("resolv.conf"), "")?;
        let kubeconfig = pki.client(&format!("kubelet-{}", self.number), &format!("/O=system:nodes/CN=system:node:{}", self.name))?;
        let proxy = pki.client(&format!("proxy-{}", self.number), "/CN=system:kube-proxy")?;
        let values = [
            ("folder", self.folder().display().to_string()),
            ("pki", pki.folder.display().to_string()),
            ("cgroup", self.cgroup.clone()),
            ("dns", DNS.to_owned()),
            ("all_pods", ALL_PODS.to_owned()),
            ("node", self.name.clone()),
            ("address", self.address.clone()),
            ("kubeconfig", proxy.display().to_string()),
        ];
        let templates = crate::root().join("conformance/cluster");
        let config = peers::filled(&templates.join("kubelet.yaml"), &self.folder(), &values)?;
        self.start(
            "kubelet",
            &[
                format!("--config={}", config.display()),
                format!("--kubeconfig={}", kubeconfig.display()),
                format!("--root-dir={}", self.folder().join("kubelet").display()),
                format!("--cert-dir={}", self.folder().join("kubelet/pki").display()),
                format!("--hostname-override={}", self.name),
                format!("--node-ip={}", self.address),
                format!("--node-labels=topology.kubernetes.io/region=here,topology.kubernetes.io/zone=zone-{}", self.number),
            ],
        )?;
        let config = peers::filled(&templates.join("proxy.yaml"), &self.folder(), &values)?;
        self.start("kube-proxy", &[format!("--config={}", config.display())])
    }

    /// Kills one of the cluster's programs; gives what it was started with, for [`Node::start`].
    pub fn kill(&self, program: &str) -> Result<Vec<String>> {
        let file = programs::folder(&[])?.join(program);
        // Number and name alone would be those of another cluster's too.
        let ours = fs::read_link(format!("/proc/{}/ns/pid", self.holder))?;
        for entry in fs::read_dir("/proc")? {
            let process = entry?.path();
            // Whoever ends meanwhile is not it.
            let is_it = fs::read_link(process.join("exe")).is_ok_and(|exe| exe == file)
                && fs::read_link(process.join("ns/pid")).is_ok_and(|namespace| namespace == ours);
            if !is_it {
                continue;
            }
            let line = String::from_utf8(fs::read(process.join("cmdline"))?)?;
            let id = process.file_name().and_then(|name| name.to_str()).context("a process without a number")?;
            Command::new("kill").args(["-s", "KILL", id]).status().context("cannot run kill")?;
            return Ok(line.split_terminator('\0').skip(1).map(str::to_owned).collect());
        }
        bail!("{program} does not run on {}", self.name)
    }

    /// Nothing comes from other nodes, and nothing reaches them, until it is joined again.
    pub fn cut(&self) -> Result<()> {
        self.run("nft add table inet cut")?;
        for (hook, interface) in [("prerouting", "iifname"), ("postrouting", "oifname")] {
            self.run(&format!("nft add chain inet cut {hook} {{ type filter hook {hook} priority -500 ; }}"))?;
            self.run(&format!("nft add rule inet cut {hook} {interface} lan drop"))?;
        }
        Ok(())
    }

    pub fn join(&self) -> Result<()> {
        self.run("nft delete table inet cut")
    }

    /// Gives an image to the runtime, as soon as that is there.
    pub fn import(&self, image: &Path) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let output = self.inside("ctr").args(["-n", "k8s.io", "images", "import"]).arg(image).output().context("cannot run nsenter")?;
            if output.status.success() {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("{} takes no image {}: {}", self.name, image.display(), String::from_utf8_lossy(&output.stderr).trim());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// Links the nodes: each has an interface `lan` with its address; pods of the other are behind the other.
pub fn connect(nodes: &[Node]) -> Result<()> {
    match nodes {
        // Both ends of a cable: an interface that is up.
        [one] => {
            one.run("ip link add lan type veth peer name lan-end")?;
            one.run("ip link set lan-end up")?;
        }
        [one, other, ..] => one.run_in_network_only(&format!("ip link add lan type veth peer name lan netns {}", other.holder))?,
        [] => bail!("a cluster without nodes"),
    }
    for node in nodes {
        node.run(&format!("ip address add {}/24 dev lan", node.address))?;
        node.run("ip link set lan up")?;
        // Never sent: kube-proxy answers for them. But who sends must have a route.
        for range in [SERVICES, BALANCERS] {
            node.run(&format!("ip route add {range} dev lan"))?;
        }
        for other in nodes.iter().filter(|other| other.number != node.number) {
            node.run(&format!("ip route add {} via {}", other.pods(), other.address))?;
        }
    }
    Ok(())
}

impl Node {
    /// Where processes are known by the machine's numbers.
    fn run_in_network_only(&self, line: &str) -> Result<()> {
        let status = Command::new("nsenter").args(["--target", &self.holder.to_string(), "--net", "--"]).args(line.split(' ')).status();
        if !status.context("cannot run nsenter")?.success() {
            bail!("{line} failed on {}", self.name);
        }
        Ok(())
    }
}

/// Starts the process that holds the namespaces, in a group of its own; gives its number.
fn hold(log: &Path, pause: &Path) -> Result<u32> {
    let log = fs::File::create(log)?;
    let mut command = Command::new("unshare");
    command
        .args(["--net", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc", "--"])
        .arg(pause)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    let mut unshare = command.spawn().context("cannot run unshare")?;
    let end = Instant::now() + PATIENCE;
    // Once it is our program, its mounts are made.
    while Instant::now() < end {
        if let Some(status) = unshare.try_wait()? {
            bail!("unshare ended with {status}: root, and the right to make namespaces, are needed");
        }
        let id = unshare.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        if let Some(child) = children.split_whitespace().next().and_then(|child| child.parse().ok())
            && fs::read_link(format!("/proc/{child}/exe")).is_ok_and(|exe| exe == pause)
        {
            return Ok(child);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    bail!("the namespaces of a node did not appear")
}

fn one(folder: &Path) -> Result<PathBuf> {
    let file = folder.join("one");
    fs::write(&file, "1\n")?;
    Ok(file)
}

fn group(cluster: &str, number: u8) -> String {
    format!("organza-{cluster}-{number}")
}

/// Folders of all hierarchies: of version 1, of version 2, or of both side by side.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let of_cgroups = fields.filter(|fields| matches!(fields.get(2), Some(&"cgroup" | &"cgroup2")));
    Ok(of_cgroups.filter_map(|fields| fields.get(1).map(PathBuf::from)).collect())
}

fn create_cgroups(name: &str) -> Result<()> {
    for hierarchy in hierarchies()? {
        let folder = hierarchy.join(name);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        // A new cpuset is empty, and takes no process.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if hierarchy.join(file).exists() && folder.join(file).exists() {
                fs::write(folder.join(file), fs::read(hierarchy.join(file))?)?;
            }
        }
    }
    Ok(())
}

/// Empty ones are left of a node that ended.
pub fn remove_cgroups(cluster: &str, number: u8) -> Result<()> {
    for hierarchy in hierarchies()? {
        let folder = hierarchy.join(group(cluster, number));
        if folder.exists() {
            remove_group(&folder)?;
        }
    }
    Ok(())
}

/// One that is gone is what was wanted: others may take away what is empty while we look (a runtime that is ending, the kernel's release agent).
pub fn remove_group(folder: &Path) -> Result<()> {
    let of = || folder.display().to_string();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(of)?,
    };
    for entry in entries {
        let entry = entry.with_context(of)?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path())?;
        }
    }
    let end = Instant::now() + PATIENCE;
    loop {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == ErrorKind::ResourceBusy && Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            done => return done.with_context(of),
        }
    }
}
