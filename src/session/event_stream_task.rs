//! The task of an event stream. The client says nothing after its request, so the
//! task waits for the end of the connection; all that the client receives is written
//! by those who have it. Written by hand, as the task of a WebSocket is.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use crate::{close::CloseReason, session::subscriber::Subscriber};

/// Bytes read at once; they count for nothing.
const READ_BYTES: usize = 256;

/// The task of an event stream; resolves when the connection has ended.
pub(crate) struct EventStreamTask(Subscriber);

impl EventStreamTask {
    pub(crate) fn of(subscriber: Subscriber) -> Self {
        Self(subscriber)
    }
}

impl Future for EventStreamTask {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self(subscriber) = &*self;
        let outbox = subscriber.outbox();
        loop {
            subscriber.carry_out_commands(context);
            let mut ignored = [0; READ_BYTES];
            let read = ready!(outbox.wire().poll_readable(context)).and_then(|()| outbox.wire().try_read(&mut ignored));
            match read {
                // Of a client that still says something there is nothing to take.
                Ok(1..) => {}
                // Readiness may be stale.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) => {
                    outbox.close(CloseReason::Normal);
                    return Poll::Ready(());
                }
                Err(_) => return Poll::Ready(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As for the task of a WebSocket, which is larger.
    #[test]
    fn it_fits_into_the_smallest_task() {
        assert!(size_of::<EventStreamTask>() <= 128, "{} bytes", size_of::<EventStreamTask>());
    }
}
