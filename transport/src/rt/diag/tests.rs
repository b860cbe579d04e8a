use super::*;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// What the kernel says of a connection's other end: its numbers by where they lie.
fn asked(stream: &TcpStream) -> Vec<u8> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(SOCK_DIAG)).unwrap();
    let question = question(stream.local_addr().unwrap(), stream.peer_addr().unwrap());
    sendto(&socket, &question, SendFlags::empty(), &SocketAddrNetlink::new(0, 0)).unwrap();
    let mut answer = [0; 1024];
    let (read, _) = recv(&socket, &mut answer, RecvFlags::empty()).unwrap();
    info(&answer[..read]).expect("the kernel knows it").to_vec()
}

fn word(info: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(info[at..at + 4].try_into().unwrap())
}

fn pair(address: &str) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(address).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

#[test]
fn who_reads_and_who_reads_nothing_is_there_alike() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (mut client, mut server) = pair(address);
        let unanswered = |stream: &TcpStream| unanswered(stream.local_addr().unwrap(), stream.peer_addr().unwrap(), Duration::from_secs(9));
        client.write_all(b"word").unwrap();
        server.read_exact(&mut [0; 4]).unwrap();
        assert_eq!(unanswered(&client), None);
        let told = asked(&client);
        assert_eq!((word(&told, UNACKNOWLEDGED), word(&told, UNSENT)), (0, 0));
        // Nobody reads, and there is no room any more.
        client.set_nonblocking(true).unwrap();
        while client.write(&[0; 65_536]).is_ok() {}
        let told = asked(&client);
        assert!(word(&told, UNSENT) > 0, "what waits for room is known as that");
        assert_eq!(unanswered(&client), None);
        drop(server);
    }
}

#[test]
fn of_what_is_no_connection_nothing_is_said() {
    let (client, _server) = pair("127.0.0.1:0");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(unanswered(client.local_addr().unwrap(), nobody, Duration::from_secs(9)), None);
}

#[test]
fn a_machine_is_silent_where_it_acknowledges_no_try_and_answers_no_question() {
    let told = |[retransmits, probes]: [u8; 2], [unacknowledged, unsent]: [u32; 2], [last, waited]: [u64; 2]| {
        let mut info = [0; 280];
        (info[RETRANSMITS], info[PROBES]) = (retransmits, probes);
        info[UNACKNOWLEDGED..][..4].copy_from_slice(&unacknowledged.to_ne_bytes());
        info[LAST_ACKNOWLEDGED..][..4].copy_from_slice(&u32::try_from(last).unwrap().to_ne_bytes());
        info[UNSENT..][..4].copy_from_slice(&unsent.to_ne_bytes());
        silence(&info, Duration::from_millis(waited)).map(|silent| silent.as_millis())
    };
    let some = [2500, 3000];
    assert_eq!(told([TRIES, 0], [1, 0], some), Some(2500));
    assert_eq!(told([TRIES, 0], [1, 9000], some), Some(2500), "whatever waits behind it");
    assert_eq!(told([0, QUESTIONS], [0, 0], some), Some(2500));
    assert_eq!(told([TRIES, 0], [1, 0], [60_000, 3000]), Some(3000), "before, it was sent nothing");
    assert_eq!(told([0, QUESTIONS], [0, 0], [60_000, 3000]), Some(3000));
    for (tried, left, why) in [
        ([0, 0], [1, 0], "it may be on its way"),
        ([TRIES, 0], [0, 0], "all came"),
        ([0, QUESTIONS - 1], [0, 0], "a question may be lost"),
        ([0, QUESTIONS], [0, 1], "there is no room, which it says when it is asked"),
    ] {
        assert_eq!(told(tried, left, some), None, "{why}");
        assert_eq!(told(tried, left, [6000, 6000]), None, "{why}, however long that takes");
    }
    // A packet may be lost, and another; but not for so long, where round trips are slow.
    assert_eq!(told([TRIES - 1, 0], [1, 0], some), Some(0));
    assert_eq!(told([TRIES_IN_THE_END, 0], [1, 0], [60_000, 4999]), Some(0));
    assert_eq!(told([TRIES_IN_THE_END, 0], [1, 0], [60_000, 5000]), Some(5000));
    assert_eq!(told([TRIES_IN_THE_END - 1, 0], [1, 0], [60_000, 9000]), Some(0));
    assert_eq!(silence(&[0; 100], Duration::from_secs(9)), None, "a kernel that says less");
}
