//! The content of the stream, read back from its leader sequence by sequence:
//! the truth that everything else is compared with.

use futures_util::{StreamExt as _, stream};
use notifier::subject::Subject;
use notifier_verify::ledger::{Ledger, Owed};

use super::{jetstream::JetStream, patience::until, publisher::Body};

/// Questions to the leader at the same time.
const AT_A_TIME: usize = 32;

/// Reads the whole stream, up to this sequence.
pub async fn read(jetstream: &JetStream, name: &str, last: u64) -> Ledger {
    let message = |seq| async move {
        until("an answer about a stored message", || async { jetstream.stored(name, seq).await.ok() }).await
    };
    let messages: Vec<_> = stream::iter(1..=last).map(message).buffered(AT_A_TIME).collect().await;
    let mut ledger = Ledger::default();
    for message in messages.into_iter().flatten() {
        let body: Body = serde_json::from_slice(&message.payload).expect("an event of the publisher");
        let subject = Subject::parse(&message.subject).expect("a subject");
        ledger.store(name, Owed::Each, &subject, message.seq, body.event);
    }
    ledger
}
