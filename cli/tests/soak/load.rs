//! The load: requests one after another on connections that are kept, clients that break off in the middle, and clients that read slowly. None tries
//! again; each ending is counted.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use testkit::Tally;
use testkit::client::{Counter, Shot};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;

/// One request in so many is broken off by its client.
const RESET_ONE_IN: u64 = 100;
const SLOW_READERS: usize = 4;
/// An answer that is read slowly, and how.
const LONG: usize = 600_000;
const SIP: usize = 8 * 1024;
const SIP_PAUSE: Duration = Duration::from_millis(20);
const RECEIVE_BUFFER: u32 = 16 * 1024;
const PATIENCE: Duration = Duration::from_secs(60);
/// An upload that is broken off in the middle says that it is so long.
const UPLOAD: usize = 100_000;

/// What became of clients without manners.
#[derive(Debug, Default)]
pub struct Rude {
    pub reset: u64,
    pub slow: u64,
    /// Why answers that were read slowly did not come whole.
    pub lost: Vec<String>,
}

pub struct Load {
    steady: Vec<Counter>,
    stop: Arc<AtomicBool>,
    reset: Arc<AtomicU64>,
    slow: Arc<(AtomicU64, Mutex<Vec<String>>)>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    /// About `rate` requests a second over so many connections.
    pub fn start(gateway: SocketAddr, connections: usize, rate: f64) -> Self {
        // A connection that waits as long as a request took at full load carries half of it.
        let pause = Duration::from_secs_f64(connections as f64 / rate / 2.0);
        let get = Shot { pause, patience: PATIENCE, ..Shot::get(gateway, "shop", "/items") };
        let post = Shot { pause, patience: PATIENCE, ..Shot::upload(gateway, "shop", "/buy", 2_000) };
        let uploads = connections / 4;
        let load = Self {
            steady: vec![Counter::start(&get, connections - uploads), Counter::start(&post, uploads)],
            stop: Arc::default(),
            reset: Arc::default(),
            slow: Arc::default(),
            tasks: Vec::new(),
        };
        load.rude(gateway, Duration::from_secs_f64(RESET_ONE_IN as f64 / rate))
    }

    fn rude(mut self, gateway: SocketAddr, pause: Duration) -> Self {
        let (stop, reset) = (self.stop.clone(), self.reset.clone());
        self.tasks.push(tokio::spawn(async move {
            let mut every = tokio::time::interval(pause);
            while !stop.load(Ordering::Relaxed) {
                every.tick().await;
                let turn = reset.fetch_add(1, Ordering::Relaxed);
                // One that cannot even connect is no loss of the mesh: it meant to break off.
                let _ = tokio::time::timeout(PATIENCE, break_off(gateway, turn)).await;
            }
        }));
        for _ in 0..SLOW_READERS {
            let (stop, slow) = (self.stop.clone(), self.slow.clone());
            self.tasks.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let read = tokio::time::timeout(PATIENCE, sip(gateway)).await;
                    slow.0.fetch_add(1, Ordering::Relaxed);
                    let why = match read {
                        Ok(Ok(())) => continue,
                        Ok(Err(why)) => why,
                        Err(_) => "not whole in time".to_owned(),
                    };
                    slow.1.lock().unwrap_or_else(PoisonError::into_inner).push(why);
                }
            }));
        }
        self
    }

    /// Lets what is under way end.
    pub async fn finish(self) -> (Tally, Rude) {
        self.stop.store(true, Ordering::Relaxed);
        let mut tally = Tally::default();
        for counter in self.steady {
            counter.losses().iter().take(20).for_each(|loss| println!("lost: {}", loss.answer));
            tally.add(&counter.finish().await);
        }
        for task in self.tasks {
            task.await.expect("a client panicked");
        }
        let lost = std::mem::take(&mut *self.slow.1.lock().unwrap_or_else(PoisonError::into_inner));
        (tally, Rude { reset: self.reset.load(Ordering::Relaxed), slow: self.slow.0.load(Ordering::Relaxed), lost })
    }
}

/// A client that resets its connection: in the middle of its request, before the answer, and in the middle of the answer, by turns.
async fn break_off(gateway: SocketAddr, turn: u64) -> std::io::Result<()> {
    let mut stream = TcpSocket::new_v4()?.connect(gateway).await?;
    match turn % 3 {
        0 => {
            stream.write_all(format!("POST /buy HTTP/1.1\r\nhost: shop\r\ncontent-length: {UPLOAD}\r\n\r\n").as_bytes()).await?;
            stream.write_all(&vec![b'x'; UPLOAD / 2]).await?;
        }
        1 => stream.write_all(b"GET /items HTTP/1.1\r\nhost: shop\r\n\r\n").await?,
        _ => {
            stream.write_all(format!("GET /bytes/{LONG} HTTP/1.1\r\nhost: shop\r\n\r\n").as_bytes()).await?;
            stream.read_exact(&mut vec![0; SIP]).await?;
        }
    }
    stream.set_zero_linger()
}

/// Reads a long answer a little at a time.
async fn sip(gateway: SocketAddr) -> Result<(), String> {
    let text = |e: std::io::Error| e.to_string();
    let socket = TcpSocket::new_v4().map_err(text)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER).map_err(text)?;
    let mut stream = socket.connect(gateway).await.map_err(text)?;
    let head = format!("GET /bytes/{LONG} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.map_err(text)?;
    let (mut all, mut buffer) = (Vec::new(), vec![0; SIP]);
    loop {
        match stream.read(&mut buffer).await.map_err(text)? {
            0 => break,
            count => all.extend_from_slice(&buffer[..count]),
        }
        tokio::time::sleep(SIP_PAUSE).await;
    }
    let head = String::from_utf8_lossy(&all[..all.len().min(SIP)]).into_owned();
    let body = all.len() - head.find("\r\n\r\n").ok_or("no head")? - 4;
    match (head.starts_with("HTTP/1.1 200"), body) {
        (true, LONG) => Ok(()),
        (true, body) => Err(format!("{body} of {LONG} bytes came")),
        (false, _) => Err(head.lines().next().unwrap_or_default().to_owned()),
    }
}
