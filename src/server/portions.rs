//! The body of an answer in portions: what the HTTP library has not asked for
//! yet stays where it is counted, and is not copied into its buffers.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

use crate::socket::HttpProgress;

/// Bytes that are handed over at once: as much as the kernel takes at most by
/// default (`limits.send_buffer`).
const PORTION: usize = 64 * 1024;

/// A body that is all there. Dropping it says that the HTTP library has it.
#[derive(Debug)]
pub(crate) struct Portions {
    whole: Full<Bytes>,
    /// What is left of it, once it has been begun.
    rest: Bytes,
    progress: Arc<HttpProgress>,
}

impl Portions {
    pub(crate) fn new(whole: Full<Bytes>, progress: Arc<HttpProgress>) -> Self {
        Self { whole, rest: Bytes::new(), progress }
    }
}

impl Drop for Portions {
    fn drop(&mut self) {
        self.progress.handed_over();
    }
}

impl Body for Portions {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.whole).poll_frame(context)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.rest = data,
                _ => return Poll::Ready(None),
            }
        }
        let portion = PORTION.min(self.rest.len());
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(portion)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.whole.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64 + self.whole.size_hint().lower())
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn all_of_it_comes_in_order_and_its_length_is_known_from_the_start() {
        for length in [0, 1, PORTION, PORTION + 1, 3 * PORTION + 7] {
            let whole: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
            let mut portions = Portions::new(Full::from(whole.clone()), HttpProgress::new());
            assert_eq!(portions.size_hint().exact(), Some(length as u64));
            assert_eq!(portions.is_end_stream(), length == 0);
            let mut got = Vec::new();
            while let Some(frame) = portions.frame().await {
                let data = frame.expect("it cannot fail").into_data().expect("data");
                assert!(data.len() <= PORTION);
                got.extend_from_slice(&data);
                assert_eq!(portions.size_hint().exact(), Some((length - got.len()) as u64));
            }
            assert!(got == whole && portions.is_end_stream());
        }
    }
}
