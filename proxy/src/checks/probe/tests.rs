use super::*;
use crate::tests::Mesh;
use crate::tests::quiet::{Network, on};

#[test]
fn an_answer_to_a_check_is_read_up_to_a_length() {
    let (most, at) = (limits::CHECK_BYTES, "10.0.0.1:80".parse().unwrap());
    let tcp = |before: usize| {
        let (network, _) = Network::says(format!("{}ready", "x".repeat(before)));
        on(network, async { tcp(&Mesh::new().proxy("web").worker, UpstreamKey::plain(at, Framing::Tcp), b"?", b"ready").await })
    };
    assert_eq!(tcp(most - 5).unwrap(), Ok("sent what is awaited".to_owned()));
    assert!(tcp(3 * transport::limits::BODY_BUFFER).unwrap().unwrap_err().contains("without what is awaited"));
    // By HTTP the status says it, and a body of any length is left unread: this one does not even come.
    let (network, _) = Network::says(format!("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{}", "x".repeat(most + 1)));
    on(network, async {
        let worker = Mesh::new().proxy("web").worker;
        let head = || {
            let mut head = RequestHead::default();
            head.set_authority("catalog");
            head.set_target("/healthz");
            head
        };
        let asked = rt::timeout(transport::limits::BODY_IDLE, http(&worker, UpstreamKey::plain(at, Framing::Http1), head, &[200])).await;
        assert_eq!(asked.expect("the rest is not waited for").unwrap(), Ok("answered 200".to_owned()));
    });
}
