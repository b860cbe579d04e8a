use super::*;

#[test]
fn a_question_and_its_answer_are_remembered_for_a_shorter_time_unless_somebody_said_how_long() {
    let second = Duration::from_secs(1);
    for (said, asked, answered, want) in [
        (None, 1, 1, limits::SESSION_ANSWERED),
        (None, 1, 0, limits::SESSION_IDLE),
        (None, 2, 1, limits::SESSION_IDLE),
        (None, 1, 2, limits::SESSION_IDLE),
        (Some(second), 1, 1, second),
        (Some(second * 600), 1, 1, second * 600),
    ] {
        assert_eq!(idle(said, asked, answered), want, "{said:?} {asked} {answered}");
    }
}

#[test]
fn the_networks_word_of_an_endpoint_is_told_from_our_own_trouble() {
    let of = |kind: io::ErrorKind| failure(&kind.into());
    assert_eq!(of(io::ErrorKind::ConnectionRefused), Some(Fault::ConnectRefused));
    assert_eq!(of(io::ErrorKind::HostUnreachable), Some(Fault::ConnectFailed));
    assert_eq!(of(io::ErrorKind::NetworkUnreachable), Some(Fault::ConnectFailed));
    assert_eq!(of(io::ErrorKind::WouldBlock), None);
    let too_large = io::Error::from_raw_os_error(rustix::io::Errno::MSGSIZE.raw_os_error());
    assert_eq!((failure(&too_large), unsent(&too_large, "full")), (None, "too_large"));
    assert_eq!(unsent(&io::ErrorKind::WouldBlock.into(), "full"), "full");
}
