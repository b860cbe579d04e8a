//! The mark by which the proxy beside an application tells the proxy that called it: this answer is mine, the application did not say it. It stands
//! on answers that a proxy makes itself for a peer of the mesh, is taken off everything that an application says, and is believed only where it
//! comes by `organza/1` from an identity that is registered for the destination: no application can forge it, none ever sees it.

use crate::upstream::Via;
use model::{Fault, ResponseHead};
use routing::eject::Ended;
use routing::retry::Failure;
use transport::Error;

const NAME: &str = "organza-fault";

pub fn put(head: &mut ResponseHead, fault: Fault) {
    head.headers.set(NAME, fault.label().as_bytes());
}

/// Whether who answers there may give it: a proxy of the mesh, whose identity was expected and proven.
pub fn is_believed(via: &Via) -> bool {
    matches!(via, Via::Organza { .. })
}

/// What a connection's end says of the request on it. `again`: it is one that may be done twice, on a connection that had carried others.
pub fn failure(error: &Error, believed: bool, again: bool) -> Failure {
    // A pooled connection that ends before a byte of an answer had most likely died unused.
    let died_unused = again && error.nothing_received;
    // Our peers close in good order only while they wait for a request: none was begun, not even one that crossed with it.
    let unread = believed && error.nothing_received && error.orderly;
    match died_unused || unread || error.is_unprocessed() {
        true => Failure::Unsent(error.fault),
        false => Failure::Sent(error.fault),
    }
}

/// Takes the mark off, and says what it said where it is believed.
pub fn take(head: &mut ResponseHead, believed: bool) -> Option<Fault> {
    let fault = head.headers.text(NAME).and_then(Fault::parse);
    head.headers.remove(NAME);
    fault.filter(|_| believed)
}

/// What an answer says of the endpoint that it comes from, and how its try failed if it did. A peer that could not reach its application has sent
/// nothing of the request.
pub fn judged(status: u16, fault: Option<Fault>) -> (Ended, Failure) {
    match fault {
        None => (Ended::Answered(status), Failure::Status(status)),
        Some(fault @ (Fault::ConnectRefused | Fault::ConnectFailed | Fault::ConnectTimeout)) => {
            (Ended::Failed(fault), Failure::Unsent(fault))
        }
        Some(fault) => (Ended::of_failure(fault), Failure::Status(status)),
    }
}
