//! The environment that puts an ordinary program into the mesh: the proxy variables that curl, Python, Go, Node, Java and gRPC read. What each
//! of them makes of it is told in `docs/programs.md`.

use std::net::SocketAddr;

/// Never through the proxy: the program's talk with itself and its neighbours on this machine.
const NEAR: &str = "localhost,127.0.0.1,::1";

/// `secret` makes the listener its owner's alone: it is the password in the proxy's URL.
pub fn variables(proxy: SocketAddr, secret: &str, java_options: Option<&str>) -> Vec<(String, String)> {
    let url = format!("http://organza:{secret}@{proxy}");
    let mut variables = Vec::new();
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"] {
        variables.push((name.to_owned(), url.clone()));
    }
    for name in ["no_proxy", "NO_PROXY"] {
        variables.push((name.to_owned(), NEAR.to_owned()));
    }
    // Node reads the variables above only when told so.
    variables.push(("NODE_USE_ENV_PROXY".into(), "1".into()));
    let java = format!(
        "-Dhttp.proxyHost={0} -Dhttp.proxyPort={1} -Dhttps.proxyHost={0} -Dhttps.proxyPort={1} -Dhttp.nonProxyHosts=localhost|127.*|[::1]",
        proxy.ip(),
        proxy.port()
    );
    let java = java_options.filter(|o| !o.is_empty()).map_or(java.clone(), |before| format!("{before} {java}"));
    variables.push(("JAVA_TOOL_OPTIONS".into(), java));
    variables
}

#[cfg(test)]
mod tests;
