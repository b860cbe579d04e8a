use super::*;

#[test]
fn collectors_are_read_with_their_usual_ports() {
    let read = |protocol, url: &str| Collector::parse(protocol, url, UpstreamRoots::System);
    let told = |protocol, url: &str| read(protocol, url).map(|collector| collector.to_string());
    use CollectorProtocol::{Grpc, Http};
    assert_eq!(told(Grpc, "http://127.0.0.1").as_deref(), Ok("http://127.0.0.1:4317"));
    assert_eq!(told(Http, "http://jaeger.observability.svc:4000/otlp/").as_deref(), Ok("http://jaeger.observability.svc:4000/otlp"));
    assert_eq!(told(Http, "http://[::1]").as_deref(), Ok("http://[::1]:4318"));
    assert_eq!(told(Grpc, "https://otlp.example").as_deref(), Ok("https://otlp.example:4317"));
    assert_eq!(read(Grpc, "http://a").expect("a collector").tls, None);
    let tls = read(Http, "https://otlp.example/v2").expect("a collector").tls.expect("TLS");
    assert_eq!((tls.server_name.to_string().as_str(), &tls.roots), ("otlp.example", &UpstreamRoots::System));
    assert_eq!(read(Grpc, "http://a/b"), Err(UrlError::Prefix));
    assert_eq!(read(Http, "https://127.0.0.1"), Err(UrlError::Address));
}

#[test]
fn what_is_nearer_holds_field_by_field() {
    let wide = TelemetrySettings { share: Some(1), slower: Some(Duration::from_secs(1)), ..TelemetrySettings::default() };
    let near = TelemetrySettings { share: Some(0), lines: Some(Lines::Nothing), ..TelemetrySettings::default() };
    let both = near.over(&wide);
    assert_eq!((both.share, both.slower, both.lines), (Some(0), Some(Duration::from_secs(1)), Some(Lines::Nothing)));
}

#[test]
fn files_of_lines_have_plain_names_and_bounds() {
    assert!(LineFile::new("access.log", 1 << 20, 4).is_ok());
    for name in ["", ".bashrc", "../x", "a/b", "a b", &"a".repeat(limits::LINE_FILE_NAME + 1)] {
        assert!(LineFile::new(name, 1 << 20, 4).is_err(), "{name}");
    }
    for (bytes, kept) in [(limits::LINE_FILE_BYTES.0 - 1, 0), (limits::LINE_FILE_BYTES.1 + 1, 0), (1 << 20, limits::LINE_FILES + 1)] {
        assert!(LineFile::new("a", bytes, kept).is_err(), "{bytes} {kept}");
    }
}
