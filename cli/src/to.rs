//! `organza up --to HOST:PORT`: writes the YAML of an API gateway before something that already runs. What it writes is what a user would
//! have written, to be read and edited.

use crate::failure::{Context, Failure, Outcome};
use crate::place::make_folder;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

/// Writes `gateway.yaml` into the folder, unless an edited one is there already.
pub fn write(folder: &Path, to: &str, port: u16) -> Outcome {
    make_folder(folder)?;
    let path = folder.join("gateway.yaml");
    std::fs::write(&path, yaml(address(to)?, port)).doing(|| format!("write {}", path.display()))
}

fn address(to: &str) -> Outcome<SocketAddr> {
    let wrong = || Failure::usage(format!("--to {to} is not HOST:PORT")).remedy("write it as --to 127.0.0.1:8080");
    let bare = to.strip_prefix("http://").unwrap_or(to).trim_end_matches('/');
    if let Ok(address) = bare.parse() {
        return Ok(address);
    }
    let (host, port) = bare.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    if host != "localhost" {
        return Err(Failure::usage(format!("--to takes an address, and {host} is a name"))
            .remedy("write an XBackend of type ExternalHostname and run organza up -f on it"));
    }
    let mut found = (host, port).to_socket_addrs().doing(|| format!("resolve {host}"))?;
    found.find(SocketAddr::is_ipv4).ok_or_else(wrong)
}

pub fn yaml(to: SocketAddr, port: u16) -> String {
    let family = if to.is_ipv4() { "IPv4" } else { "IPv6" };
    let (ip, to_port) = (to.ip(), to.port());
    format!(
        "\
# Written by organza up --to {to}. A gateway on port {port} before one address that is not in the mesh.
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: gateway
spec:
  gatewayClassName: organza
  listeners:
  - name: http
    port: {port}
    protocol: HTTP
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: all
spec:
  parentRefs:
  - name: gateway
  rules:
  - backendRefs:
    - name: outside
      port: {to_port}
---
# No selector: the addresses stand in the EndpointSlice below.
apiVersion: v1
kind: Service
metadata:
  name: outside
spec:
  ports:
  - name: http
    port: {to_port}
    appProtocol: http
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: outside-1
  labels:
    kubernetes.io/service-name: outside
addressType: {family}
ports:
- name: http
  port: {to_port}
  protocol: TCP
endpoints:
- addresses:
  - \"{ip}\"
"
    )
}
