use super::*;

#[test]
fn a_proxy_that_lags_or_a_refused_file_is_not_good() {
    let mut status = Status {
        mesh: "demo".into(),
        trust_domain: "demo.mesh".into(),
        version: "0.1.0".into(),
        pid: 7,
        started: 0,
        time: 0,
        generation: 12,
        proxies_connected: 6,
        proxies_current: 6,
        xds_address: "127.0.0.1:15012".into(),
        problems: Vec::new(),
        process: None,
    };
    assert!(is_good(&status));
    assert!(text(&status).contains("generation 12, 6 of 6 proxies have it"));
    status.proxies_current = 5;
    assert!(!is_good(&status));
}
