//! Exact bytes in, exact meaning out. What two readers could take differently must be refused.

use super::*;
use crate::body::{Incoming, Length, Outgoing, pump};
use crate::limits;
use bytes::Bytes;
use model::{Fault, Method, RequestHead, ResponseHead, Version};
use proptest::prelude::*;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, work)
}

/// What a server makes of these bytes, given in pieces: per request its head, its body, and at last why it stopped.
async fn serve(pieces: Vec<Vec<u8>>) -> (Vec<(RequestHead, Vec<u8>)>, Option<Fault>) {
    let (mut client, server) = Stream::pair(1 << 20);
    crate::rt::spawn(async move {
        for piece in pieces {
            client.write_all(&piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        client.shutdown().await.unwrap();
        // The other direction stays open until the server is done.
        let mut rest = Vec::new();
        let _ = client.read_to_end(&mut rest).await;
    });
    let mut connection = Connection::new(server);
    let mut requests = Vec::new();
    loop {
        let mut head = RequestHead::default();
        let framing = match connection.reader.request(&mut head, Duration::from_secs(1)).await {
            Ok(Some(framing)) => framing,
            Ok(None) => return (requests, None),
            Err(e) => return (requests, Some(e.fault)),
        };
        let mut body = Incoming::H1(connection.reader.body(framing, Fault::MalformedRequest));
        let mut bytes = Vec::new();
        loop {
            match body.chunk().await {
                Ok(Some(piece)) => bytes.extend_from_slice(&piece),
                Ok(None) => break,
                Err(e) => return (requests, Some(e.fault)),
            }
        }
        requests.push((head, bytes));
    }
}

fn one(text: &str) -> (Vec<(RequestHead, Vec<u8>)>, Option<Fault>) {
    run(serve(vec![text.as_bytes().to_vec()]))
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let bad = [
        ("both lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("two equal lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
        ("a list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc"),
        ("a signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc"),
        ("a negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc"),
        ("a huge length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n"),
        ("an empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n"),
        ("another coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        ("an odd coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ("two codings", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("a coding in 1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("a bare LF", "GET / HTTP/1.1\nHost: a\r\n\r\n"),
        ("a bare LF in the fields", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"),
        ("a bare CR", "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"),
        ("a NUL", "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"),
        ("a folded line", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n"),
        ("a space before the colon", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc"),
        ("no host", "GET / HTTP/1.1\r\nX: a\r\n\r\n"),
        ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        ("a user in the host", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
        ("a path in the host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        ("hosts that differ", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a fragment", "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("an angle bracket in the path", "GET /a<b HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a backtick in the path", "GET http://a/a`b HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a quote in the query", "GET /?a=\"b HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("an escape in the host", "GET / HTTP/1.1\r\nHost: a%2eb\r\n\r\n"),
        ("an escape in a tunnel's host", "CONNECT a%2eb:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("no path", "GET a HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a star for GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("CONNECT without a port", "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("two empty lines before a request", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a bad chunk size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
        ("a signed chunk size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n"),
        ("a hexadecimal prefix", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n"),
        ("a chunk size too long", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n00000000000000003\r\nabc\r\n0\r\n\r\n"),
        ("a chunk longer than its size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n"),
        ("a chunk line ended by LF", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n"),
        ("a bare CR behind a chunk size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\r\nabc\r\n0\r\n\r\n"),
        ("a form feed behind a chunk size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\x0c;a\r\nabc\r\n0\r\n\r\n"),
        ("a bare CR in a chunk extension", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a\rb\r\nabc\r\n0\r\n\r\n"),
    ];
    for (what, text) in bad {
        let (requests, fault) = one(text);
        assert_eq!(fault, Some(Fault::MalformedRequest), "{what} must be refused, got {requests:?}");
        assert!(requests.is_empty(), "{what}");
    }
}

#[test]
fn sizes_and_versions_have_their_own_answers() {
    // By the figures that are written for users.
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(64 * 1024));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: y\r\n".repeat(128));
    assert_eq!([&long, &many].map(|text| one(text).1), [Some(Fault::HeadTooLarge); 2]);
    assert_eq!(one("GET / HTTP/2.0\r\nHost: a\r\n\r\n").1, Some(Fault::UnsupportedVersion));
    let extension = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;{}", "a".repeat(limits::CHUNK_LINE_BYTES));
    assert_eq!(one(&extension).1, Some(Fault::MalformedRequest));
    let line = |bytes: usize| {
        let extension = "a".repeat(bytes - "3;\r\n".len());
        one(&format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;{extension}\r\nabc\r\n0\r\n\r\n"))
    };
    assert_eq!((line(limits::CHUNK_LINE_BYTES).0.len(), line(limits::CHUNK_LINE_BYTES + 1).1), (1, Some(Fault::MalformedRequest)));
    assert_eq!(one("GET / HTTP/1.1\r\nHost: a\r\n").1, Some(Fault::DownstreamClosed));
    // An unsupported version is what is HTTP at least.
    assert_eq!(one("GET / HTTP/01.1\r\nHost: a\r\n\r\n").1, Some(Fault::MalformedRequest));
    let many = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        format!("1;{}\r\nx\r\n", "a".repeat(200)).repeat(100)
    );
    assert_eq!(one(&many).1, Some(Fault::MalformedRequest));
}

#[test]
fn slow_heads_end_by_time_and_idle_ones_quietly() {
    run(async {
        let (mut client, server) = Stream::pair(1024);
        let mut connection = Connection::new(server);
        client.write_all(b"GET / HT").await.unwrap();
        let begun = tokio::time::Instant::now();
        let error = connection.reader.request(&mut RequestHead::default(), Duration::from_secs(1)).await.unwrap_err();
        assert_eq!((error.fault, begun.elapsed().as_secs()), (Fault::SlowRequest, limits::HEAD_TIME.as_secs()));
        let (_client, server) = Stream::pair(1024);
        let mut connection = Connection::new(server);
        let begun = tokio::time::Instant::now();
        assert!(connection.reader.request(&mut RequestHead::default(), crate::Bounds::default().idle).await.unwrap().is_none());
        assert_eq!(begun.elapsed().as_secs(), limits::KEEP_ALIVE.as_secs());
    });
}

#[test]
fn a_first_line_without_a_version_is_refused_at_once() {
    run(async {
        for line in [&b"GET /\r\n"[..], b"GET / \r\n", b"\r\nGET /x\r\nHost: a\r\n", b"GET / HTTP/1.1 \r\n"] {
            let (mut client, server) = Stream::pair(1024);
            let mut connection = Connection::new(server);
            for half in [&line[..4], &line[4..]] {
                client.write_all(half).await.unwrap();
            }
            let begun = tokio::time::Instant::now();
            let error = connection.reader.request(&mut RequestHead::default(), Duration::from_secs(1)).await.unwrap_err();
            assert_eq!((error.fault, begun.elapsed()), (Fault::MalformedRequest, Duration::ZERO), "{line:?}");
        }
    });
}

#[test]
fn the_forms_of_a_target_are_read() {
    for (text, authority, target) in [
        ("GET /a?b HTTP/1.1\r\nHost: x:80\r\n\r\n", "x:80", "/a?b"),
        ("GET http://x/a?b HTTP/1.1\r\nHost: x\r\n\r\n", "x", "/a?b"),
        ("GET http://x HTTP/1.1\r\nHost: x\r\n\r\n", "x", "/"),
        ("GET http://x?q HTTP/1.1\r\nHost: x\r\n\r\n", "x", "/?q"),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "x", "*"),
        ("CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", "x:443", ""),
        ("GET / HTTP/1.0\r\n\r\n", "", "/"),
        ("\r\nGET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "[::1]:80", "/"),
    ] {
        let (requests, fault) = one(text);
        assert_eq!((requests.len(), fault), (1, None), "{text}");
        assert_eq!((requests[0].0.authority(), requests[0].0.target()), (authority, target), "{text}");
    }
}

const PIPELINE: &str = "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcPOST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
     3;ext=\"v\"\r\nabc\r\n0a\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n";

proptest! {
    #[test]
    fn however_bytes_are_cut_the_meaning_is_the_same(cuts in prop::collection::vec(1usize..40, 0..30)) {
        let mut rest = PIPELINE.as_bytes();
        let mut pieces = Vec::new();
        for cut in cuts {
            let (piece, left) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece.to_vec());
            rest = left;
        }
        pieces.push(rest.to_vec());
        let (requests, fault) = run(serve(pieces));
        prop_assert_eq!(fault, None);
        let seen: Vec<_> = requests.iter().map(|(h, b)| (h.path(), &b[..])).collect();
        prop_assert_eq!(seen, vec![("/1", &b"abc"[..]), ("/2", b"abc0123456789"), ("/3", b"")]);
    }

    #[test]
    fn strangers_bytes_never_panic(bytes: Vec<u8>, head in "(GET|POST) /[ -~]{0,20} HTTP/1\\.[01]\r\n([ -~]{0,30}\r\n){0,4}\r\n") {
        run(serve(vec![bytes.clone()]));
        run(serve(vec![head.into_bytes(), bytes]));
    }
}

/// What a writer puts on the wire for this.
fn written(write: impl AsyncFnOnce(&mut Writer)) -> String {
    run(async {
        let (mut peer, stream) = Stream::pair(1 << 20);
        let mut connection = Connection::new(stream);
        write(&mut connection.writer).await;
        drop(connection);
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).await.unwrap();
        String::from_utf8(bytes).unwrap()
    })
}

#[test]
fn bodies_are_framed_as_they_came_or_as_the_receiver_can_take() {
    let text = written(async |writer| {
        let mut head = RequestHead::default();
        head.method = Method::Post;
        head.set_authority("a");
        head.set_target("/x");
        head.headers.push("hOsT", b"a");
        head.headers.push("Transfer-Encoding", b"chunked");
        let mut to = Outgoing::H1(writer.request(&mut head, Length::Open, None));
        pump(&mut Incoming::Held(Some(Bytes::from_static(b"hello"))), &mut to, &mut 0).await.unwrap();
    });
    assert_eq!(text, "POST /x HTTP/1.1\r\nhOsT: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let answer = |version, close, method: Method| {
        written(async move |writer| {
            let mut head = ResponseHead::with_status(200);
            let mut close = close;
            let mut to = Outgoing::H1(writer.response(&mut head, Length::Open, &method, version, &mut close, None));
            pump(&mut Incoming::Held(Some(Bytes::from_static(b"hello"))), &mut to, &mut 0).await.unwrap();
        })
    };
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(answer(Version::Http11, false, Method::Get), chunked);
    assert_eq!(answer(Version::Http10, false, Method::Get), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello");
    assert_eq!(answer(Version::Http11, true, Method::Head), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
}

#[test]
fn trailers_cannot_pose_as_headers() {
    run(async {
        let (mut client, server) = Stream::pair(1 << 16);
        let text = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: b\r\nAuthorization: x\r\nContent-Length: 3\r\nX-Sum: 1\r\n\r\n";
        client.write_all(text.as_bytes()).await.unwrap();
        let mut connection = Connection::new(server);
        let framing = connection.reader.request(&mut RequestHead::default(), Duration::from_secs(1)).await.unwrap().unwrap();
        let mut body = Incoming::H1(connection.reader.body(framing, Fault::MalformedRequest));
        assert!(body.chunk().await.unwrap().is_none());
        let trailers = body.trailers().unwrap();
        assert_eq!(trailers.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["X-Sum"]);
        // Whether it ends in the end or not.
        for end in ["\r\n\r\n", ""] {
            let (mut client, server) = Stream::pair(1 << 20);
            let long = format!(
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: {}{end}",
                "a".repeat(limits::TRAILER_BYTES + 1)
            );
            client.write_all(long.as_bytes()).await.unwrap();
            let mut connection = Connection::new(server);
            let framing = connection.reader.request(&mut RequestHead::default(), Duration::from_secs(1)).await.unwrap().unwrap();
            let mut body = Incoming::H1(connection.reader.body(framing, Fault::MalformedRequest));
            assert_eq!(body.chunk().await.unwrap_err().why, "trailer section is longer than 8 KiB");
        }
    });
}

#[test]
fn a_peer_that_stops_reading_is_left_after_a_time() {
    run(async {
        let (_peer, stream) = Stream::pair(16);
        let mut connection = Connection::new(stream);
        let mut head = ResponseHead::with_status(200);
        let mut close = false;
        let mut to = connection.writer.response(&mut head, Length::Known(1000), &Method::Get, Version::Http11, &mut close, None);
        assert_eq!(to.send(&[b'x'; 1000]).await.unwrap_err().fault, Fault::DownstreamClosed);
    });
}

#[test]
fn what_is_for_one_hop_stays_there() {
    let (requests, _) = one(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Secret, host\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nProxy-Connection: x\r\nX-Kept: 1\r\n\r\n",
    );
    let mut head = requests[0].0.clone();
    let hop = strip_hop_by_hop(&mut head.headers, head.version);
    assert_eq!(hop, Hop { close: false, upgrade: None, trailers: true });
    assert_eq!(head.headers.iter().map(|(n, _)| n).collect::<Vec<_>>(), ["Host", "X-Kept"]);
    let (requests, _) = one("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let mut head = requests[0].0.clone();
    assert_eq!(strip_hop_by_hop(&mut head.headers, head.version).upgrade.as_deref(), Some("websocket"));
}

#[test]
fn answers_are_framed_by_status_and_method() {
    let framing = |text: &'static str, method: Method| {
        run(async move {
            let (mut peer, stream) = Stream::pair(1 << 16);
            peer.write_all(text.as_bytes()).await.unwrap();
            drop(peer);
            let mut connection = Connection::new(stream);
            connection.reader.response(&mut ResponseHead::default(), &method).await.map_err(|e| (e.fault, e.nothing_received))
        })
    };
    assert_eq!(framing("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Method::Get), Ok(Framing::Length(5)));
    assert_eq!(framing("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Method::Head), Ok(Framing::None));
    assert_eq!(framing("HTTP/1.1 204 No\r\n\r\n", Method::Get), Ok(Framing::None));
    assert_eq!(framing("HTTP/1.1 200 OK\r\n\r\n", Method::Get), Ok(Framing::UntilClose));
    assert_eq!(framing("", Method::Get), Err((Fault::UpstreamReset, true)));
    assert_eq!(framing("HTTP/1.1 2", Method::Get), Err((Fault::UpstreamReset, false)));
    let both = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(framing(both, Method::Get), Err((Fault::UpstreamProtocol, false)));
}

#[test]
fn authorities_are_a_host_and_perhaps_a_port() {
    for good in ["a.example", "a.example:80", "a:", "[::1]", "[::1]:80", "", "1.2.3.4:65535"] {
        let request = format!("GET / HTTP/1.1\r\nHost: {good}\r\n\r\n");
        let (requests, fault) = run(serve(vec![request.into_bytes()]));
        assert_eq!((requests.len(), fault), (1, None), "{good:?}");
    }
    for bad in ["[::1]x", "[::1", "::1", "a]", "[]", "[a[b]]", "a:b", "a:80:80", "a:65536", "x[::1]", "a b", "u@a", "a/b"] {
        let request = format!("GET / HTTP/1.1\r\nHost: {bad}\r\n\r\n");
        assert_eq!(run(serve(vec![request.into_bytes()])).1, Some(Fault::MalformedRequest), "{bad:?}");
    }
}

#[test]
fn a_caller_that_ended_is_waited_for_and_then_gone() {
    run(async {
        let (mut caller, server) = Stream::pair(1024);
        let mut reader = Connection::new(server).reader;
        caller.shutdown().await.unwrap();
        let begun = tokio::time::Instant::now();
        assert_eq!(reader.gone().await.fault, Fault::DownstreamClosed);
        assert_eq!(begun.elapsed(), limits::HALF_CLOSED);
    });
}

#[test]
fn an_answer_may_be_silent_for_long_and_a_request_may_not() {
    run(async {
        for (fault, silence, ends) in [
            (Fault::UpstreamProtocol, limits::BODY_IDLE * 10, None),
            (Fault::UpstreamProtocol, limits::ANSWER_IDLE * 2, Some(Fault::BackendTimeout)),
            (Fault::MalformedRequest, limits::BODY_IDLE * 2, Some(Fault::SlowRequest)),
        ] {
            let (mut sender, receiver) = Stream::pair(1024);
            crate::rt::spawn(async move {
                tokio::time::sleep(silence).await;
                let _ = sender.write_all(b"x").await;
            });
            let mut connection = Connection::new(receiver);
            let mut body = connection.reader.body(Framing::Length(1), fault);
            assert_eq!(body.chunk().await.err().map(|e| e.fault), ends, "{fault:?} after {silence:?}");
        }
    });
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_is_doubted_while_a_request_waits() {
    for method in [Method::Get, Method::Post] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let kernel = socket2::Socket::from(stream.try_clone().unwrap());
        let mut client = Connection::new(Stream::Tcp(tokio::net::TcpStream::from_std(stream).unwrap()));
        let told = || (kernel.tcp_keepalive_time().unwrap(), kernel.tcp_keepalive_interval().unwrap());
        let before = told();
        let mut head = ResponseHead::default();
        let answered = async {
            tokio::time::sleep(limits::UNACKNOWLEDGED / 2).await;
            assert_eq!(told(), before);
            tokio::time::sleep(limits::UNACKNOWLEDGED).await;
            assert_eq!(told(), (limits::UNACKNOWLEDGED_PROBE, limits::UNACKNOWLEDGED_PROBE));
            // Its machine is there, however long its program thinks.
            tokio::time::sleep(limits::UNACKNOWLEDGED_LOOK * 4).await;
            std::io::Write::write_all(&mut server, b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        };
        let (got, ()) = tokio::join!(client.reader.response(&mut head, &method), answered);
        got.unwrap();
        assert_eq!(told(), (limits::TCP_KEEPALIVE_IDLE, limits::TCP_KEEPALIVE_INTERVAL));
    }
}

/// Time goes on only where nobody has anything to do.
#[tokio::test(start_paused = true)]
async fn who_is_gone_without_a_word_is_given_up_sooner_where_nothing_is_risked() {
    for (method, patience) in [(Method::Get, limits::UNACKNOWLEDGED), (Method::Post, limits::UNACKNOWLEDGED_EFFECT)] {
        let begun = tokio::time::Instant::now();
        let (stream, _there) = crate::rt::Gone::machine();
        let mut client = Connection::new(stream);
        let error = client.reader.response(&mut ResponseHead::default(), &method).await.unwrap_err();
        assert!(error.gone && error.nothing_received, "{error}");
        assert_eq!(error.fault, Fault::UpstreamReset);
        let took = begun.elapsed();
        assert!(took >= patience && took <= patience + limits::UNACKNOWLEDGED_PROBE, "{took:?}");
    }
}
