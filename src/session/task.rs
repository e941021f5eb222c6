//! The task of a connection, which nearly always waits for bytes. The future
//! exists once per client, so it is written by hand: while the client is silent
//! it holds the session and nothing else. The work that a frame asks for is a
//! future of its own, on the heap, for as long as it lasts.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use crate::session::websocket_session::WebSocketSession;

/// The task of a connection; resolves when the connection has ended.
pub(crate) enum ConnectionTask {
    /// For bytes.
    Waiting(WebSocketSession),
    /// On what they say; gives the session back unless it ended.
    Working(Pin<Box<dyn Future<Output = Option<WebSocketSession>> + Send>>),
    /// Over, or just being looked at: a panic meanwhile drops the session while
    /// it unwinds, which tells the client why.
    Over,
}

impl ConnectionTask {
    pub(crate) fn of(session: WebSocketSession) -> Self {
        // It may have sent more right behind its `connect`.
        if session.is_settled() {
            return Self::Waiting(session);
        }
        Self::Working(Box::pin(session.work((Vec::new(), Ok(())))))
    }
}

impl Future for ConnectionTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match mem::replace(&mut *self, Self::Over) {
                Self::Waiting(mut session) => match session.poll_read(context) {
                    Poll::Pending => {
                        *self = Self::Waiting(session);
                        return Poll::Pending;
                    }
                    Poll::Ready(read) if session.needs_nothing(&read) => *self = Self::Waiting(session),
                    Poll::Ready(read) => *self = Self::Working(Box::pin(session.work(read))),
                },
                Self::Working(mut work) => match work.as_mut().poll(context) {
                    Poll::Pending => {
                        *self = Self::Working(work);
                        return Poll::Pending;
                    }
                    Poll::Ready(Some(session)) => *self = Self::Waiting(session),
                    Poll::Ready(None) => return Poll::Ready(()),
                },
                Self::Over => return Poll::Ready(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A task is this future, 16 bytes of bookkeeping of ours and some 110 of
    /// tokio, rounded up to a multiple of 128 bytes: 256 in all.
    #[test]
    fn it_fits_into_the_smallest_task() {
        assert!(size_of::<ConnectionTask>() <= 128, "{} bytes", size_of::<ConnectionTask>());
    }
}
