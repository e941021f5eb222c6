//! The body of an answer in portions: what the HTTP library has not asked for
//! yet stays where it is counted, and is not copied into its buffers.
//!
//! # The time of an answer
//!
//! A body whose length is known from the start has `limits.answer_time` for all
//! of it, from the moment at which the answer was made.
//!
//! A body without a known length is a stream, and may last for ever. Its time
//! begins anew with each portion, and stands still while the HTTP library waits
//! for the source of the stream. The library asks for the next portion as soon
//! as its buffer (`limits.header_bytes`) has room. So a stream ends when its
//! client takes nothing for `limits.answer_time` while more than a buffer waits
//! for it, and neither silence of the source nor the age of the stream ends it.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, SizeHint};

use crate::socket::HttpProgress;

/// Bytes that are handed over at once: as much as the kernel takes at most by
/// default (`limits.send_buffer`).
const PORTION: usize = 64 * 1024;

/// The body of an answer on its way. Dropping it says that the HTTP library has
/// all of it.
#[derive(Debug)]
pub(crate) struct Portions {
    body: UnsyncBoxBody<Bytes, Infallible>,
    /// The rest of the piece that was begun.
    rest: Bytes,
    is_stream: bool,
    progress: Arc<HttpProgress>,
}

impl Portions {
    pub(crate) fn new(body: UnsyncBoxBody<Bytes, Infallible>, progress: Arc<HttpProgress>) -> Self {
        let is_stream = body.size_hint().exact().is_none();
        Self { body, rest: Bytes::new(), is_stream, progress }
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
        let mut frame = None;
        if self.rest.is_empty() {
            let Poll::Ready(next) = Pin::new(&mut self.body).poll_frame(context) else {
                if self.is_stream {
                    // As before the answer: who makes it decides how long that takes.
                    self.progress.asked();
                }
                return Poll::Pending;
            };
            match next.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.rest = data,
                Some(Ok(Err(trailers))) => frame = Some(Ok(trailers)),
                None => frame = None,
            }
        }
        if self.is_stream {
            self.progress.answered();
        }
        if !self.rest.is_empty() {
            let portion = PORTION.min(self.rest.len());
            frame = Some(Ok(Frame::data(self.rest.split_to(portion))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::stream::{self, Stream, StreamExt as _};
    use http_body_util::{BodyExt as _, Full, StreamBody};
    use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
    use hyper_util::rt::TokioIo;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
        time::sleep,
    };

    use super::*;
    use crate::socket::{HttpTimes, Overdue, Strict};

    /// Short, but for a busy machine long beside the waits of a source.
    const ANSWER_TIME: Duration = Duration::from_millis(400);

    #[tokio::test]
    async fn all_of_it_comes_in_order_and_its_length_is_known_from_the_start() {
        for length in [0, 1, PORTION, PORTION + 1, 3 * PORTION + 7] {
            let whole: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
            let mut portions = Portions::new(Full::from(whole.clone()).boxed_unsync(), HttpProgress::new());
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

    /// Answers one request with a stream, as a listener does. None: all of the
    /// answer has left.
    async fn answer<S>(connection: DuplexStream, source: fn() -> S) -> Option<Overdue>
    where
        S: Stream<Item = Bytes> + Send + 'static,
    {
        let progress = &HttpProgress::new();
        let service = service_fn(|_: Request<Incoming>| async move {
            progress.asked();
            let body = StreamBody::new(source().map(|data| Ok(Frame::data(data)))).boxed_unsync();
            progress.answered();
            Ok::<_, Infallible>(Response::new(Portions::new(body, progress.clone())))
        });
        let strict = TokioIo::new(Strict::new(connection, progress.clone()));
        let connection = http1::Builder::new().max_buf_size(16 * 1024).serve_connection(strict, service);
        let long = Duration::from_secs(600);
        tokio::select! {
            biased;
            ended = connection => {
                ended.expect("the client reads to the end");
                None
            }
            overdue = progress.overdue(HttpTimes { head: long, idle: long, answer: ANSWER_TIME }) => Some(overdue),
        }
    }

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

    #[tokio::test]
    async fn a_stream_that_is_read_outlives_the_time_of_an_answer_and_may_be_silent_for_longer() {
        let (mut client, server) = duplex(1024);
        let source = || {
            stream::unfold(0_u32, |count| async move {
                // Twelve waits make twice the time, and the last one alone does.
                sleep(if count == 12 { 2 * ANSWER_TIME } else { ANSWER_TIME / 6 }).await;
                (count <= 12).then(|| (Bytes::from_static(b"tick"), count + 1))
            })
        };
        let reading = async {
            client.write_all(REQUEST).await.expect("the node reads");
            let mut text = String::new();
            client.read_to_string(&mut text).await.expect("text");
            text
        };
        let (overdue, text) = tokio::join!(answer(server, source), reading);
        assert_eq!((overdue, text.matches("tick").count()), (None, 13));
        assert!(text.ends_with("0\r\n\r\n"), "{text}");
    }

    #[tokio::test]
    async fn a_stream_that_nobody_reads_is_overdue() {
        let (mut client, server) = duplex(1024);
        let source = || stream::repeat_with(|| Bytes::from(vec![b'x'; 4 * PORTION]));
        client.write_all(REQUEST).await.expect("the node reads");
        assert_eq!(answer(server, source).await, Some(Overdue::Answer));
        drop(client);
    }
}
