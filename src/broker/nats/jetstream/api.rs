//! JetStream's own requests: one question, one answer.
//!
//! They are written out here because `async-nats` drops the settings of a
//! stream that it does not know, and an update would switch those off.

use std::{sync::Arc, time::Duration};

use async_nats::{Client, client::RequestErrorKind, connection};
use bytes::Bytes;
use serde::{Deserialize, de::DeserializeOwned};

use crate::broker::{nats::jetstream::settings::Settings, stream_error::StreamError};

/// How long a question may take.
const ASK_TIME: Duration = Duration::from_secs(2);

/// How long a change may take: a cluster places replicas first.
const CHANGE_TIME: Duration = Duration::from_secs(5);

/// JetStream's numbers for what has a name here.
const NOT_FOUND: u64 = 10059;
const NAME_IN_USE: u64 = 10058;
const NO_MESSAGE: u64 = 10037;
const NOT_ENABLED: [u64; 2] = [10039, 10076];

/// Its HTTP-like status for what passes.
const PASSING: u64 = 503;

/// Where JetStream is asked.
#[derive(Clone, Debug)]
pub(crate) struct JetStream {
    client: Client,
    /// The prefix of its requests: `$JS.API`, or that of a domain or an import (ADR-19 calls it a custom prefix).
    prefix: Arc<str>,
}

impl JetStream {
    /// Asks by this connection.
    pub(crate) fn new(client: Client, prefix: &str) -> Self {
        Self { client, prefix: prefix.into() }
    }

    /// Version of the server that it is connected to; empty before it is.
    pub(crate) fn server_version(&self) -> String {
        self.client.server_info().version
    }
}

/// Asks for a stream; the type of the answer says what is read of it.
///
/// # Errors
/// See [`StreamError`]; one that does not exist is [`StreamError::Missing`].
pub(crate) async fn info<T: DeserializeOwned>(jetstream: &JetStream, name: &str) -> Result<T, StreamError> {
    ask(jetstream, format!("STREAM.INFO.{name}"), Bytes::new(), ASK_TIME).await
}

/// Asks for a stream and what was deleted from it one by one.
///
/// # Errors
/// See [`StreamError`].
pub(crate) async fn details<T: DeserializeOwned>(jetstream: &JetStream, name: &str) -> Result<T, StreamError> {
    let body = Bytes::from_static(br#"{"deleted_details":true}"#);
    ask(jetstream, format!("STREAM.INFO.{name}"), body, ASK_TIME).await
}

/// An event as the leader of a stream tells it.
#[derive(Deserialize)]
pub(crate) struct StoredMessage {
    pub(crate) seq: u64,
    pub(crate) subject: String,
    /// Its header block, in base64.
    #[serde(default)]
    pub(crate) hdrs: String,
    /// Its data, in base64.
    #[serde(default)]
    pub(crate) data: String,
    /// When it was stored (RFC 3339).
    pub(crate) time: String,
}

/// Asks the leader of a stream for the first event from a sequence on.
///
/// # Errors
/// See [`StreamError`].
pub(crate) async fn next(jetstream: &JetStream, name: &str, seq: u64) -> Result<Option<StoredMessage>, StreamError> {
    #[derive(Deserialize)]
    struct FoundStream {
        message: StoredMessage,
    }
    let body = serde_json::json!({"seq": seq, "next_by_subj": ">"}).to_string();
    match ask(jetstream, format!("STREAM.MSG.GET.{name}"), body.into(), ASK_TIME).await {
        Ok(FoundStream { message }) => Ok(Some(message)),
        Err(StreamError::Refused { code: NO_MESSAGE, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads something of a stream by Direct Get (ADR-31), as nodes do: whether it
/// has an event or not, it answers.
///
/// # Errors
/// See [`StreamError`].
pub(crate) async fn direct_get(jetstream: &JetStream, name: &str) -> Result<(), StreamError> {
    let request = format!("DIRECT.GET.{name}");
    let body = Bytes::from_static(br#"{"seq":1,"next_by_subj":">"}"#);
    match answer(jetstream, &request, body, ASK_TIME).await {
        Ok(_) => Ok(()),
        Err(StreamError::Disabled) => {
            Err(StreamError::NoDirectGet { subject: format!("{}.{request}", jetstream.prefix) })
        }
        Err(error) => Err(error),
    }
}

/// Creates a stream. One that is exactly so already is fine; false when there is
/// one by then that is not.
///
/// # Errors
/// See [`StreamError`].
pub(crate) async fn create(jetstream: &JetStream, settings: &Settings) -> Result<bool, StreamError> {
    match change(jetstream, "CREATE", settings).await {
        Err(StreamError::Refused { code: NAME_IN_USE, .. }) => Ok(false),
        other => other.map(|()| true),
    }
}

/// Replaces the settings of a stream.
///
/// # Errors
/// See [`StreamError`].
pub(crate) async fn update(jetstream: &JetStream, settings: &Settings) -> Result<(), StreamError> {
    change(jetstream, "UPDATE", settings).await
}

async fn change(jetstream: &JetStream, verb: &str, settings: &Settings) -> Result<(), StreamError> {
    /// Nothing of the answer but that there is one.
    #[derive(Deserialize)]
    struct Done {}
    let request = format!("STREAM.{verb}.{}", settings.name);
    let body = serde_json::to_vec(settings)
        .map_err(|problem| StreamError::Unreadable { subject: request.clone(), problem: problem.to_string() })?;
    let Done {} = ask(jetstream, request, body.into(), CHANGE_TIME).await?;
    Ok(())
}

/// An answer is what was asked for, or an error.
#[derive(Deserialize)]
struct Failure {
    error: Option<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    code: u64,
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

async fn ask<T: DeserializeOwned>(
    jetstream: &JetStream,
    request: String,
    body: Bytes,
    patience: Duration,
) -> Result<T, StreamError> {
    let (subject, answer) = answer(jetstream, &request, body, patience).await?;
    read(&answer).unwrap_or_else(|problem| Err(StreamError::Unreadable { subject, problem: problem.to_string() }))
}

/// Where the request went, and what is answered there.
async fn answer(
    JetStream { client, prefix }: &JetStream,
    request: &str,
    body: Bytes,
    patience: Duration,
) -> Result<(String, Bytes), StreamError> {
    let subject = format!("{prefix}.{request}");
    if client.connection_state() != connection::State::Connected {
        return Err(StreamError::Away);
    }
    let question = async_nats::Request::new().payload(body).timeout(Some(patience));
    match client.send_request(subject.clone(), question).await {
        Ok(answer) => Ok((subject, answer.payload)),
        Err(error) => Err(match error.kind() {
            RequestErrorKind::NoResponders => StreamError::Disabled,
            _ if client.connection_state() != connection::State::Connected => StreamError::Away,
            _ => StreamError::Silence { subject },
        }),
    }
}

fn read<T: DeserializeOwned>(answer: &[u8]) -> serde_json::Result<Result<T, StreamError>> {
    Ok(match serde_json::from_slice::<Failure>(answer)?.error {
        None => Ok(serde_json::from_slice(answer)?),
        Some(problem) if problem.err_code == NOT_FOUND => Err(StreamError::Missing),
        Some(problem) if NOT_ENABLED.contains(&problem.err_code) => Err(StreamError::Disabled),
        Some(problem) if problem.code == PASSING => Err(StreamError::Unavailable(problem.description)),
        Some(problem) => Err(StreamError::Refused { code: problem.err_code, description: problem.description }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_jetstream_is_told_apart() {
        type Row = (&'static str, fn(&StreamError) -> bool);
        let rows: [Row; 5] = [
            (r#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#, |error| {
                matches!(error, StreamError::Missing)
            }),
            (r#"{"error":{"code":503,"err_code":10039,"description":"not enabled for account"}}"#, |error| {
                matches!(error, StreamError::Disabled)
            }),
            (r#"{"error":{"code":503,"err_code":10008,"description":"temporarily unavailable"}}"#, |error| {
                matches!(error, StreamError::Unavailable(_)) && error.retryable()
            }),
            (r#"{"error":{"code":400,"err_code":10065,"description":"subjects overlap"}}"#, |error| {
                matches!(error, StreamError::Refused { code: 10065, .. }) && !error.retryable()
            }),
            (r#"{"error":{"code":500}}"#, |error| matches!(error, StreamError::Refused { code: 0, .. })),
        ];
        for (answer, expected) in rows {
            let error = read::<Settings>(answer.as_bytes()).expect("JSON").expect_err(answer);
            assert!(expected(&error), "{answer}: {error}");
        }
        assert!(read::<Settings>(b"no JSON").is_err());
    }
}
