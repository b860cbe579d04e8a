use super::*;
use crate::tests::quiet::{Network, on, took};
use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use model::backend::UpstreamRoots;
use model::telemetry::{CollectorProtocol, SpanValue, SpanWords};
use model::{Certificate, ClientCertificates, HostPattern, Key, Source};
use rustls::time_provider::DefaultTimeProvider;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use telemetry::trace::carrier::Told;
use telemetry::{Destination, Outcome, Peer, Record, Reporter, Trace, TraceContext};
use testkit::outsider::{Issued, Outsider};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use transport::tls;
use wire::otlp::{LogRecord, LogsRequest, Span, TracesRequest, Value};

fn record(reporter: Reporter) -> Record {
    let peer = |name: &str| Arc::new(Peer::claimed(name, "shop", name, "v1", "", None));
    let mut record = Record::begin(UNIX_EPOCH + Duration::from_secs(1_790_000_000), reporter, peer("web"), peer("catalog"));
    record.duration = Duration::from_millis(20);
    record.status = 503;
    record.outcome = Outcome::Failed(model::Fault::NoEndpoint);
    record.reason = Some("nobody is there".into());
    record.path = "/items".into();
    record.dialled_service = Some(Arc::new(Destination { host: "catalog.shop".into(), name: "catalog".into(), namespace: "shop".into() }));
    let context = TraceContext { trace_id: [1; 16], span_id: [2; 8], sampled: true };
    let server = (reporter == Reporter::Gateway).then_some([3; 8]);
    record.trace = Some(Trace { context, told: Told::default(), server, dialled: Some(Duration::from_millis(5)) });
    record
}

fn sender() -> Sender {
    Sender { service: "web".into(), namespace: "shop".into(), version: "v1".into(), proxy: "web-1".into() }
}

type Heard = mpsc::UnboundedReceiver<(String, Bytes)>;

/// Path and body of each request, answered as one that took all.
async fn collector() -> (SocketAddr, Heard) {
    collector_by(None).await
}

async fn collector_by(tls: Option<TlsAcceptor>) -> (SocketAddr, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (told, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let told = told.clone();
            let answer = service_fn(move |request: Request<Incoming>| {
                let told = told.clone();
                async move {
                    let path = request.uri().path().to_owned();
                    let grpc = request.version() == hyper::Version::HTTP_2;
                    told.send((path, request.into_body().collect().await?.to_bytes())).ok();
                    let mut trailers = HeaderMap::new();
                    trailers.insert("grpc-status", "0".parse().unwrap());
                    let frames = if grpc { vec![Frame::data(Bytes::from_static(&[0; 5])), Frame::trailers(trailers)] } else { Vec::new() };
                    let body = StreamBody::new(futures_util::stream::iter(frames.into_iter().map(Ok::<_, hyper::Error>)));
                    let kind = if grpc { "application/grpc" } else { "application/x-protobuf" };
                    Ok::<_, hyper::Error>(Response::builder().header("content-type", kind).body(body).unwrap())
                }
            });
            let tls = tls.clone();
            tokio::spawn(async move {
                let builder = Builder::new(TokioExecutor::new());
                match tls {
                    None => drop(builder.serve_connection(TokioIo::new(stream), answer).await),
                    Some(tls) => {
                        // Who does not believe us is gone.
                        let Ok(stream) = tls.accept(stream).await else { return };
                        drop(builder.serve_connection(TokioIo::new(stream), answer).await);
                    }
                }
            });
        }
    });
    (address, heard)
}

fn at(address: SocketAddr, protocol: CollectorProtocol) -> Collector {
    Collector::parse(protocol, &format!("http://{address}"), UpstreamRoots::System).unwrap()
}

/// One look at what waits, as the task does it each second.
async fn tell(kind: &Kind, waiting: &Waiting, to: Option<&Collector>) -> (f64, f64) {
    crate::tests::bounded(kind.tell(waiting, to.map(To::Collector), &sender())).await;
    (kind.sent.get(), kind.dropped.get())
}

#[tokio::test]
async fn spans_go_by_grpc_and_by_http() {
    for (protocol, path) in [(CollectorProtocol::Grpc, wire::otlp::TRACES), (CollectorProtocol::Http, "/v1/traces")] {
        let (address, mut heard) = collector().await;
        let (queue, kind) = (Queue::default(), Kind::new(send::Path::Traces, "spans", &Metrics::new(), SystemRoots::OfMachine));
        let to = at(address, protocol);
        queue.span(&access_log::Once::of(&record(Reporter::Gateway)));
        assert_eq!(tell(&kind, &queue.spans, Some(&to)).await, (0.0, 0.0), "nobody had asked for it yet");
        queue.span(&access_log::Once::of(&record(Reporter::Gateway)));
        assert_eq!(tell(&kind, &queue.spans, Some(&to)).await, (1.0, 0.0));
        let (asked, body) = heard.recv().await.unwrap();
        assert_eq!(asked, path);
        let body = if protocol == CollectorProtocol::Grpc { body.slice(5..) } else { body };
        let request: TracesRequest = wire::otlp::read(&body).unwrap();
        let of = &request.resource_spans[0];
        let attributes = &of.resource.as_ref().unwrap().attributes;
        assert!(attributes.iter().any(|pair| pair.key == "service.name"));
        let spans: Vec<Span> = of.scope_spans[0].spans.iter().map(|span| wire::otlp::read(span).unwrap()).collect();
        let told: Vec<_> = spans.iter().map(|span| (span.span_id[0], span.parent_span_id.len(), span.kind)).collect();
        assert_eq!(told, [(3, 0, 2), (2, 8, 3)]);
        assert_eq!(spans[0].end_time_unix_nano - spans[0].start_time_unix_nano, 20_000_000);
        assert_eq!(spans[0].status.as_ref().unwrap().message, "no_endpoint: nobody is there");
        let status = spans[0].attributes.iter().find(|pair| pair.key == "http.response.status_code").unwrap();
        assert_eq!(status.value.as_ref().unwrap().value, Some(Value::Int(503)));
        assert!(spans[0].attributes.iter().any(|pair| pair.key == "organza.destination_service"));
    }
}

#[test]
fn what_a_policy_wants_told_besides_is_told() {
    let mut record = record(Reporter::Source);
    record.headers.request = vec![("x-tenant".into(), "blue".into())];
    let wanted = [
        ("env", SpanValue::Literal("prod".into())),
        ("tenant", SpanValue::Header("x-tenant".into())),
        ("status", SpanValue::Attribute("http.response.status_code".into())),
        ("called", SpanValue::Attribute("organza.destination_service".into())),
        ("none", SpanValue::Header("x-none".into())),
        ("nothing", SpanValue::Attribute("organza.nothing".into())),
    ];
    let attributes = wanted.map(|(name, value)| (name.into(), value)).into();
    let words = SpanWords { attributes, ..SpanWords::default() };
    let told = words::spans_of(access_log::Once::of(&record).json(), &words);
    let span: Span = wire::otlp::read(&told[0]).unwrap();
    let of = |name: &str| span.attributes.iter().find(|pair| pair.key == name).and_then(|pair| pair.value.clone()?.value);
    let text = |text: &str| Some(Value::Text(text.into()));
    assert_eq!((of("env"), of("tenant"), of("status")), (text("prod"), text("blue"), Some(Value::Int(503))));
    assert_eq!((of("called"), of("http.request.header.x-tenant")), (text("catalog.shop"), text("blue")));
    assert_eq!((of("none"), of("nothing"), of("organza.trace_id")), (None, None, None));
}

#[tokio::test]
async fn lines_go_as_log_records_with_their_trace() {
    let (address, mut heard) = collector().await;
    let (queue, kind) = (Queue::default(), Kind::new(send::Path::Logs, "lines", &Metrics::new(), SystemRoots::OfMachine));
    let to = at(address, CollectorProtocol::Http);
    tell(&kind, &queue.lines, Some(&to)).await;
    queue.line(&access_log::Once::of(&record(Reporter::Source)));
    assert_eq!(tell(&kind, &queue.lines, Some(&to)).await, (1.0, 0.0));
    let (path, body) = heard.recv().await.unwrap();
    let request: LogsRequest = wire::otlp::read(&body).unwrap();
    let record: LogRecord = wire::otlp::read(&request.resource_logs[0].scope_logs[0].log_records[0]).unwrap();
    assert_eq!(
        (&*path, record.severity_number, record.trace_id.len(), record.time_unix_nano),
        ("/v1/logs", 17, 16, 1_790_000_000_000_000_000)
    );
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_hangs_costs_counted_drops_and_no_request_waits() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for protocol in [CollectorProtocol::Grpc, CollectorProtocol::Http] {
        let to = at(listener.local_addr().unwrap(), protocol);
        let (queue, kind) = (Queue::default(), Kind::new(send::Path::Traces, "spans", &Metrics::new(), SystemRoots::OfMachine));
        tell(&kind, &queue.spans, Some(&to)).await;
        // No await here: whoever carries a request only writes it down.
        (0..limits::OTLP_LINES + 7).for_each(|_| queue.span(&access_log::Once::of(&record(Reporter::Source))));
        assert_eq!(*queue.spans.lost.lock().unwrap(), 7, "so many found no room");
        let local = tokio::task::LocalSet::new();
        local.run_until(kind.tell(&queue.spans, Some(To::Collector(&to)), &sender())).await;
        assert_eq!((kind.sent.get(), kind.dropped.get()), (0.0, limits::OTLP_LINES as f64 + 7.0));
    }
}

#[tokio::test]
async fn what_a_collector_refuses_is_dropped_and_so_is_what_nobody_takes() {
    let refused = SocketAddr::from(([127, 0, 0, 1], 1));
    let (queue, kind) = (Queue::default(), Kind::new(send::Path::Traces, "spans", &Metrics::new(), SystemRoots::OfMachine));
    tell(&kind, &queue.spans, Some(&at(refused, CollectorProtocol::Grpc))).await;
    queue.span(&access_log::Once::of(&record(Reporter::Source)));
    assert_eq!(tell(&kind, &queue.spans, Some(&at(refused, CollectorProtocol::Grpc))).await, (0.0, 1.0));
}

#[tokio::test]
async fn a_collector_by_tls_is_believed_by_its_roots_alone() {
    let (ours, theirs) = (Outsider::new("ours"), Outsider::new("theirs"));
    let Issued { chain, key } = ours.issue(&["localhost"]);
    let key_of = Key::new(Source::files(), model::Kind::Certificate, "shop", "collector");
    let shown = Arc::new(Certificate { key: key_of, chain: chain.into_bytes().into(), private_key: key.into_bytes().into() });
    let certificates = Arc::new(tls::Certificates::default());
    certificates.put([(HostPattern::Any, &*shown)]).unwrap();
    let config = tls::gateway_config(certificates, &ClientCertificates::Unasked, Arc::new(DefaultTimeProvider)).unwrap();
    for protocol in [CollectorProtocol::Grpc, CollectorProtocol::Http] {
        let acceptor = TlsAcceptor::from(config.clone());
        let (address, mut heard) = collector_by(Some(acceptor)).await;
        let url = format!("https://localhost:{}", address.port());
        let given = |of: &Outsider| UpstreamRoots::Given(of.root.as_bytes().into());
        let cases = [(given(&ours), "", true), (UpstreamRoots::System, &*ours.root, true), (given(&theirs), &*ours.root, false)];
        for (roots, system, believed) in cases {
            let to = Collector::parse(protocol, &url, roots).unwrap();
            let system = SystemRoots::Given(system.as_bytes().into());
            let (queue, kind) = (Queue::default(), Kind::new(send::Path::Traces, "spans", &Metrics::new(), system));
            tell(&kind, &queue.spans, Some(&to)).await;
            queue.span(&access_log::Once::of(&record(Reporter::Source)));
            let want = if believed { (1.0, 0.0) } else { (0.0, 1.0) };
            assert_eq!(tell(&kind, &queue.spans, Some(&to)).await, want, "{protocol:?} {to}");
            assert_eq!(heard.try_recv().is_ok(), believed);
        }
    }
}

#[tokio::test]
async fn what_waits_goes_in_requests_of_so_many() {
    let (address, mut heard) = collector().await;
    let (queue, kind) = (Queue::default(), Kind::new(send::Path::Logs, "lines", &Metrics::new(), SystemRoots::OfMachine));
    let to = at(address, CollectorProtocol::Http);
    tell(&kind, &queue.lines, Some(&to)).await;
    (0..=limits::OTLP_BATCH).for_each(|_| queue.line(&access_log::Once::of(&record(Reporter::Source))));
    assert_eq!(tell(&kind, &queue.lines, Some(&to)).await, (limits::OTLP_BATCH as f64 + 1.0, 0.0));
    let mut sizes = Vec::new();
    while let Ok((_, body)) = heard.try_recv() {
        let request: LogsRequest = wire::otlp::read(&body).unwrap();
        sizes.push(request.resource_logs[0].scope_logs[0].log_records.len());
    }
    assert_eq!(sizes, [limits::OTLP_BATCH, 1]);
}

#[test]
fn a_collector_is_given_so_long_and_is_read_up_to_a_length() {
    let to = at("10.0.0.1:4318".parse().unwrap(), CollectorProtocol::Http);
    let told = |network| {
        let (queue, kind) = (Queue::default(), Kind::new(send::Path::Logs, "lines", &Metrics::new(), SystemRoots::OfMachine));
        let ((), time) = on(network, async {
            kind.tell(&queue.lines, Some(To::Collector(&to)), &sender()).await;
            queue.line(&access_log::Once::of(&record(Reporter::Source)));
            took(kind.tell(&queue.lines, Some(To::Collector(&to)), &sender())).await
        });
        (kind.sent.get(), kind.dropped.get(), time)
    };
    assert_eq!(told(Network::Silent), (0.0, 1.0, limits::OTLP_TIME));
    // A field that nobody knows, as long as the rest of the answer; then of an answer that is too long all is left unread.
    let answer = |length: usize| format!("HTTP/1.1 503 No\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length));
    let why = |length: usize| {
        on(Network::says(answer(length)).0, async {
            send::send(&to, send::Path::Logs, &send::Trust::new(SystemRoots::OfMachine), &sender(), &["{}".to_owned()]).await.unwrap_err()
        })
    };
    assert_eq!(why(limits::OTLP_ANSWER), "it answered 503 Service Unavailable");
    assert_eq!(why(limits::OTLP_ANSWER + 1), "length limit exceeded");
}
