use super::*;
use std::sync::{Arc, Barrier};

#[test]
fn of_two_that_start_at_once_one_has_the_address() {
    let address = Group::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().address;
    for _ in 0..200 {
        let start = Arc::new(Barrier::new(4));
        let racers: Vec<_> = (0..4)
            .map(|_| {
                let start = start.clone();
                std::thread::spawn(move || {
                    start.wait();
                    let group = Group::bind(address, 2);
                    // Held until all have tried.
                    start.wait();
                    group.is_ok()
                })
            })
            .collect();
        let won = racers.into_iter().filter_map(|racer| racer.join().ok()).filter(|won| *won).count();
        assert!(won <= 1, "{won} processes would share the connections");
    }
}

#[test]
fn a_group_shares_an_address_that_nobody_else_gets() {
    let group = Group::bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
    let address = group.address;
    let refused = Group::bind(address, 3).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    drop(group);
    Group::bind(address, 1).unwrap();
}

#[test]
fn sockets_ask_whether_the_peer_is_there() {
    let group = Group::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
    let address = group.address;
    let mut sockets = group.into_sockets();
    let Bound::Tcp(listening) = sockets.remove(0) else { panic!("a socket of the kernel") };
    listening.set_nonblocking(false).unwrap();
    let _caller = std::net::TcpStream::connect(address).unwrap();
    let (accepted, _) = listening.accept().unwrap();
    let accepted = SockRef::from(&accepted);
    assert!(accepted.keepalive().unwrap());
    assert_eq!(accepted.tcp_keepalive_time().unwrap(), limits::TCP_KEEPALIVE_IDLE);
}
