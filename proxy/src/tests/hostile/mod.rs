//! Hostile callers and backends by HTTP/1: `testdata/http1-requests.txt` and `testdata/http1-answers.txt`, through two proxies to a backend that
//! keeps every byte it got. Proxies and backend must have seen the same requests, whoever reads the bytes, and nobody may get another's answer.

mod answers;
mod backend;
mod cases;
mod floods;
mod records;
mod renegotiation;
mod requests;
mod tls_floods;

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends all of it, ends its half, and gives back what came until the end. Nothing here takes longer than a proxy may.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut all = Vec::new();
    let work = async {
        let (mut read, mut write) = stream.split();
        let send = async {
            // Who is refused early may find nobody who reads on.
            if write.write_all(bytes).await.is_ok() {
                let _ = write.shutdown().await;
            }
        };
        let receive = async {
            let _ = read.read_to_end(&mut all).await;
        };
        tokio::join!(send, receive);
    };
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("the connection ends");
    String::from_utf8_lossy(&all).into_owned()
}

/// The status of every answer in what came.
fn statuses(text: &str) -> Vec<&str> {
    text.split("HTTP/1.1 ").skip(1).map(|rest| rest.get(..3).unwrap_or(rest)).collect()
}
