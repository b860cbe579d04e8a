use super::*;

#[test]
fn each_program_finds_its_own_spelling_and_java_keeps_its_options() {
    let variables = variables(SocketAddr::from(([127, 0, 0, 1], 15001)), "5ec7e7", Some("-Xmx1g"));
    let value = |name: &str| variables.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"] {
        assert_eq!(value(name), Some("http://organza:5ec7e7@127.0.0.1:15001"));
    }
    assert_eq!(value("no_proxy"), Some("localhost,127.0.0.1,::1"));
    assert_eq!(value("NODE_USE_ENV_PROXY"), Some("1"));
    assert!(value("JAVA_TOOL_OPTIONS").is_some_and(|v| v.starts_with("-Xmx1g -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=15001 ")));
}
