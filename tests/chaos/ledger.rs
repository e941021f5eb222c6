//! What the stream really holds, read back from its leader sequence by
//! sequence: the truth that everything else is compared with.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};
use notifier::subject::Subject;

use super::{
    jetstream::{JetStream, Message},
    patience::until,
    publisher::Body,
};

/// Questions to the leader at the same time.
const AT_A_TIME: usize = 32;

/// Every stored event by its sequence.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub events: BTreeMap<u64, Stored>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub subject: Subject,
    pub event: u64,
}

impl Ledger {
    /// Reads the whole stream, up to this sequence.
    pub async fn read(jetstream: &JetStream, name: &str, last: u64) -> Self {
        let message = |seq| async move {
            until("an answer about a stored message", || async { jetstream.stored(name, seq).await.ok() }).await
        };
        let messages = stream::iter(1..=last).map(message).buffer_unordered(AT_A_TIME);
        let events = messages.filter_map(|message| std::future::ready(message.map(entry))).collect().await;
        Self { events }
    }
}

fn entry(message: Message) -> (u64, Stored) {
    let body: Body = serde_json::from_slice(&message.payload).expect("an event of the publisher");
    let subject = Subject::parse(&message.subject).expect("a subject");
    (message.seq, Stored { subject, event: body.event })
}
