use super::*;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

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
    let (start, mut election) = (monotone(), Election::new("me".into()));
    // However old its times are by the clock of whoever wrote them.
    assert_eq!(looking(&mut election, &spec("other", 1, 4), start, 0..=14), [Step::Wait]);
    assert_eq!(looking(&mut election, &spec("other", 2, 4), start, 14..=28), [Step::Wait]);
    assert_eq!(looking(&mut election, &spec("other", 2, 4), start, 29..=29), [Step::Take { transitions: 5 }]);
}

/// What is decided each second, each thing once.
fn looking(election: &mut Election, there: &LeaseSpec, start: Instant, seconds: std::ops::RangeInclusive<u64>) -> Vec<Step> {
    let mut steps: Vec<Step> = seconds.map(|second| election.decide(Some(there), start + Duration::from_secs(second))).collect();
    steps.dedup();
    steps
}

#[test]
fn who_led_before_an_api_server_was_away_has_its_time_again() {
    let (start, mut election) = (monotone(), Election::new("me".into()));
    let led = spec("other", 1, 4);
    assert_eq!(looking(&mut election, &led, start, 0..=2), [Step::Wait]);
    // Nobody could look for a minute, nor renew.
    assert_eq!(looking(&mut election, &led, start, 62..=76), [Step::Wait]);
    // It did not come back.
    assert_eq!(looking(&mut election, &led, start, 77..=77), [Step::Take { transitions: 5 }]);
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
    assert_eq!(looking(&mut election, &silent, start, 0..=limits::LEASE.as_secs() - 1), [Step::Wait]);
    assert_eq!(election.decide(Some(&silent), start + limits::LEASE - Duration::from_millis(1)), Step::Wait);
    assert_eq!(election.decide(Some(&silent), start + limits::LEASE), Step::Take { transitions: 5 });
}

/// An API server that answers so many questions, and then none: there is no lease yet, and what is written is taken.
fn cluster(answers: usize) -> Cluster {
    let left = Arc::new(AtomicUsize::new(answers));
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let left = left.clone();
        async move {
            if left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_err() {
                std::future::pending::<()>().await;
            }
            let (status, body) = match *request.method() {
                http::Method::GET => {
                    let nothing =
                        r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","message":"no lease","code":404}"#;
                    (404, bytes::Bytes::from_static(nothing.as_bytes()))
                }
                _ => (201, request.into_body().collect_bytes().await.unwrap()),
            };
            let answer = http::Response::builder().status(status).body(kube::client::Body::from(body.to_vec()));
            Ok::<_, std::convert::Infallible>(answer.unwrap())
        }
    });
    let client = kube::Client::new(service, "organza");
    Cluster { client, namespace: "organza".into(), replica: "me".into(), deployment: None, webhook: None }
}

#[tokio::test(start_paused = true)]
async fn who_cannot_renew_steps_down_before_another_may_step_up() {
    let leads = watch::Sender::new(Lead::Nobody);
    let mut seen = leads.subscribe();
    let begun = tokio::time::Instant::now();
    // The lease is looked for and written; then the API server hangs.
    let cluster = cluster(2);
    let stepped_down = async {
        seen.wait_for(|lead| *lead == Lead::Us).await.unwrap();
        assert!(begun.elapsed().is_zero());
        seen.wait_for(|lead| *lead != Lead::Us).await.unwrap();
        begun.elapsed()
    };
    let stepped_down = tokio::time::timeout(limits::LEASE * 4, stepped_down);
    tokio::select! {
        () = run(&cluster, &leads) => unreachable!("it stands for ever"),
        after = stepped_down => assert_eq!(after.expect("it steps down"), limits::LEASE_RENEW),
    }
    assert!(limits::LEASE_RENEW < limits::LEASE);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_hangs_is_not_waited_for_to_take_the_lease_back() {
    let begun = tokio::time::Instant::now();
    tokio::time::timeout(limits::LEASE, leave(&cluster(0))).await.expect("it ends");
    assert_eq!(begun.elapsed(), limits::LEASE_LEAVE);
}
