//! Both sides against each other and, where it matters that we do not merely agree with ourselves, against the `h2` crate used directly.

mod hostile;
mod oracle;
mod standing;

use super::*;
use crate::body::{Incoming, Length, Outgoing, pump};
use crate::limits;
use crate::rt::{self, Stream};
use bytes::{Bytes, BytesMut};
use model::{Method, RequestHead, ResponseHead, Scheme};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, work)
}

/// Our client on a connection to our server, which handles each exchange so.
async fn pair<F: Future<Output = ()> + 'static>(handle: impl Fn(Exchange) -> F + 'static) -> Client {
    let (a, b) = Stream::pair(1 << 16);
    rt::spawn(async move {
        let server = Server::new(b, BytesMut::new(), Who::Stranger).await.unwrap();
        let _ = serve(server, std::future::pending(), handle).await;
    });
    Client::new(a, BytesMut::new()).await.unwrap()
}

/// The `h2` crate's own client on a connection to our server.
async fn strange_client<F: Future<Output = ()> + 'static>(handle: impl Fn(Exchange) -> F + 'static) -> ::h2::client::SendRequest<Bytes> {
    let (a, b) = Stream::pair(1 << 16);
    rt::spawn(async move {
        let server = Server::new(b, BytesMut::new(), Who::Stranger).await.unwrap();
        let _ = serve(server, std::future::pending(), handle).await;
    });
    let (send, connection) = ::h2::client::handshake(a).await.unwrap();
    rt::spawn(async move { drop(connection.await) });
    send
}

fn post(path: &str) -> RequestHead {
    let mut head = RequestHead::default();
    head.method = Method::Post;
    head.scheme = Scheme::Https;
    head.set_authority("catalog.shop:8080");
    head.set_target(path);
    head
}

async fn echo(exchange: Exchange) {
    let Exchange { head, body, responder } = exchange;
    let mut answer = ResponseHead::with_status(200);
    answer.headers.push("x-path", head.target().as_bytes());
    let writer = responder.respond(&answer, Length::Open).unwrap();
    // A client that gives up in between is part of some tests.
    let _ = pump(&mut Incoming::H2(body), &mut Outgoing::H2(writer), &mut 0).await;
}

async fn text(body: &mut BodyReader) -> Result<String, Error> {
    let mut all = Vec::new();
    while let Some(piece) = body.chunk().await? {
        all.extend_from_slice(&piece);
    }
    Ok(String::from_utf8(all).unwrap())
}

#[test]
fn a_request_goes_over_and_its_answer_comes_back_with_trailers() {
    run(async {
        let client = pair(echo).await;
        let (mut writer, mut answer) = client.request(&post("/a?b=c"), Length::Known(5)).unwrap();
        let mut trailers = model::HeaderBlock::default();
        trailers.push("Grpc-Status", b"0");
        writer.send(Bytes::from_static(b"he")).await.unwrap();
        writer.send(Bytes::from_static(b"llo")).await.unwrap();
        writer.finish(Some(&trailers)).await.unwrap();
        let mut head = ResponseHead::default();
        let mut body = answer.head(&mut head).await.unwrap().unwrap();
        assert_eq!((head.status, head.headers.text("x-path")), (200, Some("/a?b=c")));
        assert_eq!(text(&mut body).await.unwrap(), "hello");
        assert_eq!(body.trailers().unwrap().text("grpc-status"), Some("0"));
        assert_eq!(client.active(), 1);
        drop((writer, answer, body));
        assert_eq!(client.active(), 0);
    });
}

#[test]
fn both_directions_stream_at_once() {
    run(async {
        let client = pair(echo).await;
        let (mut writer, mut answer) = client.request(&post("/"), Length::Open).unwrap();
        let mut head = ResponseHead::default();
        let mut body = answer.head(&mut head).await.unwrap().unwrap();
        for piece in ["one", "two", "three"] {
            writer.send(Bytes::from(piece)).await.unwrap();
            assert_eq!(body.chunk().await.unwrap().unwrap(), piece);
        }
        writer.finish(None).await.unwrap();
        assert_eq!(body.chunk().await.unwrap(), None);
    });
}

#[test]
fn a_slow_reader_stops_the_sender() {
    run(async {
        let client = pair(echo).await;
        let (mut writer, mut answer) = client.request(&post("/"), Length::Open).unwrap();
        let sent = Rc::new(Cell::new(0usize));
        let count = sent.clone();
        rt::spawn(async move {
            while writer.send(Bytes::from(vec![0; 8192])).await.is_ok() {
                count.set(count.get() + 8192);
            }
        });
        let mut head = ResponseHead::default();
        let mut body = answer.head(&mut head).await.unwrap().unwrap();
        let settle = || rt::sleep(std::time::Duration::from_secs(1));
        settle().await;
        let before = sent.get();
        // Two windows, two send buffers, the pipes between, and the piece in the echo's hands.
        let most = 4 * limits::H2_STREAM_WINDOW as usize + (4 << 16);
        assert!(before > 0 && before <= most, "{before} bytes went out, nothing was read");
        let mut read = 0;
        while read < 1 << 20 {
            read += body.chunk().await.unwrap().unwrap().len();
        }
        settle().await;
        assert!(sent.get() > before && sent.get() - read <= most, "{} sent, {read} read", sent.get());
    });
}

#[test]
fn a_client_that_gives_up_is_noticed_and_its_code_is_told() {
    run(async {
        let seen = Rc::new(RefCell::new(None));
        let told = seen.clone();
        let mut client = strange_client(move |mut exchange: Exchange| {
            let told = told.clone();
            async move {
                let error = exchange.responder.gone().await;
                *told.borrow_mut() = Some((error.fault, error.reset));
            }
        })
        .await;
        let request = http::Request::post("http://a/").body(()).unwrap();
        let (_response, mut send) = client.send_request(request, false).unwrap();
        rt::sleep(std::time::Duration::from_millis(1)).await;
        send.send_reset(::h2::Reason::CANCEL);
        rt::sleep(std::time::Duration::from_millis(1)).await;
        assert_eq!(*seen.borrow(), Some((Fault::DownstreamClosed, Some(code::CANCEL))));
    });
}

/// What our client makes of a server that answers each stream so.
async fn refusal(answer: impl Fn(::h2::server::SendResponse<Bytes>) + 'static) -> Error {
    let (a, b) = Stream::pair(1 << 16);
    rt::spawn(async move {
        let mut connection = ::h2::server::handshake(b).await.unwrap();
        while let Some(Ok((_request, send))) = connection.accept().await {
            answer(send);
        }
    });
    let client = Client::new(a, BytesMut::new()).await.unwrap();
    let (_writer, mut coming) = client.request(&post("/"), Length::None).unwrap();
    coming.head(&mut ResponseHead::default()).await.unwrap_err()
}

#[test]
fn a_refused_stream_may_be_tried_again_and_another_reset_says_its_code() {
    run(async {
        let refused = refusal(|mut send| send.send_reset(::h2::Reason::REFUSED_STREAM)).await;
        assert!(refused.is_unprocessed() && refused.nothing_received, "{refused:?}");
        let other = refusal(|mut send| send.send_reset(::h2::Reason::ENHANCE_YOUR_CALM)).await;
        assert_eq!((other.fault, other.reset, other.is_unprocessed()), (Fault::UpstreamReset, Some(0xb), false));
    });
}

#[test]
fn an_answer_that_breaks_off_is_no_whole_answer() {
    run(async {
        let client = pair(|exchange: Exchange| async move {
            let mut writer = exchange.responder.respond(&ResponseHead::with_status(200), Length::Open).unwrap();
            writer.send(Bytes::from_static(b"half")).await.unwrap();
            rt::sleep(std::time::Duration::from_millis(1)).await;
        })
        .await;
        let (_writer, mut answer) = client.request(&post("/"), Length::None).unwrap();
        let mut body = answer.head(&mut ResponseHead::default()).await.unwrap().unwrap();
        let error = text(&mut body).await.unwrap_err();
        assert_eq!((error.fault, error.reset), (Fault::UpstreamReset, Some(code::INTERNAL_ERROR)));
    });
}

#[test]
fn a_body_shorter_or_longer_than_announced_is_an_error_of_ours() {
    run(async {
        let client = pair(echo).await;
        let (mut writer, _answer) = client.request(&post("/"), Length::Known(3)).unwrap();
        writer.send(Bytes::from_static(b"ab")).await.unwrap();
        assert!(writer.finish(None).await.is_err());
        let (mut writer, _answer) = client.request(&post("/"), Length::Known(3)).unwrap();
        assert!(writer.send(Bytes::from_static(b"abcd")).await.is_err());
    });
}

#[test]
fn the_servers_number_of_streams_is_kept_to() {
    run(async {
        let client = pair(|exchange: Exchange| async move {
            let _held = exchange;
            std::future::pending::<()>().await;
        })
        .await;
        rt::sleep(std::time::Duration::from_millis(1)).await;
        let open: Vec<_> = (0..limits::H2_STREAMS).map(|_| client.request(&post("/"), Length::None).unwrap()).collect();
        assert!(!client.has_room());
        assert!(client.request(&post("/"), Length::None).unwrap_err().is_unprocessed());
        drop(open);
        assert!(client.has_room());
    });
}

#[test]
fn after_goaway_what_is_under_way_ends_well_and_nothing_new_begins() {
    run(async {
        let (a, b) = Stream::pair(1 << 16);
        let (drain, drained) = tokio::sync::oneshot::channel::<()>();
        let ended = Rc::new(Cell::new(false));
        let tell = ended.clone();
        rt::spawn(async move {
            let server = Server::new(b, BytesMut::new(), Who::Stranger).await.unwrap();
            serve(server, async move { drop(drained.await) }, echo).await.unwrap();
            tell.set(true);
        });
        let client = Client::new(a, BytesMut::new()).await.unwrap();
        let (mut writer, mut answer) = client.request(&post("/"), Length::Open).unwrap();
        let mut body = answer.head(&mut ResponseHead::default()).await.unwrap().unwrap();
        drain.send(()).unwrap();
        rt::sleep(std::time::Duration::from_millis(5)).await;
        assert!(!client.is_usable() && !ended.get());
        writer.send(Bytes::from_static(b"late")).await.unwrap();
        writer.finish(None).await.unwrap();
        assert_eq!(text(&mut body).await.unwrap(), "late");
        rt::sleep(std::time::Duration::from_millis(5)).await;
        assert!(ended.get());
    });
}

/// The status that our server gives to this request, and the cookies that its handler saw.
async fn asked(request: http::Request<()>) -> (u16, String) {
    let mut client = strange_client(|exchange: Exchange| async move {
        let mut head = ResponseHead::with_status(200);
        head.headers.push("x-cookie", exchange.head.headers.get("cookie").unwrap_or(b""));
        head.headers.push("x-host", exchange.head.authority().as_bytes());
        assert!(!exchange.head.headers.contains("host"));
        exchange.responder.respond(&head, Length::None).unwrap();
    })
    .await;
    let response = client.send_request(request, true).unwrap().0.await.unwrap();
    let text = |name| response.headers().get(name).and_then(|v: &http::HeaderValue| v.to_str().ok()).unwrap_or("").to_owned();
    (response.status().as_u16(), format!("{}|{}", text("x-host"), text("x-cookie")))
}

#[test]
fn heads_that_could_be_read_in_two_ways_are_refused() {
    run(async {
        let get = || http::Request::get("http://a:1/").version(http::Version::HTTP_2);
        assert_eq!(asked(get().header("cookie", "x=1").header("cookie", "y=2").body(()).unwrap()).await, (200, "a:1|x=1; y=2".into()));
        // An empty one leaves no trace: white space at an end is seen by one reader and not by the next.
        for crumbs in [["", "x=1", "y=2"], ["x=1", "", "y=2"], ["x=1", "y=2", ""]] {
            let request = crumbs.iter().fold(get(), |request, crumb| request.header("cookie", *crumb)).body(()).unwrap();
            assert_eq!(asked(request).await, (200, "a:1|x=1; y=2".into()), "{crumbs:?}");
        }
        assert_eq!(asked(get().header("host", "A:1").body(()).unwrap()).await.0, 200);
        assert_eq!(asked(get().header("host", "b").body(()).unwrap()).await.0, 400);
        assert_eq!(asked(get().header("host", "a:1").header("host", "a:1").body(()).unwrap()).await.0, 400);
        assert_eq!(asked(get().header("x", " padded").body(()).unwrap()).await.0, 400);
        assert_eq!(asked(get().header("content-length", "0").header("content-length", "0").body(()).unwrap()).await.0, 400);
        assert_eq!(asked(http::Request::get("http://user@a/").body(()).unwrap()).await.0, 400);
    });
}

#[test]
fn an_upgrade_crosses_as_extended_connect() {
    run(async {
        let client = pair(|exchange: Exchange| async move {
            assert_eq!((&exchange.head.method, exchange.head.protocol.as_deref()), (&Method::Connect, Some("websocket")));
            assert_eq!((exchange.head.target(), exchange.head.scheme), ("/chat", Scheme::Https));
            echo(exchange).await;
        })
        .await;
        let mut head = post("/chat");
        head.method = Method::Connect;
        head.protocol = Some("websocket".into());
        assert!(!client.takes_upgrades());
        rt::sleep(std::time::Duration::from_millis(1)).await;
        let (mut writer, mut answer) = client.request(&head, Length::Open).unwrap();
        let mut body = answer.head(&mut ResponseHead::default()).await.unwrap().unwrap();
        writer.send(Bytes::from_static(b"frame")).await.unwrap();
        assert_eq!(body.chunk().await.unwrap().unwrap(), "frame");
    });
}

#[test]
fn a_request_that_was_begun_is_not_called_unprocessed_when_the_server_goes() {
    run(async {
        let (a, b) = Stream::pair(1 << 16);
        rt::spawn(async move {
            let mut connection = ::h2::server::handshake(b).await.unwrap();
            let _begun = connection.accept().await.unwrap().unwrap();
            connection.abrupt_shutdown(::h2::Reason::NO_ERROR);
            let _ = std::future::poll_fn(|cx| connection.poll_closed(cx)).await;
        });
        let client = Client::new(a, BytesMut::new()).await.unwrap();
        let (_writer, mut coming) = client.request(&post("/"), Length::None).unwrap();
        let error = coming.head(&mut ResponseHead::default()).await.unwrap_err();
        assert!(!error.is_unprocessed() && error.nothing_received, "{error:?}");
    });
}

#[test]
fn a_client_that_gives_up_in_between_cancels_upstream_while_nothing_moves() {
    run(async {
        let seen = Rc::new(RefCell::new(None));
        let told = seen.clone();
        let upstream = pair(move |exchange: Exchange| {
            let told = told.clone();
            async move {
                let mut writer = exchange.responder.respond(&ResponseHead::with_status(200), Length::Open).unwrap();
                writer.send(Bytes::from_static(b"one")).await.unwrap();
                *told.borrow_mut() = writer.gone().await.reset;
            }
        })
        .await;
        let mut client = strange_client(move |exchange: Exchange| {
            let upstream = upstream.clone();
            async move {
                let (_, mut answer) = upstream.request(&exchange.head, Length::None).unwrap();
                let mut head = ResponseHead::default();
                let body = answer.head(&mut head).await.unwrap().unwrap();
                let writer = exchange.responder.respond(&head, Length::Open).unwrap();
                let (side, error) = pump(&mut Incoming::H2(body), &mut Outgoing::H2(writer), &mut 0).await.unwrap_err();
                assert_eq!((side, error.fault), (crate::body::Side::To, Fault::DownstreamClosed));
            }
        })
        .await;
        let request = http::Request::get("http://a/").body(()).unwrap();
        let mut response = client.send_request(request, true).unwrap().0.await.unwrap();
        assert_eq!(response.body_mut().data().await.unwrap().unwrap(), "one");
        drop(response);
        rt::sleep(std::time::Duration::from_millis(5)).await;
        assert_eq!(*seen.borrow(), Some(code::CANCEL));
    });
}

#[test]
fn an_upstream_that_ends_within_a_frame_header_ends() {
    run(async {
        let (mut server, upstream) = Stream::pair(1 << 16);
        let client = Client::new(upstream, BytesMut::new()).await.unwrap();
        let (_writer, mut answer) = client.request(&post("/"), Length::None).unwrap();
        server.write_all(b"\0\0\x01\0\0\0\0").await.unwrap();
        drop(server);
        let error = answer.head(&mut ResponseHead::default()).await.unwrap_err();
        assert_eq!((error.fault, error.nothing_received, client.is_usable()), (Fault::UpstreamReset, true, false));
    });
}

#[test]
fn streams_end_with_who_moves_their_bytes() {
    run(async {
        let (mut a, b) = Stream::pair(1 << 16);
        a.write_all(CLIENT_PREFACE).await.unwrap();
        // SETTINGS, and a request whose body is still to come.
        a.write_all(b"\0\0\0\x04\0\0\0\0\0\0\0\x06\x01\x04\0\0\0\x01\x83\x86\x84\x41\x01a").await.unwrap();
        let mut server = Server::new(b, BytesMut::new(), Who::Stranger).await.unwrap();
        let mut exchange = server.next().await.unwrap().unwrap();
        drop(server);
        assert_eq!(exchange.body.chunk().await.unwrap_err().fault, Fault::DownstreamClosed);
        assert_eq!(exchange.responder.gone().await.fault, Fault::DownstreamClosed);
    });
}

/// Time goes on only where nobody has anything to do.
#[test]
fn a_machine_that_is_gone_without_a_word_ends_what_waits_and_gets_nothing_more_meanwhile() {
    run(async {
        let begun = tokio::time::Instant::now();
        let (stream, _there) = rt::Gone::machine();
        let client = Client::new(stream, BytesMut::new()).await.unwrap();
        let (_body, mut answer) = client.request(&post("/"), Length::None).unwrap();
        tokio::time::sleep(limits::UNACKNOWLEDGED / 2).await;
        assert!(client.has_room(), "it may think");
        tokio::time::sleep(limits::UNACKNOWLEDGED).await;
        assert!(client.is_usable() && !client.has_room(), "nothing begins where it may be lost");
        let error = answer.head(&mut ResponseHead::default()).await.unwrap_err();
        assert!(error.gone && error.nothing_received, "{error}");
        let took = begun.elapsed();
        assert!(took >= limits::UNACKNOWLEDGED_EFFECT && took <= limits::UNACKNOWLEDGED_EFFECT + limits::UNACKNOWLEDGED_PROBE, "{took:?}");
        assert!(!client.is_usable());
    });
}

#[test]
fn a_machine_that_is_heard_of_again_in_time_is_as_before() {
    run(async {
        let (stream, mut there) = rt::Gone::machine();
        let client = Client::new(stream, BytesMut::new()).await.unwrap();
        let (_body, mut answer) = client.request(&post("/"), Length::None).unwrap();
        tokio::time::sleep(limits::UNACKNOWLEDGED_EFFECT * 3 / 4).await;
        assert!(!client.has_room());
        // SETTINGS, and the answer: `:status: 204`.
        there.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        there.write_all(&[0, 0, 1, 1, 5, 0, 0, 0, 1, 0x89]).await.unwrap();
        let mut head = ResponseHead::default();
        answer.head(&mut head).await.unwrap();
        assert_eq!(head.status, 204);
        assert!(client.has_room());
        // Who has nothing to wait for doubts nobody, and who asks after a long rest waits as long as another.
        drop(answer);
        tokio::time::sleep(limits::UNACKNOWLEDGED_EFFECT * 2).await;
        let _asked = client.request(&post("/"), Length::None).unwrap();
        tokio::time::sleep(limits::UNACKNOWLEDGED / 2).await;
        assert!(client.has_room());
    });
}

/// The alarm of a wait that was over goes off within the next one, too early for that.
#[test]
fn a_machine_that_goes_while_a_connection_is_busy_is_missed_all_the_same() {
    for answered in [limits::UNACKNOWLEDGED / 2, limits::UNACKNOWLEDGED - Duration::from_millis(50)] {
        run(async {
            let (stream, mut there) = rt::Gone::machine();
            let client = Client::new(stream, BytesMut::new()).await.unwrap();
            let (_body, mut answer) = client.request(&post("/"), Length::None).unwrap();
            tokio::time::sleep(answered).await;
            // SETTINGS, and the answer: `:status: 204`.
            there.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
            there.write_all(&[0, 0, 1, 1, 5, 0, 0, 0, 1, 0x89]).await.unwrap();
            answer.head(&mut ResponseHead::default()).await.unwrap();
            let asked = tokio::time::Instant::now();
            let (_body, mut answer) = client.request(&post("/"), Length::None).unwrap();
            let mut head = ResponseHead::default();
            let answered = tokio::time::timeout(limits::BODY_IDLE, answer.head(&mut head)).await;
            let error = answered.expect("it is missed before its caller gives up").unwrap_err();
            assert!(error.gone, "{error}");
            assert!(asked.elapsed() <= limits::UNACKNOWLEDGED_EFFECT + limits::UNACKNOWLEDGED_PROBE, "{:?}", asked.elapsed());
        });
    }
}

/// What waits on a stream of a connection that many share hears of it, too.
#[test]
fn what_is_carried_within_a_stream_is_told_that_the_machine_is_gone() {
    run(async {
        let (stream, mut there) = rt::Gone::machine();
        let client = Client::new(stream, BytesMut::new()).await.unwrap();
        let mut connect = post("/");
        connect.method = Method::Connect;
        there.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        // `:status: 200`.
        there.write_all(&[0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88]).await.unwrap();
        let tunnel = Tunnel::open(&client, &connect).await.unwrap();
        let mut inside = crate::h1::Connection::new(Stream::Tunnel(Box::new(tunnel)));
        tokio::time::sleep(limits::UNACKNOWLEDGED).await;
        inside.writer.hold_first(b"GET / HTTP/1.1\r\n\r\n");
        inside.writer.flush().await.unwrap();
        let error = inside.reader.response(&mut ResponseHead::default(), &Method::Get).await.unwrap_err();
        assert!(error.gone && error.nothing_received, "{error}");
    });
}

#[test]
fn who_shuts_the_window_of_what_is_carried_within_a_stream_is_told_so_and_counted_by_that_name() {
    run(async {
        let told = Rc::new(RefCell::new(Vec::new()));
        let (a, b) = Stream::pair(1 << 16);
        let heard = told.clone();
        rt::spawn(async move {
            let mut server = Server::new(b, BytesMut::new(), Who::Member).await.unwrap();
            server.when_reset(move |cause| heard.borrow_mut().push(cause));
            let carry = |Exchange { body, responder, .. }: Exchange| async move {
                let writer = responder.respond(&ResponseHead::with_status(200), Length::Open).unwrap();
                let mut within = crate::h1::Connection::new(Stream::Tunnel(Box::new(Tunnel::new(body, writer))));
                let (mut answer, size) = (ResponseHead::with_status(200), 1 << 22);
                let length = Length::Known(size as u64);
                let mut body = within.writer.response(&mut answer, length, &Method::Get, model::Version::Http11, &mut false, None);
                body.send(&vec![b'x'; size]).await.unwrap_err();
            };
            let _ = serve(server, std::future::pending(), carry).await;
        });
        let client = Client::new(a, BytesMut::new()).await.unwrap();
        let (_writer, mut answer) = client.request(&post("/"), Length::Open).unwrap();
        let mut body = answer.head(&mut ResponseHead::default()).await.unwrap().unwrap();
        rt::sleep(limits::BODY_IDLE * 2).await;
        let error = text(&mut body).await.unwrap_err();
        assert_eq!(error.reset, Some(code::ENHANCE_YOUR_CALM));
        assert_eq!(*told.borrow(), ["h2_window_shut"]);
    });
}
