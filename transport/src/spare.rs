//! Memory of heads that this thread uses again: a message allocates none for its fields in steady traffic. Knows nothing of what stands in them, and
//! gives them out empty.

use crate::limits;
use model::{RequestHead, ResponseHead};
use std::cell::RefCell;

/// What one keeps of its memory: more was an unusual message's.
const KEPT: usize = 4 * 1024;

thread_local! {
    static REQUESTS: RefCell<Vec<RequestHead>> = const { RefCell::new(Vec::new()) };
    static RESPONSES: RefCell<Vec<ResponseHead>> = const { RefCell::new(Vec::new()) };
}

pub fn request() -> RequestHead {
    REQUESTS.with_borrow_mut(Vec::pop).unwrap_or_default()
}

pub fn response() -> ResponseHead {
    RESPONSES.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Takes back one that nobody needs any more.
pub fn keep_request(mut head: RequestHead) {
    REQUESTS.with_borrow_mut(|heads| {
        if heads.len() < limits::SPARE_HEADS && head.target().len() + head.authority().len() <= KEPT {
            head.clear();
            head.headers.shrink(KEPT);
            heads.push(head);
        }
    });
}

/// As [`keep_request`].
pub fn keep_response(mut head: ResponseHead) {
    RESPONSES.with_borrow_mut(|heads| {
        if heads.len() < limits::SPARE_HEADS {
            head.clear();
            head.headers.shrink(KEPT);
            heads.push(head);
        }
    });
}

#[cfg(test)]
mod tests;
