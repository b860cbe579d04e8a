use super::*;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

/// Of a test that would wait for ever.
const SOON: Duration = Duration::from_secs(10);

fn pair() -> (Channel, Channel) {
    let (a, b) = UnixStream::pair().unwrap();
    (Channel::new(a), Channel::new(b))
}

#[tokio::test]
async fn descriptors_arrive_with_their_message_and_in_order() {
    let (mut here, mut there) = pair();
    // More than one control message may carry, and each told apart by what it holds.
    let count = limits::DESCRIPTORS_AT_ONCE * 2 + 3;
    let pipes: Vec<_> = (0..count).map(|_| std::io::pipe().unwrap()).collect();
    let readers: Vec<_> = pipes.iter().map(|(read, _)| read.as_fd()).collect();
    let sent = async {
        here.send(b"first", &readers).await.unwrap();
        here.send(b"second", &[]).await.unwrap();
        drop(here);
    };
    let received = async {
        let first = there.recv().await.unwrap().unwrap();
        let second = there.recv().await.unwrap().unwrap();
        assert!(there.recv().await.unwrap().is_none());
        (first, second)
    };
    let ((), (first, second)) = futures_util::future::join(sent, received).await;
    assert_eq!((first.message, first.descriptors.len()), (b"first".to_vec(), count));
    assert_eq!((second.message, second.descriptors.len()), (b"second".to_vec(), 0));
    for (number, (descriptor, (_, mut write))) in first.descriptors.into_iter().zip(pipes).enumerate() {
        write.write_all(&[number as u8]).unwrap();
        let mut byte = [0];
        std::fs::File::from(descriptor).read_exact(&mut byte).unwrap();
        assert_eq!(byte, [number as u8]);
    }
}

#[tokio::test]
async fn a_message_larger_than_the_socket_holds_goes_through_and_one_over_the_limit_does_not() {
    let (mut here, mut there) = pair();
    let large = vec![7; limits::HANDOVER_BYTES];
    let (sent, received) = futures_util::future::join(here.send(&large, &[]), there.recv()).await;
    sent.unwrap();
    assert_eq!(received.unwrap().unwrap().message, large);
    let larger = vec![7; limits::HANDOVER_BYTES + 1];
    let refused = tokio::time::timeout(SOON, here.send(&larger, &[])).await.expect("nothing of it is sent");
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn who_ends_within_a_message_or_claims_too_much_is_an_error() {
    let (mut here, mut there) = pair();
    here.write(&[0, 0, 0, 9, 0, 0, 0, 0, b'x'], &[]).await.unwrap();
    drop(here);
    assert_eq!(there.recv().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    let (mut here, mut there) = pair();
    let length = u32::try_from(limits::HANDOVER_BYTES + 1).unwrap().to_be_bytes();
    here.write(&[&length[..], &[0; 4]].concat(), &[]).await.unwrap();
    let claimed = tokio::time::timeout(SOON, there.recv()).await.expect("what is claimed is not waited for");
    assert_eq!(claimed.unwrap_err().to_string(), "a handover is larger than it may be");
    // A count that no descriptors came for.
    let (mut here, mut there) = pair();
    here.write(&[0, 0, 0, 1, 0, 0, 0, 2, 0, b'x'], &[]).await.unwrap();
    assert_eq!(there.recv().await.unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[tokio::test]
async fn so_many_descriptors_go_with_a_message_and_no_more() {
    let (mut here, mut there) = pair();
    let (read, _write) = std::io::pipe().unwrap();
    let many = vec![read.as_fd(); limits::DESCRIPTORS + 1];
    let sent = tokio::time::timeout(SOON, here.send(b"x", &many)).await.expect("nothing of it is sent");
    assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    // Nor does a peer that claims to send more.
    let count = u32::try_from(limits::DESCRIPTORS + 1).unwrap().to_be_bytes();
    here.write(&[&[0, 0, 0, 1], &count[..]].concat(), &[]).await.unwrap();
    let claimed = tokio::time::timeout(SOON, there.recv()).await.expect("what is claimed is not waited for");
    assert_eq!(claimed.unwrap_err().to_string(), "a handover is larger than it may be");
}
