use super::*;

#[test]
fn our_own_socket_is_found_and_others_are_not() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let local = listener.local_addr().unwrap();
    let stream = std::net::TcpStream::connect(local).unwrap();
    assert!(is_ours(stream.local_addr().unwrap(), local));
    assert!(!is_ours("127.0.0.1:1".parse().unwrap(), local));
}
