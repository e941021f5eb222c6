//! What a client of stored events has, and what may come next.

use notifier::proto::{Event, server_frame::Body};

use crate::node::{Client, number};

/// The last event. Those with odd numbers are on `shop.a`, the others on `shop.b`.
pub(crate) const LAST: u64 = 6;

pub(crate) fn subject(number: u64) -> &'static str {
    if number % 2 == 1 { "shop.a" } else { "shop.b" }
}

/// What a client has of the stream.
#[derive(Default)]
pub(crate) struct Progress {
    /// Everything up to here, once it is known where it began.
    pub(crate) at: Option<u64>,
    /// Whether it is subscribed.
    pub(crate) live: bool,
    /// Which events are for it.
    pub(crate) share: Share,
    /// The last event that the connection was sent.
    pub(crate) seen: u64,
    /// Whether another subscription of the connection may bring what is not for this one.
    pub(crate) others: bool,
}

/// Which of the events that match are for somebody.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) enum Share {
    #[default]
    All,
    /// From some event on those on `shop.a` only.
    Less,
    /// Those on `shop.a`.
    Half,
}

impl Progress {
    pub(crate) fn after(seq: u64) -> Self {
        Self { at: Some(seq), ..Self::default() }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.live && self.at >= Some(if self.share == Share::All { LAST } else { LAST - 1 })
    }

    /// Takes a frame; it has to be the next one.
    pub(crate) fn take(&mut self, frame: &Body) {
        match frame {
            Body::Subscribed(subscribed) => {
                let [position] = &subscribed.positions[..] else { panic!("{subscribed:?}") };
                assert!(!self.live, "told twice");
                self.live = true;
                let had = self.at.unwrap_or(position.seq);
                assert!(had == position.seq || self.passes_over(had, position.seq + 1), "{position:?} behind {had}");
                self.at = Some(position.seq);
            }
            Body::Replay(replay) => {
                assert!(!self.live && !replay.snapshot);
                replay.events.iter().for_each(|event| self.event(event));
            }
            Body::Event(event) => {
                assert!(self.live || self.others, "before `subscribed`");
                assert!(event.seq > self.seen, "{} behind {}", event.seq, self.seen);
                if !self.others || (self.live && self.at < Some(event.seq)) {
                    self.event(event);
                }
                self.seen = event.seq;
            }
            Body::Ping(ping) => {
                for position in &ping.positions {
                    let has = self.at.expect("a beginning");
                    assert!(has >= position.seq, "told to have {} with {has}", position.seq);
                }
            }
            other => panic!("{other:?}"),
        }
    }

    /// The same for who has subscribed again, and may be told again: where it is by then at the most.
    pub(crate) fn take_again(&mut self, frame: &Body) {
        match frame {
            Body::Subscribed(subscribed) if self.live => {
                let [position] = &subscribed.positions[..] else { panic!("{subscribed:?}") };
                assert!(Some(position.seq) <= self.at, "{position:?} behind {:?}", self.at);
            }
            frame => self.take(frame),
        }
    }

    fn event(&mut self, event: &Event) {
        assert_eq!(event.seq, number(event));
        let had = self.at.expect("a beginning");
        let denied = self.share == Share::Half && event.seq.is_multiple_of(2);
        assert!(!denied && (event.seq == had + 1 || self.passes_over(had, event.seq)), "{} behind {had}", event.seq);
        self.at = Some(event.seq);
    }

    /// Whether what comes between is the one event that is not for it.
    fn passes_over(&self, had: u64, next: u64) -> bool {
        self.share != Share::All && next == had + 2 && (had + 1).is_multiple_of(2)
    }

    pub(crate) async fn read_on(&mut self, client: &mut Client) {
        while !self.is_done() {
            let frame = client.peer.next().await;
            self.take(&frame);
        }
    }
}
