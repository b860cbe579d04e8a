use crate::limits;
use crate::rt::{Stream, run, timeout};
use bytes::BytesMut;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// What a peer sends in pieces of every size, with pauses, and what it is sent, comes whole: no wake-up is lost to what was noted after a short read or write.
#[test]
fn what_comes_in_pieces_and_goes_in_pieces_comes_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let sent: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let peer = std::thread::spawn({
        let sent = sent.clone();
        move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut at, mut size) = (0, 1);
            while at < sent.len() {
                let piece = &sent[at..sent.len().min(at + size)];
                stream.write_all(piece).unwrap();
                (at, size) = (at + piece.len(), size * 3 % 70_001);
                if size % 7 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            // Until then nothing is taken, so that the other side finds no room.
            std::thread::sleep(Duration::from_millis(50));
            let mut back = Vec::new();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            stream.read_to_end(&mut back).unwrap();
            back
        }
    });
    run(async move {
        let (mut recv, mut send) = Stream::connect(address).await.unwrap().split();
        let upward = sent.clone();
        let writing = async move {
            send.send(&upward, &[]).await.unwrap();
            send.shutdown().await.unwrap();
        };
        let reading = async move {
            let mut all = Vec::new();
            for most in [limits::READ_BUFFER, 1, 100, limits::BODY_BUFFER].into_iter().cycle() {
                let mut buffer = BytesMut::new();
                let count = timeout(SOON, recv.recv(&mut buffer, most)).await.expect("what was sent comes").unwrap();
                assert_eq!(count, buffer.len());
                if count == 0 {
                    break;
                }
                all.extend_from_slice(&buffer);
            }
            assert!(all == sent);
            assert_eq!(timeout(SOON, recv.recv(&mut BytesMut::new(), 1)).await.unwrap().unwrap(), 0, "the end stays the end");
        };
        let (written, ()) = tokio::join!(timeout(SOON, writing), reading);
        written.expect("what is written is taken");
    })
    .unwrap();
    assert!(peer.join().unwrap() == (0..3_000_000_u32).map(|at| (at % 251) as u8).collect::<Vec<_>>());
}
