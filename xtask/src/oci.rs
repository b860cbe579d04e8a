//! Container images without an engine: an OCI image layout (image-spec 1.1) in one tar, as `ctr images import`, `podman load` and `skopeo` read it. The same
//! content gives the same bytes: no times, no owners. Knows nothing of what is in it.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::io::Write as _;
use std::process::{Command, Stdio};

/// A file of a layer.
pub struct Entry {
    /// Without the slash at its beginning.
    path: String,
    mode: u32,
    bytes: Vec<u8>,
}

impl Entry {
    pub fn program(path: &str, bytes: Vec<u8>) -> Self {
        Self { path: path.into(), mode: 0o755, bytes }
    }

    pub fn file(path: &str, bytes: Vec<u8>) -> Self {
        Self { path: path.into(), mode: 0o644, bytes }
    }
}

#[derive(Default)]
pub struct Config<'a> {
    pub entrypoint: &'a [&'a str],
    /// `UID:GID`; root if empty.
    pub user: &'a str,
    pub labels: &'a [(&'a str, &'a str)],
}

/// The layout of one image with one layer, under each of the names.
pub fn image(layer: &[Entry], config: &Config<'_>, names: &[&str]) -> Vec<u8> {
    let layer = tar(layer);
    let content = digest(&layer);
    of_layer("application/vnd.oci.image.layer.v1.tar", layer, &content, config, names)
}

/// The same, a third as large. What gzip makes of the same bytes depends on gzip alone.
pub fn packed_image(layer: &[Entry], config: &Config<'_>, names: &[&str]) -> Result<Vec<u8>> {
    let layer = tar(layer);
    let content = digest(&layer);
    Ok(of_layer("application/vnd.oci.image.layer.v1.tar+gzip", gzip(&layer)?, &content, config, names))
}

/// `content`: the digest of the layer as a tar.
fn of_layer(kind: &str, layer: Vec<u8>, content: &str, config: &Config<'_>, names: &[&str]) -> Vec<u8> {
    let labels: serde_json::Map<String, Value> = config.labels.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let mut run = json!({ "Entrypoint": config.entrypoint, "WorkingDir": "/", "Labels": labels });
    if !config.user.is_empty() {
        run["User"] = json!(config.user);
    }
    let config = bytes(&json!({
        "architecture": "amd64",
        "os": "linux",
        "config": run,
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{content}")] },
    }));
    let manifest = bytes(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described("application/vnd.oci.image.config.v1+json", &config),
        "layers": [described(kind, &layer)],
    }));
    let named = |name: &&str| {
        let mut manifest = described("application/vnd.oci.image.manifest.v1+json", &manifest);
        manifest["annotations"] = json!({ "io.containerd.image.name": name, "org.opencontainers.image.ref.name": name });
        manifest
    };
    let index = bytes(&json!({ "schemaVersion": 2, "manifests": names.iter().map(named).collect::<Vec<_>>() }));
    let mut files = vec![Entry::file("oci-layout", bytes(&json!({ "imageLayoutVersion": "1.0.0" }))), Entry::file("index.json", index)];
    for blob in [config, manifest, layer] {
        files.push(Entry::file(&format!("blobs/sha256/{}", digest(&blob)), blob));
    }
    tar(&files)
}

/// SHA-256 in hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn described(media_type: &str, blob: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": format!("sha256:{}", digest(blob)), "size": blob.len() })
}

/// POSIX ustar. Paths are of at most 100 bytes, which all of ours are.
pub fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut folders: Vec<&str> = Vec::new();
    for entry in entries {
        for (at, _) in entry.path.match_indices('/') {
            let folder = &entry.path[..=at];
            if !folders.contains(&folder) {
                folders.push(folder);
                out.extend(header(folder, 0o755, 0, b'5'));
            }
        }
        out.extend(header(&entry.path, entry.mode, entry.bytes.len(), b'0'));
        out.extend(&entry.bytes);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    out.resize(out.len() + 2 * BLOCK, 0);
    out
}

const BLOCK: usize = 512;

fn header(path: &str, mode: u32, size: usize, kind: u8) -> [u8; BLOCK] {
    assert!(path.len() <= 100, "{path:?} is too long for a tar");
    let mut header = [0; BLOCK];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, path);
    put(100, &format!("{mode:07o}"));
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{size:011o}"));
    put(136, "00000000000");
    put(148, "        ");
    put(257, "ustar\u{0}00");
    header[156] = kind;
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// By the machine's gzip, without name and time.
pub fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut child = Command::new("gzip").args(["-9", "-n", "-c"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("gzip")?;
    let mut input = child.stdin.take().context("no input")?;
    let output = std::thread::scope(|scope| {
        let fed = scope.spawn(move || input.write_all(bytes));
        let output = child.wait_with_output();
        fed.join().map_err(|_| anyhow::anyhow!("gzip was not fed"))??;
        anyhow::Ok(output?)
    })?;
    if !output.status.success() {
        bail!("gzip ended with {}", output.status);
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests;
