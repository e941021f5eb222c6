//! A request in flight that its client may give up.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{
    FutureExt as _,
    future::{AbortHandle, Abortable, BoxFuture},
};

/// A request in flight. It resolves with its answer, or with nothing once it is
/// cancelled.
pub(crate) struct Cancellable<T> {
    id: u64,
    work: Abortable<BoxFuture<'static, T>>,
    handle: AbortHandle,
}

impl<T> Cancellable<T> {
    pub(crate) fn new(id: u64, work: impl Future<Output = T> + Send + 'static) -> Self {
        let (handle, registration) = AbortHandle::new_pair();
        Self { id, work: Abortable::new(Box::pin(work), registration), handle }
    }

    /// The correlation number of the request.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Whether the request was given up; it is dropped when it is polled next.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.work.is_aborted()
    }

    /// Gives the request up.
    pub(crate) fn cancel(&self) {
        self.handle.abort();
    }
}

impl<T> Future for Cancellable<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.work.poll_unpin(context).map(Result::ok)
    }
}
