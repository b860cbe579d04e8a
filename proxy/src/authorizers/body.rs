//! The body of a request that an authorizer is told: held whole, up to the limit that its object sets, and sent on from there.

use crate::http::Stop;
use crate::http::down::{self, Downstream};
use bytes::{Bytes, BytesMut};
use model::{Fault, RequestHead, ResponseHead};
use std::sync::Arc;
use transport::body::Length;

pub fn too_long(most: u32, by: &Arc<str>) -> Stop {
    let why = format!("the body is longer than the {most} bytes that the authorizer of {by} is told");
    Stop { by: Some(by.clone()), ..Stop::new(Fault::BodyTooLarge, why) }
}

/// Reads the body whole; `None` where there is none. One that is longer is never told in part, for what is decided on a part is not decided on the rest.
///
/// # Errors
/// If it is longer than `most`, or breaks off.
pub async fn hold(down: &mut Downstream<'_>, head: &mut RequestHead, most: u32, by: &Arc<str>) -> Result<Option<Bytes>, Stop> {
    let bytes = most as usize;
    match down.from.length() {
        Length::None => return Ok(None),
        Length::Known(length) if length > bytes as u64 => return Err(too_long(most, by)),
        Length::Known(_) | Length::Open => {}
    }
    if head.headers.remove("expect") {
        // The caller waits to be asked for it.
        down.to.inform(&mut ResponseHead::with_status(100), &head.method, head.version).await?;
    }
    let mut body = down.from.body();
    let mut whole = BytesMut::new();
    let fits = loop {
        match body.chunk().await? {
            None => break true,
            Some(piece) if whole.len() + piece.len() > bytes => break false,
            Some(piece) => whole.extend_from_slice(&piece),
        }
    };
    let left = down::left(body);
    down.from.put_back(left);
    if fits { Ok(Some(whole.freeze())) } else { Err(too_long(most, by)) }
}
