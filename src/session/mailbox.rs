//! The mailbox of a connection: commands that its own task carries out. The task
//! sleeps until its client sends bytes, so a command wakes it.

use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
};

use tokio::sync::oneshot;

use crate::subject::Pattern;

/// Commands that may wait for one connection. Its task carries them out whenever it
/// waits for bytes, so more are a sign of a stuck task.
const COMMANDS: usize = 16;

/// A command to the task of a connection, which alone knows its subscriptions.
#[derive(Debug)]
pub(crate) enum SessionCommand {
    /// Answer with the patterns of all subscriptions.
    ListSubscriptions(oneshot::Sender<Vec<Pattern>>),
}

/// Commands that wait for the task of a connection, and the waker of that task.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    #[expect(clippy::box_collection, reason = "one exists per connection, and is empty nearly always")]
    commands: Option<Box<VecDeque<SessionCommand>>>,
    waker: Option<Waker>,
}

impl Mailbox {
    /// Adds a command and wakes the task; false when too many wait already.
    pub(crate) fn send(&mut self, command: SessionCommand) -> bool {
        let commands = self.commands.get_or_insert_default();
        if commands.len() >= COMMANDS {
            return false;
        }
        commands.push_back(command);
        self.waker.iter().for_each(Waker::wake_by_ref);
        true
    }

    /// The next command; without one, the task is woken when one comes.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<SessionCommand> {
        if let Some(command) = self.commands.as_mut().and_then(|commands| commands.pop_front()) {
            return Poll::Ready(command);
        }
        self.commands = None;
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            self.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl std::task::Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn command() -> SessionCommand {
        SessionCommand::ListSubscriptions(oneshot::channel().0)
    }

    #[test]
    fn a_command_wakes_the_task_that_waits_and_is_taken_once() {
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        let mut context = Context::from_waker(&waker);
        let mut mailbox = Mailbox::default();
        // Before the task has waited for the first time: found when it does.
        assert!(mailbox.send(command()));
        assert!(mailbox.poll_next(&mut context).is_ready());
        assert!(mailbox.poll_next(&mut context).is_pending());
        assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
        assert!(mailbox.send(command()));
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert!(mailbox.poll_next(&mut context).is_ready());
        assert!(mailbox.poll_next(&mut context).is_pending());
    }

    #[test]
    fn a_full_mailbox_takes_no_more() {
        let mut mailbox = Mailbox::default();
        assert!((0..COMMANDS).all(|_| mailbox.send(command())));
        assert!(!mailbox.send(command()));
    }

    /// One exists per connection.
    #[test]
    fn it_fits_into_24_bytes() {
        assert!(size_of::<Mailbox>() <= 24, "{} bytes", size_of::<Mailbox>());
    }
}
