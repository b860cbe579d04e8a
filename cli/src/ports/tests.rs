use super::*;
use rustix::net::{self, AddressFamily, SocketType};

#[test]
fn a_taken_port_names_its_holder_and_a_preference_moves_on() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("address").port();
    assert_eq!(holder(port).map(|holder| holder.pid), Some(std::process::id()));
    let failure = demand(SocketAddr::from(([127, 0, 0, 1], port)), "--port").expect_err("taken");
    assert!(failure.what.contains(&format!("process {}", std::process::id())), "{failure}");
    let (mut ours, mut of_another) = (Reserved::default(), Reserved::default());
    let next = ours.prefer(port).expect("another port");
    assert!(next > port);
    assert!(of_another.prefer(port).expect("a third") > next, "what one means to use is given to no other");
    assert!(!is_exposed(port));
}

#[test]
fn exposed_is_what_listens_beyond_loopback() {
    let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
        0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 11 1 0 100 0 0 10 0\n\
        1: 00000000:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12 1 0 100 0 0 10 0\n\
        2: 0100007F:1F92 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000        0 13 1 0 100 0 0 10 0\n\
        3: 00000000000000000000000001000000:1F93 00000000000000000000000000000000:0000 0A 0:0 00:0 0 1000 0 14 1 0 100 0 0 10 0\n";
    let seen: Vec<(u16, bool, u64)> = parse(table).into_iter().map(|l| (l.port, l.loopback, l.inode)).collect();
    assert_eq!(seen, [(8080, true, 11), (8081, false, 12), (8083, true, 14)]);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_to_listen_is_waited_for_so_long_and_no_longer() {
    // Bound, so that nobody else takes the port, and not listening yet.
    let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    let port = SocketAddr::try_from(net::getsockname(&socket).expect("an address")).expect("of IP").port();
    let begun = tokio::time::Instant::now();
    let late = tokio::time::timeout(limits::READY * 2, await_listener(port)).await.expect("it is given up").expect_err("nobody is there");
    assert!(late.what.contains("nothing listens"), "{late}");
    assert_eq!(begun.elapsed(), limits::READY);
    net::listen(&socket, 1).expect("it listens");
    await_listener(port).await.expect("it listens");
}
