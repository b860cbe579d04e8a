use super::*;
use std::collections::BTreeMap;
use std::time::Duration;

const LOCAL: &str = "127.0.0.1:0";

fn group(count: usize) -> DatagramGroup {
    DatagramGroup::bind(LOCAL.parse().unwrap(), count).unwrap()
}

/// Which of the group's sockets each of these clients is led to, by what it says. Loopback delivers before `send` returns.
fn led(group: &DatagramGroup, clients: &[StdSocket]) -> BTreeMap<usize, usize> {
    for (name, client) in clients.iter().enumerate() {
        client.send_to(&[name as u8], group.address).unwrap();
    }
    let mut led = BTreeMap::new();
    for (at, socket) in group.shares(1).unwrap().remove(0) {
        let mut buffer = [0; 8];
        while let Ok((1, _)) = socket.recv_from(&mut buffer) {
            led.insert(usize::from(buffer[0]), at);
        }
    }
    led
}

#[test]
fn each_client_is_led_to_one_socket_and_all_sockets_have_clients_across_a_handover() {
    let before = group(3);
    let clients: Vec<_> = (0..64).map(|_| StdSocket::bind(LOCAL).unwrap()).collect();
    let first = led(&before, &clients);
    assert_eq!(first.len(), clients.len(), "nothing is lost");
    assert!((0..3).all(|at| first.values().any(|led| *led == at)), "{first:?}");
    assert_eq!(led(&before, &clients), first);
    let given: Vec<_> = before.descriptors().map(|fd| fd.try_clone_to_owned().unwrap()).collect();
    let after = DatagramGroup::adopt(given).unwrap();
    drop(before);
    assert_eq!(led(&after, &clients), first, "the same clients are led to the same sockets");
}

#[test]
fn nobody_else_gets_a_share_of_the_address() {
    let ours = group(2);
    assert_eq!(DatagramGroup::bind(ours.address, 2).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    assert_eq!(StdSocket::bind(ours.address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    // Connections have ports of their own; that one of them has the same number just now is chance.
    assert!((0..20).any(|_| std::net::TcpListener::bind(group(2).address).is_ok()));
}

#[test]
fn no_two_workers_read_from_one_socket() {
    let three = group(3);
    let places = |workers: usize| -> Vec<Vec<usize>> {
        three.shares(workers).unwrap().iter().map(|share| share.iter().map(|(at, _)| *at).collect()).collect()
    };
    assert_eq!(places(1), [vec![0, 1, 2]]);
    assert_eq!(places(2), [vec![0, 2], vec![1]]);
    assert_eq!(places(5), [vec![0], vec![1], vec![2], vec![], vec![]]);
}

#[test]
fn the_kernel_keeps_more_for_us_than_it_does_unasked_and_no_more_than_we_ask() {
    let unasked = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap().recv_buffer_size().unwrap();
    let ours = bound(LOCAL.parse().unwrap(), false).unwrap().recv_buffer_size().unwrap();
    assert!(ours > unasked, "{ours}, and {unasked} unasked");
    // It doubles what it is asked for, since what it notes beside each datagram counts too (socket(7)).
    assert!(ours <= 2 * crate::limits::DATAGRAM_QUEUE, "{ours}");
}

#[test]
fn what_is_no_group_is_refused() {
    let descriptors = |sockets: Vec<StdSocket>| sockets.into_iter().map(OwnedFd::from).collect::<Vec<_>>();
    assert!(DatagramGroup::adopt(Vec::new()).is_err());
    assert!(DatagramGroup::adopt(descriptors(vec![StdSocket::bind(LOCAL).unwrap(), StdSocket::bind(LOCAL).unwrap()])).is_err());
    assert!(DatagramGroup::adopt(vec![std::net::TcpListener::bind(LOCAL).unwrap().into()]).is_err());
}

#[tokio::test]
async fn a_socket_that_leads_somewhere_hears_that_nobody_is_there() {
    let nobody = StdSocket::bind(LOCAL).unwrap().local_addr().unwrap();
    let socket = Datagrams::connect(nobody).unwrap();
    assert_eq!(socket.peer(), Some(nobody));
    socket.try_send(b"word").unwrap();
    tokio::time::timeout(Duration::from_secs(20), socket.readable()).await.unwrap().unwrap();
    assert_eq!(socket.try_recv(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    assert!(Datagrams::adopt(StdSocket::bind(LOCAL).unwrap().into()).is_err(), "that one leads nowhere");
}
