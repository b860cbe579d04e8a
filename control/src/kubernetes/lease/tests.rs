use super::*;

fn spec(holder: &str, renewed: i64, transitions: i32) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(holder.into()),
        lease_duration_seconds: Some(15),
        renew_time: Timestamp::from_second(renewed).ok().map(MicroTime),
        lease_transitions: Some(transitions),
        ..LeaseSpec::default()
    }
}

#[test]
fn a_lease_is_taken_when_nobody_renewed_it_for_its_length() {
    let start = monotone();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut election = Election::new("me".into());
    // However old its times are by the clock of whoever wrote them.
    assert_eq!(election.decide(Some(&spec("other", 1, 4)), at(0)), Step::Wait);
    assert_eq!(election.decide(Some(&spec("other", 1, 4)), at(14)), Step::Wait);
    assert_eq!(election.decide(Some(&spec("other", 2, 4)), at(14)), Step::Wait);
    assert_eq!(election.decide(Some(&spec("other", 2, 4)), at(28)), Step::Wait);
    assert_eq!(election.decide(Some(&spec("other", 2, 4)), at(29)), Step::Take { transitions: 5 });
}

#[test]
fn what_nobody_holds_is_taken_at_once_and_ones_own_is_renewed() {
    let now = monotone();
    let mut election = Election::new("me".into());
    assert_eq!(election.decide(None, now), Step::Take { transitions: 0 });
    assert_eq!(election.decide(Some(&spec("", 1, 2)), now), Step::Take { transitions: 3 });
    assert_eq!(election.decide(Some(&spec("me", 1, 3)), now), Step::Renew);
    assert_eq!(election.decide(Some(&spec("other", 1, 4)), now), Step::Wait);
}

#[test]
fn a_lease_that_does_not_say_how_long_it_is_has_the_usual_length() {
    let (start, mut election) = (monotone(), Election::new("me".into()));
    let silent = LeaseSpec { lease_duration_seconds: None, ..spec("other", 1, 4) };
    assert_eq!(election.decide(Some(&silent), start), Step::Wait);
    assert_eq!(election.decide(Some(&silent), start + limits::LEASE - Duration::from_millis(1)), Step::Wait);
    assert_eq!(election.decide(Some(&silent), start + limits::LEASE), Step::Take { transitions: 5 });
}
