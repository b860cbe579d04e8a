//! A server that answers by script and remembers what it heard, for tests of how a proxy asks.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine";
/// No answer at all.
pub const SILENCE: &str = "";

pub struct Scripted {
    pub address: SocketAddr,
    heads: Rc<RefCell<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Scripted {
    /// Gives these answers one after another, then the last one for ever. Requests have no body.
    pub async fn new(answers: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Rc::new(RefCell::new(Vec::new()));
        let heard = heads.clone();
        let task = tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::task::spawn_local(serve(stream, answers, heard.clone()));
            }
        });
        Self { address, heads, task }
    }

    pub fn requests(&self) -> usize {
        self.heads.borrow().len()
    }

    /// A field of the request that came last.
    pub fn field(&self, name: &str) -> Option<String> {
        let heads = self.heads.borrow();
        let fields = heads.last()?.lines().filter_map(|line| line.split_once(": "));
        fields.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, answers: &[&str], heard: Rc<RefCell<Vec<String>>>) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let n = heard.borrow().len();
        heard.borrow_mut().push(String::from_utf8(head).unwrap());
        match answers[n.min(answers.len() - 1)] {
            SILENCE => return std::future::pending().await,
            answer => drop(stream.write_all(answer.as_bytes()).await),
        }
    }
}
