use super::*;

/// Draws spread evenly over all there are.
fn draws(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(move |n| (u64::from(n) << 32).div_ceil(u64::from(count)) as u32)
}

fn chosen(sampling: Sampling, apart: Duration) -> usize {
    let (mut sampler, mut now) = (Sampler::default(), Instant::now());
    draws(10_000)
        .filter(|draw| {
            now += apart;
            sampler.decide(sampling, *draw, now)
        })
        .count()
}

#[test]
fn a_share_is_a_share() {
    let of = |share| chosen(Sampling::Share(share), Duration::from_secs(10));
    assert_eq!((of(0), of(10), of(25_000), of(WHOLE)), (0, 1, 2_500, 10_000));
}

#[test]
fn who_calls_rarely_is_seen_and_who_calls_often_is_seen_one_in_a_hundred() {
    assert_eq!(chosen(Sampling::Adaptive, Duration::from_secs(1)), 10_000);
    // A hundred by their draws, which come first and at once; the others are one each second of ten.
    assert_eq!(chosen(Sampling::Adaptive, Duration::from_millis(1)), 100 + 9);
}
