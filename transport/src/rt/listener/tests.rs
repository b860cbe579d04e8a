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
    assert_eq!(accepted.tcp_keepalive_interval().unwrap(), limits::TCP_KEEPALIVE_INTERVAL);
    assert_eq!(accepted.tcp_keepalive_retries().unwrap(), limits::TCP_KEEPALIVE_PROBES);
}

/// Addresses of the callers that are accepted from these sockets.
fn waiting(sockets: &[Bound]) -> usize {
    let accepted = |socket: &Bound| match socket {
        Bound::Tcp(socket) => std::iter::from_fn(|| socket.accept().ok()).count(),
        Bound::Virtual(_) => 0,
    };
    sockets.iter().map(accepted).sum()
}

#[test]
fn a_successor_with_any_number_of_workers_loses_no_connection_that_waits() {
    for (sockets, workers) in [(4, 1), (4, 3), (2, 2), (1, 3), (3, 4)] {
        let group = Group::bind("127.0.0.1:0".parse().unwrap(), sockets).unwrap();
        let callers: Vec<_> = (0..32).map(|_| std::net::TcpStream::connect(group.address).unwrap()).collect();
        let handed = group.descriptors().map(|socket| socket.try_clone_to_owned().unwrap()).collect();
        let successor = Group::adopt(handed).unwrap();
        assert_eq!(successor.address, group.address);
        drop(group);
        let shares = successor.shares(workers).unwrap();
        assert_eq!(shares.len(), workers);
        assert!(shares.iter().all(|share| !share.is_empty()), "a worker without a socket: {sockets} for {workers}");
        let accepted: usize = shares.iter().map(|share| waiting(share)).sum();
        assert_eq!(accepted, callers.len(), "{sockets} sockets for {workers} workers");
    }
}

#[test]
fn what_is_no_group_is_not_adopted() {
    let listening = |address: &str| OwnedFd::from(StdListener::bind(address).unwrap());
    assert!(Group::adopt(Vec::new()).is_err());
    assert!(Group::adopt(vec![listening("127.0.0.1:0"), listening("127.0.0.1:0")]).is_err());
    let connected = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    assert!(Group::adopt(vec![connected.into()]).is_err());
}

#[test]
fn connections_within_a_machine_have_the_plainest_congestion_control_at_both_ends() {
    super::super::run(async {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let here = Here::now();
        let (dialled, accepted) = tokio::join!(here.connect(listener.address().unwrap()), listener.accept());
        let of = |stream: &TcpStream| rustix::net::sockopt::tcp_congestion(stream).unwrap();
        let (super::super::Socket::Tcp(dialled), (Stream::Tcp(accepted), _)) = (dialled.unwrap(), accepted.unwrap()) else { panic!() };
        assert_eq!([of(&dialled), of(&accepted)], ["reno", "reno"]);
    })
    .unwrap();
}

#[test]
fn what_comes_from_elsewhere_has_what_the_machine_has() {
    super::super::run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let of = || rustix::net::sockopt::tcp_congestion(&stream).unwrap();
        let before = of();
        plain_at_home(&stream, "192.0.2.1".parse().unwrap());
        assert_eq!(of(), before);
        plain_at_home(&stream, "127.0.0.2".parse().unwrap());
        assert_eq!(of(), "reno");
    })
    .unwrap();
}
