//! Memory of messages that this thread uses again: a message allocates none in steady traffic, a connection holds none between two of them, and what one
//! connection has done with is still in the processor's caches when the next one takes it. Knows nothing of what stands there, and gives it out empty.

use crate::limits;
use bytes::BytesMut;
use model::{RequestHead, ResponseHead};
use std::cell::RefCell;

/// What one keeps of its memory: more was an unusual message's.
const KEPT: usize = 4 * 1024;

/// Heads are boxed: they are hundreds of bytes, are handed on as they are, and lie where the last message left them in the processor's caches.
#[allow(clippy::vec_box)]
type Heads<T> = RefCell<Vec<Box<T>>>;

thread_local! {
    static REQUESTS: Heads<RequestHead> = const { RefCell::new(Vec::new()) };
    static RESPONSES: Heads<ResponseHead> = const { RefCell::new(Vec::new()) };
    static BUFFERS: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
    static TEXTS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

pub fn request() -> Box<RequestHead> {
    REQUESTS.with_borrow_mut(Vec::pop).unwrap_or_default()
}

pub fn response() -> Box<ResponseHead> {
    RESPONSES.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Takes back one that nobody needs any more.
pub fn keep_request(mut head: Box<RequestHead>) {
    REQUESTS.with_borrow_mut(|heads| {
        if heads.len() < limits::SPARE_HEADS && head.target().len() + head.authority().len() <= KEPT {
            head.clear();
            head.headers.shrink(KEPT);
            heads.push(head);
        }
    });
}

/// As [`keep_request`].
pub fn keep_response(mut head: Box<ResponseHead>) {
    RESPONSES.with_borrow_mut(|heads| {
        if heads.len() < limits::SPARE_HEADS {
            head.clear();
            head.headers.shrink(KEPT);
            heads.push(head);
        }
    });
}

/// For what is read, of at least [`limits::READ_BUFFER`].
pub(crate) fn buffer() -> BytesMut {
    BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_else(|| BytesMut::with_capacity(limits::READ_BUFFER))
}

/// Takes back one of [`buffer`] of which nobody holds a piece. Others are let go: larger ones were an unusual message's, and the end of one whose
/// beginning somebody holds would keep all of it.
pub(crate) fn keep_buffer(mut buffer: BytesMut) {
    buffer.clear();
    if buffer.try_reclaim(limits::READ_BUFFER) && buffer.capacity() == limits::READ_BUFFER {
        BUFFERS.with_borrow_mut(|buffers| {
            if buffers.len() < limits::SPARE_BUFFERS {
                buffers.push(buffer);
            }
        });
    }
}

/// For what is written.
pub(crate) fn text() -> Vec<u8> {
    TEXTS.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// As [`keep_buffer`].
pub(crate) fn keep_text(mut text: Vec<u8>) {
    text.clear();
    if (1..=limits::READ_BUFFER).contains(&text.capacity()) {
        TEXTS.with_borrow_mut(|texts| {
            if texts.len() < limits::SPARE_BUFFERS {
                texts.push(text);
            }
        });
    }
}

#[cfg(test)]
mod tests;
