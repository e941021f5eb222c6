//! The body of a request, up to a size and within a time.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::error::{Code, Refusal};

/// Reads all of it.
///
/// # Errors
/// `too_large` where it has more than `most` bytes, `bad_request`, `timeout`.
pub(crate) async fn read(
    body: Incoming,
    most: usize,
    time: Duration,
    too_large: impl FnOnce() -> Refusal,
) -> Result<Bytes, Refusal> {
    match timeout(time, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Refusal::new(Code::BadRequest, "the body ended before it was complete")),
        Err(_) => Err(Refusal::new(Code::Timeout, "the body took too long")),
    }
}
