//! A backend on hyper that keeps the requests it understood and every byte that came, and two readers of those bytes that forgive what the
//! worst servers forgive: one believes lengths before chunks, the other chunks before lengths.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// `METHOD TARGET BYTES`, or `METHOD TARGET !` for one that broke off.
type Seen = Rc<RefCell<Vec<String>>>;
type Raw = Rc<RefCell<Vec<u8>>>;

#[derive(Clone)]
pub struct Witness {
    pub address: SocketAddr,
    seen: Seen,
    connections: Rc<RefCell<Vec<Raw>>>,
}

impl Witness {
    /// Answers on the tasks of this thread with what it saw.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let witness = Self { address: listener.local_addr().unwrap(), seen: Rc::default(), connections: Rc::default() };
        let own = witness.clone();
        transport::rt::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let raw = Raw::default();
                own.connections.borrow_mut().push(raw.clone());
                let seen = own.seen.clone();
                let service = service_fn(move |request| answer(seen.clone(), request));
                transport::rt::spawn(async move {
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(Tap { stream, raw }), service).await;
                });
            }
        });
        witness
    }

    /// What was seen since the last time, and the bytes of each connection since then.
    pub fn take(&self) -> (Vec<String>, Vec<Vec<u8>>) {
        let bytes = self.connections.borrow().iter().map(|raw| std::mem::take(&mut *raw.borrow_mut())).filter(|b| !b.is_empty()).collect();
        (std::mem::take(&mut self.seen.borrow_mut()), bytes)
    }
}

async fn answer(seen: Seen, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    // In the place that it has when it comes, even where it breaks off and this future is dropped.
    let place = {
        let mut seen = seen.borrow_mut();
        seen.push(format!("{} {} !", head.method, head.uri));
        seen.len() - 1
    };
    let Ok(body) = body.collect().await else { std::future::pending().await };
    let line = format!("{} {} {}", head.method, head.uri, body.to_bytes().len());
    if let Some(entry) = seen.borrow_mut().get_mut(place) {
        entry.clone_from(&line);
    }
    Ok(Response::new(Full::new(format!("saw {line}\n").into())))
}

/// Keeps what is read.
struct Tap {
    stream: TcpStream,
    raw: Raw,
}

impl AsyncRead for Tap {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.raw.borrow_mut().extend_from_slice(&buffer.filled()[before..]);
        polled
    }
}

impl AsyncWrite for Tap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Which of two lengths a careless server believes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Believes {
    Length,
    Chunks,
}

/// The requests that a careless server reads in these bytes: any line end will do, names end at any white space or underscore, numbers where digits
/// do, `chunked` anywhere in a coding counts.
pub fn careless(mut bytes: &[u8], believes: Believes) -> Vec<String> {
    let mut seen = Vec::new();
    while !bytes.is_empty() {
        let first = line(&mut bytes);
        if first.is_empty() {
            continue;
        }
        let mut words = first.split(' ');
        let request = format!("{} {}", words.next().unwrap_or(""), words.next().unwrap_or(""));
        let (mut length, mut chunked) = (None, false);
        loop {
            let field = line(&mut bytes);
            if field.is_empty() {
                break;
            }
            let (name, value) = field.split_once(':').unwrap_or((&field, ""));
            match name.trim().to_ascii_lowercase().replace('_', "-").as_str() {
                "content-length" => {
                    let octal = value.trim().strip_prefix('0').filter(|rest| !rest.is_empty()).map(|rest| u64::from_str_radix(rest, 8));
                    length = Some(octal.unwrap_or_else(|| digits(value.trim(), 10).parse()).unwrap_or(0));
                }
                "transfer-encoding" => chunked |= value.to_ascii_lowercase().contains("chunked"),
                _ => {}
            }
        }
        let body = match (length, chunked, believes) {
            (Some(length), false, _) | (Some(length), true, Believes::Length) => take(&mut bytes, length).map(|b| b.len()),
            (_, true, _) => chunks(&mut bytes),
            (None, false, _) => Some(0),
        };
        seen.push(format!("{request} {}", body.map_or("!".to_owned(), |n| n.to_string())));
    }
    seen
}

fn digits(text: &str, radix: u32) -> &str {
    &text[..text.find(|c: char| !c.is_digit(radix)).unwrap_or(text.len())]
}

fn line(bytes: &mut &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]).trim_end().to_owned();
    *bytes = &bytes[(end + 1).min(bytes.len())..];
    text
}

fn take<'b>(bytes: &mut &'b [u8], length: u64) -> Option<&'b [u8]> {
    let Some((body, rest)) = usize::try_from(length).ok().and_then(|length| bytes.split_at_checked(length)) else {
        *bytes = &[];
        return None;
    };
    *bytes = rest;
    Some(body)
}

fn chunks(bytes: &mut &[u8]) -> Option<usize> {
    let mut total = 0;
    loop {
        if bytes.is_empty() {
            return None;
        }
        let text = line(bytes);
        let size = u64::from_str_radix(digits(text.trim(), 16), 16).ok()?;
        if size == 0 {
            while !line(bytes).is_empty() {}
            return Some(total);
        }
        total += take(bytes, size)?.len();
        line(bytes);
    }
}
