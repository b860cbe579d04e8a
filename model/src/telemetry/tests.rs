use super::*;

#[test]
fn collectors_are_read_with_their_usual_ports() {
    let told = |protocol, url: &str| Collector::parse(protocol, url).map(|collector| collector.to_string());
    use CollectorProtocol::{Grpc, Http};
    assert_eq!(told(Grpc, "http://127.0.0.1").as_deref(), Ok("http://127.0.0.1:4317"));
    assert_eq!(told(Http, "http://jaeger.observability.svc:4000/otlp/").as_deref(), Ok("http://jaeger.observability.svc:4000/otlp"));
    assert_eq!(told(Http, "http://[::1]").as_deref(), Ok("http://[::1]:4318"));
    assert_eq!(told(Grpc, "http://[::1]:9").as_deref(), Ok("http://[::1]:9"));
    for (protocol, url, why) in [
        (Grpc, "https://a", CollectorError::Tls),
        (Grpc, "a:4317", CollectorError::Scheme),
        (Grpc, "http://", CollectorError::Host),
        (Grpc, "http://a:0", CollectorError::Host),
        (Grpc, "http://a:b", CollectorError::Host),
        (Grpc, "http://user@a", CollectorError::Host),
        (Grpc, "http://a/b", CollectorError::Prefix),
        (Http, "http://a/b?c", CollectorError::Prefix),
    ] {
        assert_eq!(Collector::parse(protocol, url), Err(why), "{url}");
    }
}

#[test]
fn what_is_nearer_holds_field_by_field() {
    let wide = TelemetrySettings { share: Some(1), slower: Some(Duration::from_secs(1)), ..TelemetrySettings::default() };
    let near = TelemetrySettings { share: Some(0), lines: Some(Lines::Nothing), ..TelemetrySettings::default() };
    let both = near.over(&wide);
    assert_eq!((both.share, both.slower, both.lines), (Some(0), Some(Duration::from_secs(1)), Some(Lines::Nothing)));
}
