use super::*;
use tokio::time::{Instant, timeout};

/// Whether it is to end.
async fn has_ended(end: &mut End) -> bool {
    timeout(limits::LOOK, end).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn a_certificate_has_so_many_connections_and_the_eldest_ends_for_a_new_one() {
    let room = Room::default();
    let mut taken: Vec<_> = (0..limits::CONNECTIONS_OF_ONE).map(|_| room.take(Some("aa")).unwrap()).collect();
    let mut other = room.take(Some("bb")).unwrap();
    for (_, end) in &mut taken {
        assert!(!has_ended(end).await, "there is room for all");
    }
    let mut new = room.take(Some("aa")).unwrap();
    let ended = [has_ended(&mut taken[0].1).await, has_ended(&mut taken[1].1).await, has_ended(&mut new.1).await];
    assert_eq!((ended, has_ended(&mut other.1).await), ([true, false, false], false));
    assert_eq!(room.turned_away(), TurnedAway { members: 1, strangers: 0 });
    // One that is gone makes room: nobody ends for the next.
    drop(taken.swap_remove(2));
    let _next = room.take(Some("aa")).unwrap();
    assert!(!has_ended(&mut taken[1].1).await);
    assert_eq!(room.turned_away().members, 1);
    drop((taken, new, other, _next));
    assert!(room.places().members.is_empty(), "nothing is remembered of who is gone");
}

#[tokio::test(start_paused = true)]
async fn strangers_are_so_many_and_stay_so_long() {
    let room = Room::default();
    let mut strangers: Vec<_> = (0..limits::STRANGERS).map(|_| room.take(None).unwrap()).collect();
    assert!(room.take(None).is_none());
    assert_eq!(room.turned_away(), TurnedAway { members: 0, strangers: 1 });
    assert!(room.take(Some("aa")).is_some(), "members have room of their own");
    let begun = Instant::now();
    let (place, end) = strangers.pop().unwrap();
    end.await;
    assert_eq!(begun.elapsed(), limits::STRANGER);
    drop(place);
    assert!(room.take(None).is_some());
}
