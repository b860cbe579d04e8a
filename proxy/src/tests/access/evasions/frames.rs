//! The same by the bytes of HTTP/2, as no library would write them: frames and header blocks by hand.

use super::{DENIED, HOSTS, PATHS, UNCLEAR, edge};
use crate::tests::bounded;
use model::Normalisation;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use transport::h2::{CLIENT_PREFACE, hpack};

type Fields<'a> = Vec<(&'a str, &'a str)>;

/// Answered by us, or the stream or connection ended: whatever it is, no application saw it.
const NOT_LET_IN: u16 = 0;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END_STREAM_AND_HEADERS: u8 = 5;

#[derive(Debug)]
struct Said {
    /// 0 where the stream or connection was ended.
    status: u16,
    grpc: Option<String>,
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[0, length[0], length[1], kind, flags, 0, 0, 0, stream][..], payload].concat()
}

/// Each field spelt out: nothing from a table, nothing packed.
fn block(fields: &Fields<'_>) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap()][..], text.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

async fn ask(door: SocketAddr, fields: &Fields<'_>) -> Said {
    let mut stream = TcpStream::connect(door).await.unwrap();
    let settings = frame(4, 0, 0, &[]);
    stream.write_all(&[CLIENT_PREFACE, &settings, &frame(HEADERS, END_STREAM_AND_HEADERS, 1, &block(fields))].concat()).await.unwrap();
    let ended = Said { status: 0, grpc: None };
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return ended;
        }
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).await.unwrap();
        match (head[3], head[8]) {
            (HEADERS, 1) => {
                let mut said = ended;
                hpack::Decoder::new(4096)
                    .decode(&payload, |name, value| {
                        let value = String::from_utf8_lossy(value).into_owned();
                        match name {
                            b":status" => said.status = value.parse().unwrap(),
                            b"grpc-status" => said.grpc = Some(value),
                            _ => {}
                        }
                    })
                    .unwrap();
                return said;
            }
            (RST_STREAM, 1) => return ended,
            _ => {}
        }
    }
}

fn asking<'a>(host: &'a str, target: &'a str, more: &[(&'a str, &'a str)]) -> Fields<'a> {
    let pseudo = [(":method", "POST"), (":scheme", "http"), (":authority", host), (":path", target)];
    [&pseudo[..], more].concat()
}

/// Fields of a request beside the usual ones.
const FIELDS: [(&[(&str, &str)], u16); 15] = [
    (&[], 200),
    (&[("x-internal", "no")], 200),
    (&[("x-internal", "yes")], DENIED),
    (&[("x-internal", "no"), ("x-internal", "yes")], DENIED),
    (&[("x-internal", "yes"), ("x-internal", "no")], DENIED),
    (&[("x-internal", "no, yes")], DENIED),
    (&[("X-Internal", "yes")], NOT_LET_IN),
    (&[("x-internal ", "yes")], NOT_LET_IN),
    (&[(" x-internal", "yes")], NOT_LET_IN),
    (&[("x-internal", " yes")], NOT_LET_IN),
    (&[("x-internal\0", "yes")], NOT_LET_IN),
    (&[("x-a", "b\r\nx-internal: yes")], NOT_LET_IN),
    (&[("connection", "x-internal"), ("x-internal", "yes")], NOT_LET_IN),
    (&[("transfer-encoding", "chunked")], NOT_LET_IN),
    (&[("upgrade", "h2c")], NOT_LET_IN),
];

/// Heads whole, with what becomes of them.
const HEADS: [(&[(&str, &str)], u16); 15] = [
    (&[(":method", "DELETE"), (":scheme", "http"), (":authority", "shop.example"), (":path", "/")], DENIED),
    (&[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", "shop.example")], 200),
    (&[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", "admin.example")], DENIED),
    (&[(":method", "GET"), (":scheme", "http"), (":authority", "shop.example"), (":path", "/"), ("host", "admin.example")], NOT_LET_IN),
    (&[(":method", "GET"), (":scheme", "http"), (":authority", "admin.example"), (":path", "/"), ("host", "shop.example")], NOT_LET_IN),
    (&[(":method", "GET"), (":scheme", "http"), (":authority", "shop.example"), (":path", "/"), (":path", "/admin")], NOT_LET_IN),
    (&[(":method", "GET"), (":scheme", "http"), (":authority", "shop.example"), (":path", "/admin"), (":path", "/")], NOT_LET_IN),
    (
        &[(":method", "GET"), (":scheme", "http"), (":authority", "shop.example"), (":authority", "admin.example"), (":path", "/")],
        NOT_LET_IN,
    ),
    (&[(":method", "GET"), (":scheme", "http"), (":authority", "shop.example"), ("x-a", "b"), (":path", "/admin")], NOT_LET_IN),
    (&[(":method", "GET"), (":scheme", "http"), (":authority", "shop.example")], NOT_LET_IN),
    (&[(":method", "GET"), (":scheme", "http"), (":authority", "shop.example"), (":path", "")], NOT_LET_IN),
    (&[(":method", "GET"), (":scheme", "http"), (":authority", "shop.example"), (":path", "admin")], NOT_LET_IN),
    (&[(":method", "GET"), (":scheme", "http"), (":authority", "shop.example"), (":path", "/x\r\nadmin")], NOT_LET_IN),
    (&[(":method", "GET"), (":scheme", "http"), (":authority", "shop.example"), (":path", "/"), (":status", "200")], NOT_LET_IN),
    (
        &[(":method", "CONNECT"), (":scheme", "http"), (":protocol", "websocket"), (":authority", "shop.example"), (":path", "/admin")],
        NOT_LET_IN,
    ),
];

fn fits(said: &Said, want: u16) -> bool {
    match want {
        200 => said.status == 200 && said.grpc.is_none(),
        DENIED => said.status == DENIED || said.grpc.as_deref() == Some("7"),
        UNCLEAR => matches!(said.status, UNCLEAR | NOT_LET_IN) || said.grpc.is_some(),
        _ => said.status != 200 || said.grpc.is_some(),
    }
}

#[tokio::test]
async fn by_http2_and_grpc() {
    bounded(async {
        let edge = edge(Normalisation::Base).await;
        let mut allowed = 0;
        let grpc = [("content-type", "application/grpc"), ("te", "trailers")];
        for more in [&[][..], &grpc] {
            let mut cases: Vec<(Fields<'_>, u16)> = PATHS.map(|(target, want)| (asking("shop.example", target, more), want)).to_vec();
            cases.extend(HOSTS.map(|(host, want)| (asking(host, "/", more), want)));
            cases.extend(FIELDS.map(|(fields, want)| (asking("shop.example", "/", &[more, fields].concat()), want)));
            cases.extend(HEADS.map(|(fields, want)| ([fields, more].concat(), want)));
            for (fields, want) in cases {
                let said = ask(edge.door, &fields).await;
                assert!(fits(&said, want), "{fields:?}: {said:?}, and not {want}");
                allowed += u64::from(want == 200);
                assert_eq!(edge.backend.requests(), allowed, "{fields:?}");
            }
        }
    })
    .await;
}
