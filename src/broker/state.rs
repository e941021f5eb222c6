//! Whether the broker is there.

use tokio::sync::watch;

/// One state of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Never connected since the start.
    Starting,
    /// Connected.
    Up,
    /// Was connected and is not.
    Down,
}

impl Link {
    /// Its name in `ping` frames and on `/readyz`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Up => "ok",
            Self::Starting | Self::Down => "down",
        }
    }
}

/// The state, now and as it changes. The broker sets it, others watch.
#[derive(Debug)]
pub struct BrokerState(watch::Sender<Link>);

impl BrokerState {
    pub(crate) fn new(link: Link) -> Self {
        Self(watch::Sender::new(link))
    }

    /// Records what was observed; watchers hear of changes only.
    pub(crate) fn observe(&self, connected: bool) {
        self.0.send_if_modified(|link| {
            let seen = match (connected, *link) {
                (true, _) => Link::Up,
                (false, Link::Starting) => Link::Starting,
                (false, _) => Link::Down,
            };
            std::mem::replace(link, seen) != seen
        });
    }

    /// The state now.
    pub fn link(&self) -> Link {
        *self.0.borrow()
    }

    /// The state as it changes.
    pub fn watch(&self) -> watch::Receiver<Link> {
        self.0.subscribe()
    }

    /// Resolves when the broker is there.
    pub async fn up(&self) {
        // Fails only when the sender is gone, and it is borrowed here.
        let _ = self.0.subscribe().wait_for(|link| *link == Link::Up).await;
    }
}
