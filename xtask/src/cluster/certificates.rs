//! Certificates of a cluster for tests, by openssl: one authority, whom everybody believes, and a pair for each part. They last ten days.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub struct Pki {
    pub folder: PathBuf,
    /// Where clients find the API server.
    pub server: String,
}

impl Pki {
    /// `names` as openssl writes alternative names: `IP:10.0.0.1,DNS:kubernetes`.
    pub fn create(folder: &Path, server: &str, names: &str) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let pki = Self { folder: folder.to_owned(), server: server.to_owned() };
        openssl(&pki.request("ca", "/CN=tests").args(["-addext", "keyUsage=critical,keyCertSign,cRLSign"]))?;
        pki.issue("apiserver", "/CN=kube-apiserver", &[&format!("subjectAltName={names}"), "extendedKeyUsage=serverAuth"])?;
        // As SEC 1 has it: the API server reads public halves out of no other kind of file with an elliptic key.
        openssl(&Arguments::new(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"]).path(&pki.file("sa.key")))?;
        Ok(pki)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A pair for a client of the API server, and the file by which it finds it.
    pub fn client(&self, name: &str, subject: &str) -> Result<PathBuf> {
        self.issue(name, subject, &["extendedKeyUsage=clientAuth"])?;
        let file = self.file(&format!("{name}.kubeconfig"));
        fs::write(&file, self.kubeconfig(name))?;
        Ok(file)
    }

    fn kubeconfig(&self, name: &str) -> String {
        let folder = self.folder.display();
        format!(
            "apiVersion: v1
kind: Config
current-context: tests
clusters: [{{ name: tests, cluster: {{ server: \"{}\", certificate-authority: {folder}/ca.crt }} }}]
users: [{{ name: {name}, user: {{ client-certificate: {folder}/{name}.crt, client-key: {folder}/{name}.key }} }}]
contexts: [{{ name: tests, context: {{ cluster: tests, user: {name} }} }}]
",
            self.server
        )
    }

    fn issue(&self, name: &str, subject: &str, extensions: &[&str]) -> Result<()> {
        let mut request = self.request(name, subject).arg("-CA").path(&self.file("ca.crt")).arg("-CAkey").path(&self.file("ca.key"));
        for extension in extensions.iter().chain(&["basicConstraints=critical,CA:FALSE"]) {
            request = request.args(["-addext", extension]);
        }
        openssl(&request)
    }

    fn request(&self, name: &str, subject: &str) -> Arguments {
        Arguments::new(&["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "10", "-subj", subject])
            .arg("-keyout")
            .path(&self.file(&format!("{name}.key")))
            .arg("-out")
            .path(&self.file(&format!("{name}.crt")))
    }
}

struct Arguments(Vec<std::ffi::OsString>);

impl Arguments {
    fn new(first: &[&str]) -> Self {
        Self(first.iter().map(Into::into).collect())
    }

    fn arg(self, argument: &str) -> Self {
        self.args([argument])
    }

    fn args<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.0.extend(arguments.into_iter().map(Into::into));
        self
    }

    fn path(mut self, path: &Path) -> Self {
        self.0.push(path.into());
        self
    }
}

fn openssl(arguments: &Arguments) -> Result<()> {
    let output = Command::new("openssl").args(&arguments.0).output().context("cannot run openssl")?;
    if !output.status.success() {
        bail!("openssl: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
