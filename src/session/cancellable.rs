//! A request in flight that its client may give up.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures_util::{FutureExt as _, future::BoxFuture};

/// A request in flight. It resolves with its answer, or with nothing once it is
/// cancelled; the work that it stands for is dropped at once then.
pub(crate) struct Cancellable<T> {
    id: u64,
    work: Option<BoxFuture<'static, T>>,
    waker: Option<Waker>,
}

impl<T> Cancellable<T> {
    pub(crate) fn new(id: u64, work: impl Future<Output = T> + Send + 'static) -> Self {
        Self { id, work: Some(Box::pin(work)), waker: None }
    }

    /// The correlation number of the request.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Whether the request was given up; it is dropped when it is polled next.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.work.is_none()
    }

    /// Gives the request up.
    pub(crate) fn cancel(&mut self) {
        self.work = None;
        self.waker.take().into_iter().for_each(Waker::wake);
    }
}

impl<T> Future for Cancellable<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let Some(work) = &mut self.work else { return Poll::Ready(None) };
        let done = work.poll_unpin(context);
        if done.is_pending() {
            self.waker = Some(context.waker().clone());
        }
        done.map(Some)
    }
}
