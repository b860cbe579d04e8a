use super::{Config, ConfigError, Role};
use crate::limits;

const GATEWAY_ROLE: &str = r#"{ "gateway": { "gateway": "files/gateway/shop/edge", "ports": "preferred" } }"#;
const GATEWAY: &str = r#"{
  "mesh": "demo", "proxy": "edge", "namespace": "shop", "identity": "spiffe://organza.local/ns/shop/sa/edge",
  "role": { "gateway": { "gateway": "files/gateway/shop/edge", "ports": "preferred" } },
  "state": "edge", "svid": "edge/svid", "admin": "edge/admin.sock",
  "control": { "addresses": ["127.0.0.1:15012"], "trustRoots": "", "trustDomain": "organza.local" }
}"#;

#[test]
fn reads_what_it_writes() {
    let config = Config::parse(GATEWAY).unwrap();
    assert!(matches!(config.role, Role::Gateway { .. }));
    assert_eq!(Config::parse(&serde_json::to_string(&config).unwrap()).unwrap(), config);
    assert_eq!(config.control.identity().unwrap().to_string(), "spiffe://organza.local/ns/organza-system/sa/control");
}

#[test]
fn who_says_nothing_of_its_end_drains_and_lingers_as_long_as_the_limits_say() {
    let config = Config::parse(GATEWAY).unwrap();
    assert_eq!((config.drain_seconds, config.linger_seconds), (limits::DRAIN.as_secs(), limits::LINGER.as_secs()));
}

#[test]
fn a_file_is_of_so_many_bytes_and_no_more() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = |length: u64| format!("{GATEWAY}{}", " ".repeat(usize::try_from(length).unwrap() - GATEWAY.len()));
    std::fs::write(file.path(), text(limits::CONFIG_BYTES)).unwrap();
    assert!(Config::load(file.path()).is_ok());
    std::fs::write(file.path(), text(limits::CONFIG_BYTES + 1)).unwrap();
    assert!(matches!(Config::load(file.path()), Err(ConfigError::TooLarge(_))));
}

#[test]
fn wrong_documents_are_refused_by_field() {
    for (from, to, want) in [
        ("\"mesh\"", "\"mash\"", "missing field `mesh`"),
        ("files/gateway/shop/edge", "edge", "is no key"),
        ("spiffe://organza.local/ns/shop/sa/edge", "edge", "spiffe://"),
        ("\"ports\": \"preferred\"", "\"ports\": \"any\"", "unknown variant `any`"),
        ("\"127.0.0.1:15012\"", "", "control.addresses: is empty"),
        ("\"svid\":", "\"workers\": 0, \"svid\":", "workers: must be at least one"),
    ] {
        let error = Config::parse(&GATEWAY.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(want), "{error:?} does not say {want:?}");
    }
}

#[test]
fn beside_a_workload_metrics_are_shown_on_loopback_alone() {
    let metrics =
        |role: &str| Config::parse(&GATEWAY.replace("\"state\":", "\"metrics\": \"0.0.0.0:9000\", \"state\":").replace(GATEWAY_ROLE, role));
    assert!(metrics(GATEWAY_ROLE).is_ok(), "a gateway may be a pod");
    let error = metrics(r#"{ "workload": {} }"#).unwrap_err().to_string();
    assert!(error.contains("metrics: must be a loopback address"), "{error}");
}

#[test]
fn secrets_are_not_shown() {
    let role = r#""role": { "workload": { "outbound": { "address": "127.0.0.1:9", "secret": "0123456789abcdef" } } }"#;
    let (head, rest) = GATEWAY.split_once("\"role\"").unwrap();
    let tail = rest.split_once("} },").unwrap().1;
    let config = Config::parse(&format!("{head}{role},{tail}")).unwrap();
    assert!(!serde_json::to_string(&config.without_secrets()).unwrap().contains("0123456789abcdef"));
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
}

#[test]
fn fields_of_a_later_supervisor_are_skipped_wherever_they_stand() {
    let config = Config::parse(GATEWAY).unwrap();
    let later = |at: &str| GATEWAY.replace(at, &format!("\"later\": {{\"a\": [1]}}, {at}"));
    for at in ["\"mesh\"", "\"ports\"", "\"trustRoots\""] {
        assert_eq!(Config::parse(&later(at)).unwrap(), config, "{at}");
    }
    // Which release this is, is no part of it.
    assert!(!serde_json::to_string(&config).unwrap().contains(&config.release));
    assert_eq!(Config::parse(&GATEWAY.replace("\"mesh\"", "\"release\": \"0\", \"mesh\"")).unwrap().release, env!("CARGO_PKG_VERSION"));
}
