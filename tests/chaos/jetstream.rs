//! The API of JetStream as requests and JSON, asked through whichever server
//! answers. Nothing of it is the product's own, so nothing of the product can
//! hide in it.

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use async_nats::{Client, ConnectOptions, HeaderMap, connection::State};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::timeout;

/// For one answer; then another server is asked.
const ANSWER_TIME: Duration = Duration::from_millis(1500);

/// A connection to each server of a cluster, so that one that is paused, dead
/// or cut off costs one unanswered question and no reconnect.
pub struct JetStream {
    connections: Vec<Client>,
    turn: AtomicUsize,
}

/// What a stream says of itself.
#[derive(Clone, Debug, Default)]
pub struct StreamState {
    pub leader: Option<String>,
    pub last: u64,
    /// Replicas besides the leader, and whether each has all that the leader has.
    pub replicas: HashMap<String, bool>,
}

/// A stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub subject: String,
    pub seq: u64,
    pub payload: Vec<u8>,
}

/// An acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    pub seq: u64,
    pub duplicate: bool,
}

/// Why there is no good answer.
#[derive(Debug)]
pub enum Trouble {
    /// Nobody answered; it may have been done all the same.
    Silence,
    /// Refused with JetStream's error code.
    Refused(u64, String),
}

impl JetStream {
    pub async fn connect(servers: &[SocketAddr]) -> Self {
        let mut connections = Vec::new();
        for server in servers {
            let options = ConnectOptions::new()
                .name("chaos")
                .retry_on_initial_connect()
                .ignore_discovered_servers()
                .connection_timeout(ANSWER_TIME)
                .ping_interval(Duration::from_secs(1))
                .reconnect_delay_callback(|_| Duration::from_millis(100));
            connections.push(options.connect(format!("nats://{server}")).await.expect("an address"));
        }
        Self { connections, turn: AtomicUsize::new(0) }
    }

    /// Asks one server after the other, but not this one.
    async fn ask_avoiding(&self, avoided: Option<usize>, subject: &str, body: &Value) -> Result<Value, Trouble> {
        let mut trouble = Trouble::Silence;
        let payload = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        for server in self.round().filter(|server| Some(*server) != avoided) {
            match self.request(server, subject, HeaderMap::new(), payload.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(next) => trouble = next,
            }
        }
        Err(trouble)
    }

    /// Asks one server after the other.
    ///
    /// # Errors
    /// What the last of them had against it.
    pub async fn ask(&self, subject: &str, body: &Value) -> Result<Value, Trouble> {
        self.ask_avoiding(None, subject, body).await
    }

    /// The servers, each call beginning with another one.
    fn round(&self) -> impl Iterator<Item = usize> + use<> {
        let (start, count) = (self.turn.fetch_add(1, Ordering::Relaxed), self.connections.len());
        (0..count).map(move |step| (start + step) % count)
    }

    async fn request(&self, server: usize, subject: &str, headers: HeaderMap, body: Bytes) -> Result<Value, Trouble> {
        let connection = &self.connections[server];
        // The library would keep a request until it is connected again, far too late.
        if connection.connection_state() != State::Connected {
            return Err(Trouble::Silence);
        }
        let answer = timeout(ANSWER_TIME, connection.request_with_headers(subject.to_owned(), headers, body)).await;
        let Ok(Ok(message)) = answer else { return Err(Trouble::Silence) };
        let answer: Value = serde_json::from_slice(&message.payload).map_err(|_| Trouble::Silence)?;
        match &answer["error"] {
            Value::Null => Ok(answer),
            error => {
                Err(Trouble::Refused(error["err_code"].as_u64().unwrap_or_default(), error["description"].to_string()))
            }
        }
    }

    /// Publishes once, through the server whose turn it is. The id makes a
    /// repetition harmless.
    ///
    /// # Errors
    /// When it was not acknowledged; it may be stored all the same.
    pub async fn publish(&self, subject: &str, id: &str, payload: Bytes) -> Result<Ack, Trouble> {
        let server = self.round().next().expect("a server");
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", id);
        let ack = self.request(server, subject, headers, payload).await?;
        let seq = ack["seq"].as_u64().filter(|seq| *seq > 0).ok_or(Trouble::Silence)?;
        Ok(Ack { seq, duplicate: ack["duplicate"].as_bool().unwrap_or_default() })
    }

    /// Creates a stream on three servers, with what a node needs of it.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn create(&self, stream: &str, subjects: &[&str]) -> Result<Value, Trouble> {
        let config = json!({
            "name": stream, "subjects": subjects, "num_replicas": 3, "storage": "file", "allow_direct": true,
            "retention": "limits", "discard": "old", "duplicate_window": 120_000_000_000_u64,
            "republish": {"src": ">", "dest": format!("ntf.{stream}.>")},
        });
        self.ask(&format!("$JS.API.STREAM.CREATE.{stream}"), &config).await
    }

    /// What the stream says of itself, asked through any server but this one.
    /// None: there is no stream, or nobody answers.
    pub async fn stream_avoiding(&self, avoided: Option<usize>, stream: &str) -> Option<StreamState> {
        let info = self.ask_avoiding(avoided, &format!("$JS.API.STREAM.INFO.{stream}"), &Value::Null).await.ok()?;
        let replicas = info["cluster"]["replicas"].as_array().map(Vec::as_slice).unwrap_or_default();
        let replica = |replica: &Value| {
            let healthy = replica["current"] == true && replica["offline"] != true;
            Some((replica["name"].as_str()?.to_owned(), healthy))
        };
        Some(StreamState {
            leader: info["cluster"]["leader"].as_str().filter(|name| !name.is_empty()).map(ToOwned::to_owned),
            last: info["state"]["last_seq"].as_u64()?,
            replicas: replicas.iter().filter_map(replica).collect(),
        })
    }

    pub async fn stream(&self, stream: &str) -> Option<StreamState> {
        self.stream_avoiding(None, stream).await
    }

    /// How many consumers the stream has now; none: nobody tells.
    pub async fn consumers(&self, stream: &str) -> Option<u64> {
        self.ask(&format!("$JS.API.CONSUMER.NAMES.{stream}"), &json!({})).await.ok()?["total"].as_u64()
    }

    /// Tells the stream's leader to let another one lead.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn step_down(&self, stream: &str) -> Result<Value, Trouble> {
        self.ask(&format!("$JS.API.STREAM.LEADER.STEPDOWN.{stream}"), &Value::Null).await
    }

    /// What the leader has stored under a sequence; none: nothing.
    ///
    /// # Errors
    /// When nobody tells.
    pub async fn stored(&self, stream: &str, seq: u64) -> Result<Option<Message>, Trouble> {
        const NOT_FOUND: u64 = 10037;
        let answer = match self.ask(&format!("$JS.API.STREAM.MSG.GET.{stream}"), &json!({"seq": seq})).await {
            Ok(answer) => answer,
            Err(Trouble::Refused(NOT_FOUND, _)) => return Ok(None),
            Err(trouble) => return Err(trouble),
        };
        let message = &answer["message"];
        let payload = BASE64_STANDARD.decode(message["data"].as_str().unwrap_or_default()).expect("base64");
        let subject = message["subject"].as_str().expect("a subject").to_owned();
        assert_eq!(message["seq"], seq, "JetStream answers another question");
        Ok(Some(Message { subject, seq, payload }))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silence => f.write_str("no answer"),
            Self::Refused(code, why) => write!(f, "refused with {code}: {why}"),
        }
    }
}
