use super::*;
use clap::Parser;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: RunArgs,
}

fn labels(line: &[&str]) -> Vec<(String, String)> {
    let parsed = Line::try_parse_from(std::iter::once(&"run").chain(line)).expect("a line that clap takes");
    member(&parsed.args).labels
}

#[test]
fn a_locality_becomes_the_labels_that_kubernetes_has_for_it_unless_they_are_given() {
    let has = |labels: &[(String, String)], name: &str| labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.clone());
    let both = labels(&["--service", "web", "--port", "8000", "--locality", "eu/eu-1"]);
    assert_eq!((has(&both, Locality::REGION_LABEL).as_deref(), has(&both, Locality::ZONE_LABEL).as_deref()), (Some("eu"), Some("eu-1")));
    let zone = format!("{}=eu-2", Locality::ZONE_LABEL);
    let given = labels(&["--locality", "eu/eu-1", "--label", &zone]);
    assert_eq!(has(&given, Locality::ZONE_LABEL).as_deref(), Some("eu-2"));
    assert_eq!(has(&labels(&["--locality", "eu"]), Locality::ZONE_LABEL), None);
    assert!(!labels(&[]).iter().any(|(label, _)| label.starts_with("topology")));
    assert!(Line::try_parse_from(["run", "--locality", "eu/"]).is_err());
}

#[test]
fn an_upstream_is_a_service_of_ones_own_namespace_or_of_another() {
    let read = |text: &str| upstream(text).ok().map(|of| (of.host, of.port, of.local));
    assert_eq!(read("catalog=9001"), Some(("catalog".into(), 80, 9001)));
    assert_eq!(read("catalog:8080=9001"), Some(("catalog".into(), 8080, 9001)));
    assert_eq!(read("shop/catalog:8080=9001"), Some(("catalog.shop".into(), 8080, 9001)));
    for wrong in ["catalog", "=9001", "catalog=", "catalog:=9001", "/catalog=9001", "shop/=9001", "a/b/c=9001"] {
        assert_eq!(read(wrong), None, "{wrong}");
    }
}

#[test]
fn a_stream_is_called_what_a_reader_can_go_to() {
    let told = |link: &str| stream_of(Some(link.into()));
    assert_eq!(told("/dev/pts/3"), "the terminal /dev/pts/3");
    assert_eq!(told("/var/log/web.log"), "/var/log/web.log");
    assert!(told("pipe:[4711]").starts_with("a pipe"));
    assert!(told("socket:[4711]").contains("journalctl"));
    assert!(stream_of(None).starts_with("a pipe"));
}
