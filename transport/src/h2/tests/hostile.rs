//! Callers that write frames by hand: what each gets, and by which name its connection is counted.

use super::*;
use std::time::Duration;
use tokio::io::AsyncReadExt;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Codes of RFC 9113, section 7.
const PROTOCOL_ERROR: u32 = 1;
const COMPRESSION_ERROR: u32 = 9;
const FLOW_CONTROL_ERROR: u32 = 3;
const FRAME_SIZE_ERROR: u32 = 6;
const ENHANCE_YOUR_CALM: u32 = 0xb;

/// `:method: GET`, `:scheme: http`, `:path: /`, `:authority: a`, as HPACK writes them.
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 0x01, b'a'];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, GET)
}

/// A field that is not indexed.
fn field(name: &str, value: &str) -> Vec<u8> {
    [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
}

/// What a caller saw of its connection's end.
#[derive(Debug, Default)]
struct Fate {
    goaway: Option<u32>,
    resets: Vec<(u32, u32)>,
    heads: usize,
    /// How the server's side says that it ended.
    cause: Option<&'static str>,
    why: String,
    fault: Option<Fault>,
}

/// A server that answers each request at once, and what becomes of a caller that writes this behind its preface.
async fn fate(bytes: Vec<u8>) -> Fate {
    fate_of(bytes, |exchange| async move { drop(exchange.responder.respond(&ResponseHead::with_status(200), Length::None)) }).await
}

async fn fate_of<F: Future<Output = ()> + 'static>(bytes: Vec<u8>, handle: impl Fn(Exchange) -> F + 'static) -> Fate {
    let (client, server) = tokio::io::duplex(1 << 16);
    let (mut read, mut write) = tokio::io::split(client);
    let ended = Rc::new(RefCell::new(None));
    let tell = ended.clone();
    rt::spawn(async move {
        let server = Server::new(Stream::Virtual(server), BytesMut::new(), Who::Stranger).await.unwrap();
        *tell.borrow_mut() = Some(serve(server, std::future::pending(), handle).await);
    });
    rt::spawn(async move {
        // The other side may have had enough before the end.
        let _ = write.write_all(&[CLIENT_PREFACE, &frame(SETTINGS, 0, 0, b""), &bytes].concat()).await;
        rt::sleep(Duration::from_secs(400)).await;
    });
    let mut all = Vec::new();
    let _ = rt::timeout(Duration::from_secs(300), read.read_to_end(&mut all)).await;
    let mut fate = frames(&all);
    if let Some(Err(error)) = &*ended.borrow() {
        (fate.cause, fate.why, fate.fault) = (error.cause, error.why.to_string(), Some(error.fault));
    }
    fate
}

fn frames(mut bytes: &[u8]) -> Fate {
    let mut fate = Fate::default();
    while let [a, b, c, kind, _, w, x, y, z, rest @ ..] = bytes {
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        let stream = u32::from_be_bytes([*w, *x, *y, *z]);
        let Some((payload, next)) = rest.split_at_checked(length) else { break };
        let word = |at: usize| payload.get(at..at + 4).map_or(0, |b| u32::from_be_bytes(b.try_into().unwrap()));
        match *kind {
            GOAWAY => fate.goaway = Some(word(4)),
            RST_STREAM => fate.resets.push((stream, word(0))),
            HEADERS => fate.heads += 1,
            _ => {}
        }
        bytes = next;
    }
    fate
}

fn many(count: u32, each: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..count).flat_map(|n| each(2 * n + 1)).collect()
}

#[test]
fn floods_end_with_enhance_your_calm_and_have_names() {
    let open = frame(HEADERS, END_HEADERS, 1, GET);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        // CVE-2019-9512
        ("h2_ping_flood", many(2000, |_| frame(PING, 0, 0, &[0; 8]))),
        ("h2_ping_flood", many(2000, |_| frame(PING, 1, 0, &[0; 8]))),
        // CVE-2019-9515
        ("h2_settings_flood", many(2000, |_| frame(SETTINGS, 0, 0, b""))),
        ("h2_settings_flood", many(2000, |_| frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]))),
        // CVE-2019-9518
        ("h2_empty_data_flood", [open.clone(), many(2000, |_| frame(DATA, 0, 1, b""))].concat()),
        // CVE-2019-9511 and its kin
        ("h2_window_update_flood", many(5000, |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]))),
        ("h2_window_update_flood", [open.clone(), many(5000, |_| frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]))].concat()),
        // CVE-2019-9513
        ("h2_priority_flood", many(2000, |n| frame(PRIORITY, 0, 3, &[0, 0, 0, 0, n as u8]))),
        ("h2_priority_flood", many(2000, |_| frame(0x10, 0, 0, b"\0\0\0\x03u=1"))),
        // CVE-2023-44487, before and after the answer
        ("h2_rapid_reset", many(2000, |n| [get(n), frame(RST_STREAM, 0, n, &[0, 0, 0, 8])].concat())),
        // CVE-2024-27316
        ("h2_continuation_flood", [frame(HEADERS, 0, 1, GET), many(2000, |_| frame(CONTINUATION, 0, 1, &field("x", "y")))].concat()),
        ("h2_continuation_flood", [frame(HEADERS, 0, 1, GET), many(2000, |_| frame(CONTINUATION, 0, 1, b""))].concat()),
        ("h2_unknown_frame_flood", many(2000, |_| frame(0xbb, 0, 0, b"?"))),
        // CVE-2025-8671: the caller makes us reset, by a window beyond all bounds.
        (
            "h2_made_you_reset",
            many(900, |n| [frame(HEADERS, END_HEADERS, n, GET), frame(WINDOW_UPDATE, 0, n, &[0x7f, 0xff, 0xff, 0xff])].concat()),
        ),
    ];
    let mut wrong = Vec::new();
    for (cause, bytes) in cases {
        let fate = run(fate(bytes));
        if (fate.cause, fate.goaway, fate.fault) != (Some(cause), Some(ENHANCE_YOUR_CALM), Some(Fault::MalformedRequest)) {
            wrong.push(format!("should be {cause}: {fate:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn resets_of_answered_streams_are_counted_too() {
    run(async {
        let (client, server) = tokio::io::duplex(1 << 16);
        rt::spawn(async move {
            let server = Server::new(Stream::Virtual(server), BytesMut::new(), Who::Stranger).await.unwrap();
            let answer = |e: Exchange| async move { drop(e.responder.respond(&ResponseHead::with_status(200), Length::None)) };
            let error = serve(server, std::future::pending(), answer).await.unwrap_err();
            assert_eq!(error.cause, Some("h2_rapid_reset"));
        });
        let (mut read, mut write) = tokio::io::split(client);
        write.write_all(&[CLIENT_PREFACE, &frame(SETTINGS, 0, 0, b"")].concat()).await.unwrap();
        let mut all = Vec::new();
        for n in 0..1000 {
            if write.write_all(&get(2 * n + 1)).await.is_err() {
                break;
            }
            // Its answer is there before it is reset.
            while frames(&all).heads as u32 <= n && frames(&all).goaway.is_none() {
                if read.read_buf(&mut all).await.unwrap() == 0 {
                    break;
                }
            }
            if write.write_all(&frame(RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8])).await.is_err() {
                break;
            }
        }
        assert_eq!(frames(&all).goaway, Some(ENHANCE_YOUR_CALM));
    });
}

#[test]
fn broken_frames_end_with_the_code_that_the_standard_names() {
    let cases: Vec<(&str, u32, Vec<u8>)> = vec![
        // A number and an index beyond all bounds, and a table beyond what we allow (CVE-2016-6581 and its kin).
        ("h2_compression_error", COMPRESSION_ERROR, frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff, 0xff, 0xff, 0xff, 0x0f])),
        ("h2_compression_error", COMPRESSION_ERROR, frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xc0])),
        (
            "h2_compression_error",
            COMPRESSION_ERROR,
            frame(HEADERS, END_STREAM | END_HEADERS, 1, &[&[0x3f, 0xe1, 0xff, 0x03], GET].concat()),
        ),
        ("h2_frame_size_error", FRAME_SIZE_ERROR, frame(PING, 0, 0, &[0; 7])),
        ("h2_frame_size_error", FRAME_SIZE_ERROR, frame(SETTINGS, 0, 0, &[0; 5])),
        ("h2_frame_size_error", FRAME_SIZE_ERROR, frame(RST_STREAM, 0, 1, &[0; 3])),
        ("h2_frame_size_error", FRAME_SIZE_ERROR, frame(GOAWAY, 0, 0, &[0; 7])),
        ("h2_flow_control_error", FLOW_CONTROL_ERROR, frame(SETTINGS, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff])),
        ("h2_protocol_error", PROTOCOL_ERROR, frame(SETTINGS, 0, 0, &[0, 5, 0, 0, 0x3f, 0xff])),
        ("h2_protocol_error", PROTOCOL_ERROR, frame(SETTINGS, 0, 1, b"")),
        ("h2_protocol_error", PROTOCOL_ERROR, frame(RST_STREAM, 0, 1, &[0; 4])),
        ("h2_protocol_error", PROTOCOL_ERROR, frame(DATA, 8, 1, &[1])),
        ("h2_frame_size_error", FRAME_SIZE_ERROR, frame(DATA, 0, 1, &[0; 20_000])),
        ("h2_flow_control_error", FLOW_CONTROL_ERROR, many(2, |_| frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]))),
        ("h2_protocol_error", PROTOCOL_ERROR, frame(DATA, 0, 1, b"x")),
        ("h2_protocol_error", PROTOCOL_ERROR, get(2)),
        ("h2_protocol_error", PROTOCOL_ERROR, frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("h2_protocol_error", PROTOCOL_ERROR, [frame(HEADERS, END_STREAM, 1, GET), frame(PING, 0, 0, &[0; 8])].concat()),
        ("h2_protocol_error", PROTOCOL_ERROR, frame(CONTINUATION, END_HEADERS, 1, GET)),
        ("h2_protocol_error", PROTOCOL_ERROR, frame(5, END_HEADERS, 1, &[&[0, 0, 0, 2], GET].concat())),
    ];
    let mut wrong = Vec::new();
    for (cause, code, bytes) in cases {
        let fate = run(fate(bytes.clone()));
        if (fate.cause, fate.goaway) != (Some(cause), Some(code)) {
            wrong.push(format!("{:?} should be {cause} {code}: {fate:?}", &bytes[..bytes.len().min(20)]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn heads_that_are_tricks_are_handed_to_nobody() {
    let with = |fields: &[Vec<u8>]| [GET, &fields.concat()].concat();
    let pseudo = |name: &str, value: &str| [&[0x82, 0x86, 0x84, 0x41, 0x01, b'a'][..], &field(name, value)].concat();
    let own = |method: &str, path: &str| {
        [field(":method", method), field(":scheme", "http"), field(":path", path), field(":authority", "a")].concat()
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        // Kettle 2021, "HTTP/2: The Sequel is Always Worse": H2.TE, H2.CL, and line ends in names, values and pseudo-fields.
        ("transfer-encoding", with(&[field("transfer-encoding", "chunked")])),
        ("connection", with(&[field("connection", "close")])),
        ("upgrade", with(&[field("upgrade", "h2c")])),
        ("te other than trailers", with(&[field("te", "gzip")])),
        ("a line end in a value", with(&[field("x", "a\r\ntransfer-encoding: chunked")])),
        ("a bare LF in a value", with(&[field("x", "a\nb")])),
        ("a NUL in a value", with(&[field("x", "a\0b")])),
        ("a colon in a name", with(&[field("x: y", "z")])),
        ("a line end in a name", with(&[field("x\r\ny", "z")])),
        ("capitals in a name", with(&[field("X-Y", "z")])),
        ("an empty name", with(&[field("", "z")])),
        ("a space before a value", with(&[field("x", " y")])),
        ("two lengths", with(&[field("content-length", "0"), field("content-length", "5")])),
        ("a length without a body", with(&[field("content-length", "5")])),
        ("a length that is none", with(&[field("content-length", "+0")])),
        ("another host", with(&[field("host", "b")])),
        ("two paths", pseudo(":path", "/b")),
        ("two methods", pseudo(":method", "GET")),
        ("a pseudo-field that answers have", pseudo(":status", "200")),
        ("a pseudo-field that nobody knows", pseudo(":x", "y")),
        ("a pseudo-field behind others", [&[0x82, 0x86, 0x84][..], &field("x", "y"), &field(":authority", "a")].concat()),
        ("no path", [&[0x82, 0x86][..], &field(":authority", "a")].concat()),
        ("no method", [&[0x86, 0x84][..], &field(":authority", "a")].concat()),
        ("no scheme", [&[0x82, 0x84][..], &field(":authority", "a")].concat()),
        ("no host", vec![0x82, 0x86, 0x84]),
        ("an empty path", own("GET", "")),
        ("a path that is none", own("GET", "x")),
        ("a request line in the path", own("GET", "/ HTTP/1.1\r\nHost: b")),
        ("a space in the path", own("GET", "/a b")),
        ("a star for GET", own("GET", "*")),
        ("a request line in the method", own("GET / HTTP/1.1\r\nHost: b", "/")),
        ("a space in the method", own("G ET", "/")),
        ("a user in the host", [&[0x82, 0x86, 0x84][..], &field(":authority", "u@a")].concat()),
        ("a path in the host", [&[0x82, 0x86, 0x84][..], &field(":authority", "a/b")].concat()),
        ("a line end in the host", [&[0x82, 0x86, 0x84][..], &field(":authority", "a\r\nx: y")].concat()),
        ("another scheme", [&[0x82, 0x84][..], &field(":scheme", "ftp"), &field(":authority", "a")].concat()),
        ("a scheme that is a URI", [&[0x82, 0x84][..], &field(":scheme", "http://b/?"), &field(":authority", "a")].concat()),
        ("CONNECT with a path", own("CONNECT", "/")),
        (":protocol without CONNECT", pseudo(":protocol", "websocket")),
    ];
    for (what, head) in cases {
        run(async move {
            let seen = Rc::new(RefCell::new(Vec::new()));
            let tell = seen.clone();
            let handle = move |exchange: Exchange| {
                tell.borrow_mut().push(exchange.head.target().to_owned());
                async move { drop(exchange.responder.respond(&ResponseHead::with_status(200), Length::None)) }
            };
            let good = [field(":method", "GET"), field(":scheme", "http"), field(":path", "/good"), field(":authority", "a")].concat();
            let both = [(1, head), (3, good)].map(|(stream, head)| frame(HEADERS, END_STREAM | END_HEADERS, stream, &head));
            let fate = fate_of(both.concat(), handle).await;
            // Either its stream is refused, by a reset or by 400, and the next one is answered; or the connection ends with it.
            let refused = fate.resets.contains(&(1, PROTOCOL_ERROR)) || fate.heads == 2;
            match fate.cause {
                Some(cause) => {
                    assert_eq!((cause, fate.goaway, seen.borrow().len()), ("h2_protocol_error", Some(PROTOCOL_ERROR), 0), "{what}")
                }
                None => assert!(refused && *seen.borrow() == ["/good"], "{what}: {:?} came through: {fate:?}", seen.borrow()),
            }
        });
    }
}

#[test]
fn head_lists_over_the_limit_are_refused_however_small_they_were_packed() {
    run(async {
        // One field of 4000 bytes in the table, named a thousand times in a few kilobytes: 4 MB, were it unpacked (CVE-2016-1544 and its kin).
        let first = [GET, &[0x40, 1, b'x', 0x7f, 0xa1, 0x1e], &[b'v'; 4000][..]].concat();
        let bomb = [GET, &[0xbe; 1000][..]].concat();
        let bytes =
            [frame(HEADERS, END_STREAM | END_HEADERS, 1, &first), frame(HEADERS, END_STREAM | END_HEADERS, 3, &bomb), get(5)].concat();
        let seen = Rc::new(RefCell::new(Vec::new()));
        let tell = seen.clone();
        let handle = move |exchange: Exchange| {
            tell.borrow_mut().push(exchange.head.headers.iter().map(|(_, value)| value.len()).sum::<usize>());
            async move { drop(exchange.responder.respond(&ResponseHead::with_status(200), Length::None)) }
        };
        let fate = fate_of(bytes, handle).await;
        assert_eq!(*seen.borrow(), [4000, 0], "{fate:?}");
        assert_eq!((fate.heads, &fate.resets[..]), (2, &[(3, PROTOCOL_ERROR)][..]), "{fate:?}");
    });
}

#[test]
fn a_window_that_stays_shut_and_a_body_that_does_not_come_end_by_time() {
    run(async {
        let ended = Rc::new(RefCell::new(Vec::new()));
        let tell = ended.clone();
        let handle = move |exchange: Exchange| {
            let tell = tell.clone();
            async move {
                let begun = rt::now();
                let Exchange { mut body, responder, .. } = exchange;
                let fault = match body.chunk().await {
                    Err(e) => e.fault,
                    Ok(_) => {
                        let mut writer = responder.respond(&ResponseHead::with_status(200), Length::Open).unwrap();
                        writer.send(Bytes::from_static(b"never taken")).await.unwrap_err().fault
                    }
                };
                tell.borrow_mut().push((fault, rt::now().saturating_duration_since(begun)));
            }
        };
        let slow = [&[0x83, 0x86, 0x84, 0x41, 0x01, b'a'][..], &field("content-length", "5")].concat();
        // No window for any answer; one request that is whole, one whose body does not come.
        let bytes = [frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]), get(1), frame(HEADERS, END_HEADERS, 3, &slow)].concat();
        let fate = fate_of(bytes, handle).await;
        assert!(fate.resets.contains(&(1, ENHANCE_YOUR_CALM)), "{fate:?}");
        let mut ended = ended.borrow().clone();
        ended.sort();
        assert_eq!(ended, [(Fault::SlowRequest, limits::BODY_IDLE), (Fault::DownstreamClosed, limits::BODY_IDLE)]);
    });
}

#[test]
fn a_server_that_floods_loses_its_connection() {
    run(async {
        let (client, server) = tokio::io::duplex(1 << 16);
        let (mut read, mut write) = tokio::io::split(server);
        rt::spawn(async move { while read.read(&mut [0; 4096]).await.is_ok_and(|size| size > 0) {} });
        rt::spawn(async move {
            let pings = frame(PING, 0, 0, &[0; 8]).repeat(100);
            let _ = write.write_all(&frame(SETTINGS, 0, 0, b"")).await;
            while write.write_all(&pings).await.is_ok() {}
        });
        let client = Client::new(Stream::Virtual(client), BytesMut::new()).await.unwrap();
        let (_writer, mut coming) = client.request(&post("/"), Length::None).unwrap();
        let error = coming.head(&mut ResponseHead::default()).await.unwrap_err();
        assert_eq!(error.fault, Fault::UpstreamReset, "{error:?}");
        assert!(!client.is_usable());
    });
}

#[test]
fn who_does_not_listen_is_told_goodbye_for_a_moment_and_no_longer() {
    run(async {
        // Far less than the answers to all these frames.
        let (client, server) = tokio::io::duplex(256);
        let (_unread, mut write) = tokio::io::split(client);
        rt::spawn(async move {
            let pings = frame(PING, 0, 0, &[0; 8]).repeat(2000);
            let _ = write.write_all(&[CLIENT_PREFACE, &frame(SETTINGS, 0, 0, b""), &pings].concat()).await;
            std::future::pending().await
        });
        let begun = rt::now();
        let mut server = Server::new(Stream::Virtual(server), BytesMut::new(), Who::Stranger).await.unwrap();
        let ended = rt::timeout(limits::BODY_IDLE, server.next()).await.expect("it does not wait for the peer");
        assert_eq!(ended.map(drop).unwrap_err().cause, Some("h2_ping_flood"));
        // One for the last frame, one for the end of the stream.
        assert!(rt::now().saturating_duration_since(begun) <= 2 * limits::H2_GOODBYE);
    });
}
