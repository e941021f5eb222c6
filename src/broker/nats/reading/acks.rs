//! Events that were published into streams and are not acknowledged yet
//! (ADR-1). A subscriber of a stored event's subject sees where its
//! acknowledgement goes and may answer too. So an answer counts only if it is
//! an acknowledgement, and of the stream that was meant; any other one is
//! passed over.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde::Deserialize;
use tokio::{sync::oneshot, time::timeout};

use crate::{
    broker::{
        nats::reading::{headers, parser::Raw, request_replies::number},
        publish_error::PublishError,
        stored::Receipt,
    },
    sync::Mutex,
};

/// The server's word for: no stream listens there.
const NOBODY: u16 = 503;

/// JetStream's code for an event larger than its stream takes.
const TOO_LARGE: u32 = 10054;

type AckOutcome = Result<Receipt, PublishError>;

/// Acknowledgements to come, by the number that ends their reply subject.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    pending: Mutex<HashMap<u64, PendingAck>>,
}

#[derive(Debug)]
struct PendingAck {
    /// The stream that has to acknowledge.
    stream: Arc<str>,
    done: oneshot::Sender<AckOutcome>,
    /// The fault of the last answer that was passed over.
    odd: Option<String>,
}

/// An acknowledgement that is waited for. Dropping it gives it up.
#[derive(Debug)]
pub(crate) struct AwaitedAck {
    number: u64,
    acks: Arc<Acks>,
    outcome: oneshot::Receiver<AckOutcome>,
}

/// The acknowledgement of JetStream for a published message.
#[derive(Default, Deserialize)]
#[serde(default)]
struct PubAck {
    stream: String,
    seq: u64,
    duplicate: bool,
    error: Option<AckProblem>,
}

#[derive(Deserialize)]
struct AckProblem {
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

impl Acks {
    /// Awaits the acknowledgement of a stream under a number.
    pub(crate) fn expect(self: &Arc<Self>, number: u64, stream: &Arc<str>) -> AwaitedAck {
        let (done, outcome) = oneshot::channel();
        self.pending.lock().insert(number, PendingAck { stream: stream.clone(), done, odd: None });
        AwaitedAck { number, acks: self.clone(), outcome }
    }

    /// Takes an answer in.
    pub(crate) fn receive(&self, raw: &Raw<'_>) {
        let Some(number) = number(raw.subject) else { return };
        let mut pending = self.pending.lock();
        // A second acknowledgement, or one that was given up.
        let Some(awaited) = pending.get_mut(&number) else { return };
        match read(raw, &awaited.stream) {
            Ok(outcome) => {
                if let Some(PendingAck { done, .. }) = pending.remove(&number) {
                    // Nobody waits for it any more: so be it.
                    let _ = done.send(outcome);
                }
            }
            Err(odd) => awaited.odd = Some(odd),
        }
    }

    /// Whether nothing is waited for.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.lock().is_empty()
    }

    /// The connection is gone: whether these were stored is not known.
    pub(crate) fn lost(&self) {
        for (_, PendingAck { done, .. }) in self.pending.lock().drain() {
            let _ = done.send(Err(PublishError::Unconfirmed));
        }
    }
}

impl AwaitedAck {
    /// The end of the reply subject.
    pub(crate) fn name(&self) -> String {
        format!("{:016x}", self.number)
    }

    /// Waits at most `patience` for the acknowledgement.
    pub(crate) async fn outcome(&mut self, patience: Duration) -> AckOutcome {
        match timeout(patience, &mut self.outcome).await {
            Ok(outcome) => outcome.unwrap_or(Err(PublishError::Unconfirmed)),
            Err(_) => {
                let odd = self.acks.pending.lock().remove(&self.number).and_then(|pending| pending.odd);
                Err(odd.map_or(PublishError::Unconfirmed, PublishError::Refused))
            }
        }
    }
}

impl Drop for AwaitedAck {
    fn drop(&mut self) {
        self.acks.pending.lock().remove(&self.number);
    }
}

/// The outcome that an answer reports for the event; or why it reports none.
fn read(raw: &Raw<'_>, stream: &str) -> Result<AckOutcome, String> {
    if raw.payload.is_empty() && raw.headers.and_then(headers::status).is_some_and(|(status, _)| status == NOBODY) {
        return Ok(Err(PublishError::NoStream));
    }
    let no_stream = || "something that is no stream answered".to_owned();
    match serde_json::from_slice::<PubAck>(raw.payload).map_err(|_| no_stream())? {
        PubAck { error: Some(problem), .. } if problem.err_code == TOO_LARGE => {
            Ok(Err(PublishError::Refused("the event is larger than its stream takes".into())))
        }
        PubAck { error: Some(problem), .. } => Ok(Err(PublishError::Refused(problem.description))),
        PubAck { stream: name, seq, duplicate, .. } if name == stream && seq > 0 => Ok(Ok(Receipt { seq, duplicate })),
        PubAck { stream: name, seq: 1.., .. } if !name.is_empty() => {
            let name: String = name.chars().take(64).collect();
            Err(format!("the stream {name:?} acknowledged it, and not `{stream}`"))
        }
        PubAck { .. } => Err(no_stream()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBJECT: &[u8] = b"_INBOX.n.1f";

    fn answer<'b>(headers: Option<&'b [u8]>, payload: &'b [u8]) -> Raw<'b> {
        Raw { sid: 1, subject: SUBJECT, headers, payload }
    }

    #[tokio::test]
    async fn only_the_stream_that_was_meant_can_acknowledge() {
        let acks = Arc::<Acks>::default();
        let mut awaited = acks.expect(0x1f, &"SHOP".into());
        assert_eq!(awaited.name(), "000000000000001f");
        let odd: [(Option<&[u8]>, &[u8]); 7] = [
            (Some(b"NATS/1.0\r\nName: J\xfcrgen\r\n\r\n"), b"thanks"),
            (None, b""),
            (None, b"{}"),
            (None, b"[1]"),
            (None, br#"{"stream":"SHOP","seq":0}"#),
            (None, br#"{"stream":"OTHER","seq":7}"#),
            (None, br#"{"seq":7}"#),
        ];
        for (headers, payload) in odd {
            acks.receive(&answer(headers, payload));
        }
        // Bad headers do not make an acknowledgement another one.
        acks.receive(&answer(
            Some(b"NATS/1.0\r\nName: J\xfcrgen\r\n\r\n"),
            br#"{"stream":"SHOP","seq":3,"duplicate":true}"#,
        ));
        acks.receive(&answer(None, br#"{"stream":"SHOP","seq":4}"#));
        let receipt = awaited.outcome(Duration::from_secs(5)).await.expect("it is stored");
        assert_eq!(receipt, Receipt { seq: 3, duplicate: true });
    }

    #[tokio::test]
    #[allow(clippy::type_complexity)] // a table of rows
    async fn what_is_wrong_is_told() {
        let other = r#"the stream "OTHER" acknowledged it, and not `SHOP`"#;
        let rows: [(Option<&[u8]>, &[u8], &str); 6] = [
            (Some(b"NATS/1.0 503\r\n\r\n"), b"", "nobody serves the stream"),
            (
                None,
                br#"{"error":{"code":400,"err_code":10054}}"#,
                "the stream refuses: the event is larger than its stream takes",
            ),
            (
                None,
                br#"{"error":{"code":400,"err_code":10060,"description":"another"},"seq":0}"#,
                "the stream refuses: another",
            ),
            (None, br#"{"stream":"OTHER","seq":7}"#, &format!("the stream refuses: {other}")),
            (None, b"thanks", "the stream refuses: something that is no stream answered"),
            (Some(b"NATS/1.0 503\r\n\r\n"), b"x", "the stream refuses: something that is no stream answered"),
        ];
        for (headers, payload, expected) in rows {
            let acks = Arc::<Acks>::default();
            let mut awaited = acks.expect(0x1f, &"SHOP".into());
            acks.receive(&answer(headers, payload));
            let error = awaited.outcome(Duration::from_millis(1)).await.expect_err(expected);
            assert_eq!(error.to_string(), expected);
        }
    }

    #[tokio::test]
    async fn nothing_is_left_of_what_is_given_up_or_lost() {
        let acks = Arc::<Acks>::default();
        drop(acks.expect(1, &"SHOP".into()));
        let mut awaited = acks.expect(2, &"SHOP".into());
        acks.lost();
        let error = awaited.outcome(Duration::from_secs(5)).await.expect_err("it is lost");
        assert!(matches!(error, PublishError::Unconfirmed) && acks.pending.lock().is_empty());
        let mut silent = acks.expect(3, &"SHOP".into());
        let error = silent.outcome(Duration::from_millis(1)).await.expect_err("nobody answers");
        assert!(matches!(error, PublishError::Unconfirmed) && acks.pending.lock().is_empty());
    }
}
