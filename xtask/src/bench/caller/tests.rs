use super::*;

#[test]
fn a_pause_is_one_call_and_many_by_the_way_of_wrk() {
    // 979 calls of 100 µs, twenty of 200 and one pause of 20 ms: 101.9 ms... the mean of all is 121.9 µs.
    let mut taken = vec![100.0; 979];
    taken.extend([200.0; 20]);
    taken.push(20_000.0);
    let whole = Duration::from_micros(taken.iter().sum::<f64>() as u64);
    let shot = told(taken, whole);
    assert_eq!((shot.requests, shot.p50_us, shot.p99_us), (1000.0, 100.0, 200.0));
    // The pause counts as 163 calls more, from 19.9 ms down: a hundredth of all is eleven and a half of them.
    let corrected = shot.p99_corrected_us.expect("corrected");
    assert!((18_500.0..18_800.0).contains(&corrected), "{corrected}");
}

#[test]
fn what_it_prints_is_what_is_heard() {
    let shot = heard("1000 8200.5 100 200 3000 18700.25\n").expect("six figures");
    assert_eq!((shot.requests, shot.rate, shot.p99_us, shot.p99_corrected_us), (1000.0, 8200.5, 200.0, Some(18_700.25)));
    assert!(heard("it answered:\nHTTP/1.1 503").is_none());
}
