use super::*;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

#[test]
fn what_is_there_is_appended_as_far_as_there_is_room_and_the_end_is_nothing() {
    let (mut one, other) = UnixStream::pair().unwrap();
    other.set_nonblocking(true).unwrap();
    let mut into = BytesMut::with_capacity(4);
    into.extend_from_slice(b"a");
    one.write_all(b"bcdefgh").unwrap();
    assert_eq!(receive(other.as_fd(), &mut into).unwrap(), 3);
    assert_eq!(into, b"abcd"[..]);
    assert_eq!(receive(other.as_fd(), &mut into).unwrap(), 4, "room is made where there is none");
    assert_eq!(into, b"abcdefgh"[..]);
    assert_eq!(receive(other.as_fd(), &mut into).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop(one);
    assert_eq!((receive(other.as_fd(), &mut into).unwrap(), &into[..]), (0, &b"abcdefgh"[..]));
}
