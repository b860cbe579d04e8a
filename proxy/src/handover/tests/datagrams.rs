//! Clients of datagrams whose gateway is succeeded: each goes on to reach the endpoint that it was led to, by the very same socket.

use super::*;
use crate::datagrams::tests::{backend, echo, listener_at, route, service};
use model::FrontLimits;
use std::net::UdpSocket;

/// A gateway with one port for datagrams, and two endpoints behind it.
async fn gateway() -> (Home, SocketAddr) {
    let (one, two) = (echo("one").await, echo("two").await);
    let port = testkit::free_ports(1)[0];
    let mut resources = vec![listener_at(port, FrontLimits::default()), route(vec![backend("dns", 1)])];
    resources.extend(service("dns", &[one.port(), two.port()]));
    let role = serde_json::json!({ "gateway": { "gateway": key(Kind::Gateway, "edge").to_string(), "ports": "exact" } });
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    (Home::of(&resources, role, [address; 2], |_| {}), address)
}

struct Client(UdpSocket);

impl Client {
    fn new(gateway: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(gateway).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        Self(socket)
    }

    /// Which endpoint answers, and the port that it sees.
    fn led(&self) -> String {
        self.0.send(b"?").unwrap();
        let mut buffer = [0; 64];
        let length = self.0.recv(&mut buffer).expect("an answer comes");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }
}

fn all(clients: &[Client]) -> Vec<String> {
    clients.iter().map(Client::led).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_go_on_to_reach_their_endpoints_across_a_handover() {
    // Fewer workers than the group has sockets, and more.
    for workers in [1, 3] {
        let (home, address) = gateway().await;
        let mut elder = home.start(Begin::Alone).await;
        let clients: Vec<_> = (0..24).map(|_| Client::new(address)).collect();
        let led = all(&clients);
        assert!(["one", "two"].iter().all(|name| led.iter().any(|led| led.starts_with(name))), "{led:?}");
        let config = Config { workers: Some(workers), ..home.config.clone() };
        let mut successor = Running::start(config, Begin::AsSuccessor);
        let end = Instant::now() + SOON;
        while elder.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            assert!(Instant::now() < end, "it does not take over");
            assert_eq!(all(&clients), led, "while they change hands");
        }
        assert_eq!(elder.ended().await, Ok(()), "it waits for nobody");
        assert_eq!(all(&clients), led, "{workers} workers");
        Client::new(address).led();
        successor.stop();
        assert_eq!(successor.ended().await, Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_that_ends_before_the_last_word_costs_no_client_its_endpoint() {
    let (home, address) = gateway().await;
    let mut elder = home.start(Begin::Alone).await;
    let clients: Vec<_> = (0..8).map(|_| Client::new(address)).collect();
    let led = all(&clients);
    for named in [false, true] {
        let (mut successor, inheritance) = ask(&home.config).await.unwrap().expect("there is a predecessor");
        assert_eq!(
            inheritance.datagrams.iter().map(|(_, group)| (group.address, group.descriptors().count())).collect::<Vec<_>>(),
            [(address, 2)]
        );
        successor.ready().await.unwrap();
        // What comes while nobody reads is answered too, once it is clear who does.
        clients[0].0.send(b"!").unwrap();
        if named {
            drop(crate::admin::replace(&home.config.handover_socket()).unwrap());
        }
        drop((successor, inheritance));
        let mut buffer = [0; 64];
        let length = clients[0].0.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..length], *led[0].replace('?', "!").as_bytes());
        assert_eq!(all(&clients), led);
    }
    elder.stop();
    assert_eq!(elder.ended().await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_that_knows_no_datagrams_is_given_none() {
    let (home, _address) = gateway().await;
    let mut elder = home.start(Begin::Alone).await;
    let mut channel = Channel::new(UnixStream::connect(home.config.handover_socket()).await.unwrap());
    let older = Ask { protocol: PROTOCOL, proxy: "web".into(), release: "0.0.1".into(), pid: 1, seats: false, datagrams: false };
    say(&mut channel, &Word::Ask(older), &[]).await.unwrap();
    let (offered, sockets) = hear(&mut channel, SOON).await.unwrap();
    let Word::Offer(offer) = offered else { panic!("{offered:?}") };
    assert!(offer.groups.is_empty() && sockets.is_empty(), "{offer:?}");
    for (said, heard) in [(Word::Ready, Word::Released), (Word::Taken, Word::Yours)] {
        say(&mut channel, &said, &[]).await.unwrap();
        assert_eq!(hear(&mut channel, SOON).await.unwrap().0, heard);
    }
    assert!(matches!(hear(&mut channel, SOON).await, Err(Error::Ended)), "nothing comes after the last word");
    assert_eq!(elder.ended().await, Ok(()));
}
