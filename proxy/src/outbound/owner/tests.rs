use super::*;
use std::net::{TcpListener, TcpStream};

/// A connection and its listener: the ends of the first, as its own side sees them.
fn pair(listens: &str, calls: &str) -> (TcpListener, TcpStream, SocketAddr, SocketAddr) {
    let listener = TcpListener::bind(listens).unwrap();
    let to: SocketAddr = format!("{calls}:{}", listener.local_addr().unwrap().port()).parse().unwrap();
    let stream = TcpStream::connect(to).unwrap();
    let (own, other) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
    (listener, stream, own, other)
}

fn me() -> u32 {
    rustix::process::getuid().as_raw()
}

#[test]
fn the_kernel_tells_of_one_socket_what_its_table_says() {
    for (listens, calls) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "[::1]")] {
        let (_listener, _stream, own, other) = pair(listens, calls);
        assert_eq!((asked(own, other), of(own, other)), (Some(me()), Some(me())), "{calls}");
        let table = if own.is_ipv4() { "/proc/net/tcp" } else { "/proc/net/tcp6" };
        assert_eq!(in_table(table, own, other), Some(me()));
        // Neither another port of it nor another machine.
        let nobody = SocketAddr::new(own.ip(), 1);
        assert_eq!((asked(nobody, other), of(nobody, other)), (None, None));
    }
}

#[test]
fn an_ipv4_connection_of_an_ipv6_socket_is_found() {
    let (listener, _stream, own, other) = pair("127.0.0.1:0", "[::ffff:127.0.0.1]");
    let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    assert_eq!(plain(other), listener.local_addr().unwrap());
    assert_eq!(of(plain(own), plain(other)), Some(me()));
}

#[test]
fn what_is_no_answer_to_the_question_tells_nobody() {
    let (_listener, _stream, own, other) = pair("127.0.0.1:0", "127.0.0.1");
    let question = question(own, other).unwrap();
    let mut answer = vec![0; USER + 8];
    answer[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
    answer[NAMED..NAMED + PORTS].copy_from_slice(&question[HEADER + 8..HEADER + 8 + PORTS]);
    answer[USER..USER + 4].copy_from_slice(&7_u32.to_ne_bytes());
    assert_eq!(read(&answer, &question), Some(7));
    assert_eq!(read(&answer[..USER + 3], &question), None);
    for wrong in [4, NAMED, NAMED + 3] {
        let mut other = answer.clone();
        other[wrong] ^= 0xff;
        assert_eq!(read(&other, &question), None, "byte {wrong}");
    }
    assert_eq!(read(&[], &question), None);
}
