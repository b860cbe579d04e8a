//! Who asks a gateway for another handshake on an open connection of TLS 1.2: refused once, and ended the second time.

use super::records::{ALERT, Edge};
use crate::tests::within;
use rustls::ContentType;
use std::time::Duration;

#[tokio::test]
async fn a_handshake_on_an_open_connection_is_refused_once_and_ends_it_the_second_time() {
    // Less than a connection that is kept alive waits for its next request.
    within(Duration::from_secs(60), async {
        let edge = Edge::new().await;
        // Version, random, no session, one suite, no compression.
        let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0xcc, 0xa9, 1, 0]].concat();
        let hello = [&[1, 0, 0, u8::try_from(body.len()).unwrap()][..], &body].concat();
        let mut peer = edge.peer().await;
        peer.write(ContentType::Handshake, &hello).await;
        assert_eq!(peer.read().await, ALERT);
        // What it was told is a warning: it may go on without.
        peer.is_served(&edge.gateway).await;
        peer.write(ContentType::Handshake, &hello).await;
        peer.read_to_end().await;
        // Asked in one breath, and never for anything else.
        let mut insists = edge.peer().await;
        insists.write(ContentType::Handshake, &hello).await;
        insists.write(ContentType::Handshake, &hello).await;
        insists.read_to_end().await;
        edge.assert_ended("tls_renegotiation", 2);
    })
    .await;
}
