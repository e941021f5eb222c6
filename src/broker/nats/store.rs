//! Publishing into a stream: done when JetStream says that the event is stored.

use std::{sync::Arc, time::Duration};

use async_nats::{Client, HeaderMap, RequestErrorKind};
use serde::Deserialize;

use crate::broker::{message::Message, publish_error::PublishError, stored::Receipt};

/// How long a stream may take to acknowledge: an election takes some seconds.
const ACK_TIME: Duration = Duration::from_secs(5);

/// Says into which stream the event must go: another one that took the subject
/// over would acknowledge it too.
const EXPECTED_STREAM: &str = "Nats-Expected-Stream";

/// JetStream's code for an event larger than its stream takes.
const TOO_LARGE: u32 = 10054;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Ack {
    seq: u64,
    duplicate: bool,
    error: Option<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

/// Publishes, and waits until it is stored.
pub(crate) async fn store(
    client: &Client,
    stream: &Arc<str>,
    message: Message,
    mut headers: HeaderMap,
) -> Result<Receipt, PublishError> {
    headers.insert(EXPECTED_STREAM, &**stream);
    let request = async_nats::Request::new().headers(headers).payload(message.envelope.data).timeout(Some(ACK_TIME));
    let sent = tokio::time::timeout(2 * ACK_TIME, client.send_request(message.subject.as_str().to_owned(), request));
    let answer = match sent.await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            return Err(match error.kind() {
                RequestErrorKind::NoResponders => PublishError::NoStream,
                RequestErrorKind::TimedOut => PublishError::Unconfirmed,
                RequestErrorKind::MaxPayloadExceeded => {
                    PublishError::TooLarge { max: client.server_info().max_payload }
                }
                _ => PublishError::Unavailable,
            });
        }
        Err(_) => return Err(PublishError::Unconfirmed),
    };
    let ack: Ack = serde_json::from_slice(&answer.payload)
        .map_err(|_| PublishError::Refused("something that is no stream answered".into()))?;
    match ack {
        Ack { error: None, seq, duplicate } if seq > 0 => Ok(Receipt { seq, duplicate }),
        Ack { error: Some(problem), .. } if problem.err_code == TOO_LARGE => {
            Err(PublishError::Refused("the event is larger than its stream takes".into()))
        }
        Ack { error: Some(problem), .. } => Err(PublishError::Refused(problem.description)),
        Ack { .. } => Err(PublishError::Refused("something that is no stream answered".into())),
    }
}
