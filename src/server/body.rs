//! The body of a request, up to a size and within a time.

use std::{error::Error, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
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
    match timeout(time, whole(Limited::new(body, most))).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Refusal::new(Code::BadRequest, "the body ended before it was complete")),
        Err(_) => Err(Refusal::new(Code::Timeout, "the body took too long")),
    }
}

/// All of it in memory of its own: a piece as it comes holds the buffer that it
/// was read into, however short it is.
async fn whole<B>(body: B) -> Result<Bytes, Box<dyn Error + Send + Sync>>
where
    B: Body<Data = Bytes, Error = Box<dyn Error + Send + Sync>>,
{
    let mut body = std::pin::pin!(body);
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole.into_boxed_slice().into())
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        convert::Infallible,
        pin::Pin,
        sync::Arc,
        task::{Context, Poll},
    };

    use hyper::body::Frame;

    use super::*;

    /// Pieces as they come.
    struct Pieces(VecDeque<Bytes>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
        }
    }

    /// The buffer that a connection reads into.
    struct Buffer(Arc<Vec<u8>>);

    impl AsRef<[u8]> for Buffer {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    #[tokio::test]
    async fn a_body_in_small_pieces_holds_none_of_the_buffers_that_they_came_in() {
        let buffer = Arc::new(vec![b'x'; 16 * 1024]);
        let pieces = (0..1_000).map(|at| Bytes::from_owner(Buffer(buffer.clone())).slice(at..=at)).collect();
        let body = whole(Limited::new(Pieces(pieces), 1_000)).await.expect("it is short enough");
        assert_eq!(body, [b'x'; 1_000][..]);
        assert_eq!(Arc::strong_count(&buffer), 1);
    }
}
