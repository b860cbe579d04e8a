//! Records of TLS that cost a gateway work and say nothing: some are borne, and who goes on is ended and counted by name.

use super::records::{Edge, QUESTION};
use crate::tests::within;
use rustls::ContentType;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Less than a connection that is kept alive waits for its next request.
const TIME: Duration = Duration::from_secs(60);

/// `user_canceled`, as a warning.
const WARNING: &[u8] = &[1, 90];
/// How many rustls bears on one connection.
const WARNINGS: usize = 4;
/// One after the other.
const EMPTY_RECORDS: usize = 32;
/// Before anything else is said.
const KEY_UPDATES: usize = 32;

#[tokio::test]
async fn who_sends_warnings_without_end_is_ended() {
    within(TIME, async {
        let edge = Edge::new().await;
        let mut peer = edge.peer().await;
        for _ in 0..WARNINGS {
            peer.write(ContentType::Alert, WARNING).await;
        }
        peer.is_served(&edge.gateway).await;
        peer.write(ContentType::Alert, WARNING).await;
        peer.read_to_end().await;
        edge.assert_ended("tls_warning_flood", 1);
    })
    .await;
}

#[tokio::test]
async fn who_sends_empty_records_without_end_is_ended() {
    within(TIME, async {
        let edge = Edge::new().await;
        let mut peer = edge.peer().await;
        for _ in 0..2 {
            for _ in 0..EMPTY_RECORDS {
                peer.write(ContentType::ApplicationData, &[]).await;
            }
            // Begins anew with whatever has something in it.
            peer.is_served(&edge.gateway).await;
        }
        for _ in 0..=EMPTY_RECORDS {
            peer.write(ContentType::ApplicationData, &[]).await;
        }
        peer.read_to_end().await;
        edge.assert_ended("tls_empty_record_flood", 1);
    })
    .await;
}

#[tokio::test]
async fn who_asks_for_new_keys_without_end_is_ended() {
    within(TIME, async {
        let edge = Edge::new().await;
        let mut session = edge.session(&rustls::version::TLS13).await;
        let mut answer = vec![0; 4096];
        for _ in 0..2 {
            for _ in 0..KEY_UPDATES {
                session.get_mut().1.refresh_traffic_keys().unwrap();
                session.flush().await.unwrap();
            }
            // Begins anew with a request.
            session.write_all(QUESTION).await.unwrap();
            assert!(session.read(&mut answer).await.unwrap() > 0);
            assert_eq!(edge.gateway.record().await["response_code"], 200);
        }
        for _ in 0..=KEY_UPDATES {
            session.get_mut().1.refresh_traffic_keys().unwrap();
            session.flush().await.unwrap();
        }
        // How it ends is told by an alert, or by the network to who wrote meanwhile.
        while session.read(&mut answer).await.is_ok_and(|n| n > 0) {}
        edge.assert_ended("tls_key_update_flood", 1);
    })
    .await;
}
