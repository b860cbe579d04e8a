//! A proxy that stands still while its machine is there, as one that was stopped. Time goes on only where nobody has anything to do.

use super::*;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::time::Instant;

/// From the last word to the end: until the first question, and what each is given.
const GIVEN_UP: Duration = limits::UNACKNOWLEDGED.saturating_add(limits::PROXY_ANSWER.saturating_mul(limits::PROXY_QUESTIONS));
const THINKS: Duration = Duration::from_secs(3600);

/// As SIGSTOP and SIGCONT.
#[derive(Default)]
struct Gate {
    shut: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl Gate {
    fn stop(&self, stopped: bool) {
        self.shut.set(stopped);
        self.waker.take().into_iter().for_each(Waker::wake);
    }

    async fn guards(&self, work: impl Future) {
        let mut work = pin!(work);
        poll_fn(|cx| match self.shut.get() {
            true => {
                self.waker.set(Some(cx.waker().clone()));
                Poll::Pending
            }
            false => work.as_mut().poll(cx).map(drop),
        })
        .await;
    }
}

/// A server whose application thinks for an hour, and what stops it.
async fn thinking() -> (Client, Rc<Gate>) {
    let (a, b) = Stream::pair(1 << 16);
    let gate = Rc::new(Gate::default());
    let guard = gate.clone();
    rt::spawn(async move {
        let server = Server::new(b, BytesMut::new(), Who::Member).await.unwrap();
        let think = |exchange: Exchange| async move {
            rt::sleep(THINKS).await;
            let _ = exchange.responder.respond(&ResponseHead::with_status(204), Length::None);
        };
        guard.guards(serve(server, std::future::pending(), think)).await;
    });
    (Client::new(a, BytesMut::new()).await.unwrap(), gate)
}

/// The error of a request, and when it came.
async fn failure(client: &Client) -> (Error, Duration) {
    let begun = Instant::now();
    let (_body, mut answer) = client.request(&post("/"), Length::None).unwrap();
    let error = answer.head(&mut ResponseHead::default()).await.unwrap_err();
    (error, begun.elapsed())
}

#[test]
fn a_proxy_that_stands_still_is_given_up_and_nothing_begins_there_meanwhile() {
    run(async {
        let (client, gate) = thinking().await;
        let client = client.of_proxy();
        gate.stop(true);
        let (other, seen) = (client.clone(), Rc::new(Cell::new(false)));
        let full = seen.clone();
        rt::spawn(async move {
            rt::sleep(limits::UNACKNOWLEDGED + limits::PROXY_ANSWER / 2).await;
            assert!(other.has_room(), "it was asked, and may still answer");
            rt::sleep(limits::PROXY_ANSWER).await;
            full.set(!other.has_room() && other.is_usable());
        });
        let (error, took) = failure(&client).await;
        assert!(error.gone && error.nothing_received, "{error}");
        assert!(took >= GIVEN_UP && took < GIVEN_UP + Duration::from_millis(10), "{took:?}");
        assert!(seen.get() && !client.is_usable());
    });
}

#[test]
fn a_proxy_whose_application_thinks_is_waited_for_and_asked_again_and_again() {
    run(async {
        let (client, _gate) = thinking().await;
        let client = client.of_proxy();
        let (_body, mut answer) = client.request(&post("/"), Length::None).unwrap();
        let mut head = ResponseHead::default();
        answer.head(&mut head).await.unwrap();
        assert_eq!(head.status, 204);
        // One that answered many questions and stands still only then.
        let (client, gate) = thinking().await;
        let client = client.of_proxy();
        rt::spawn(async move {
            rt::sleep(THINKS / 2).await;
            gate.stop(true);
        });
        let (error, took) = failure(&client).await;
        assert!(error.gone, "{error}");
        let late = took - THINKS / 2;
        assert!(late <= GIVEN_UP + limits::PROXY_ANSWER, "{late:?}");
    });
}

#[test]
fn a_proxy_that_goes_on_in_time_is_as_before() {
    run(async {
        let (client, gate) = thinking().await;
        let client = client.of_proxy();
        let (_body, mut answer) = client.request(&post("/"), Length::None).unwrap();
        rt::sleep(Duration::from_secs(60)).await;
        gate.stop(true);
        rt::sleep(limits::PROXY_ANSWER * limits::PROXY_QUESTIONS - Duration::from_secs(1)).await;
        assert!(!client.has_room());
        gate.stop(false);
        let mut head = ResponseHead::default();
        answer.head(&mut head).await.unwrap();
        assert_eq!(head.status, 204);
        assert!(client.has_room());
    });
}

#[test]
fn what_is_no_proxy_owes_no_answer_before_it_has_one() {
    run(async {
        let (client, gate) = thinking().await;
        gate.stop(true);
        let (_body, mut answer) = client.request(&post("/"), Length::None).unwrap();
        let waited = rt::timeout(THINKS, answer.head(&mut ResponseHead::default())).await;
        assert!(waited.is_none() && client.has_room());
    });
}
