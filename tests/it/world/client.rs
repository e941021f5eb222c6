//! A client that knows nothing but JSON and WebSockets.

use std::{collections::VecDeque, net::SocketAddr};

use notifier::{
    framing::MessageKind,
    socket::{ClientSocket, SocketError},
};
use serde_json::{Value, json};

use super::{Authority, close_of, soon};

pub struct Ws {
    socket: ClientSocket,
    received: VecDeque<Value>,
}

impl Ws {
    /// Open, but `connect` not yet sent.
    pub async fn open(address: SocketAddr) -> Self {
        let (host, addresses) = (address.to_string(), [address]);
        let socket = ClientSocket::connect(&addresses, &host, "/v1/ws", "notifier.v1.json");
        Self { socket: soon("an upgrade", socket).await.expect("an upgrade"), received: VecDeque::new() }
    }

    /// Open and welcomed, over TLS.
    pub async fn secured(address: SocketAddr, authority: &Authority) -> Self {
        let (host, addresses, trust) = (address.to_string(), [address], authority.trust());
        let socket = ClientSocket::connect_tls(&addresses, &host, "/v1/ws", "notifier.v1.json", &trust);
        let socket = soon("an upgrade", socket).await.expect("an upgrade");
        let mut client = Self { socket, received: VecDeque::new() };
        client.send(json!({"connect": {}})).await;
        client.expect("welcome").await;
        client
    }

    /// Open and welcomed.
    pub async fn connected(address: SocketAddr) -> Self {
        let mut client = Self::open(address).await;
        client.send(json!({"connect": {}})).await;
        client.expect("welcome").await;
        client
    }

    /// Open and welcomed with a token.
    pub async fn with_token(address: SocketAddr, token: &str) -> Self {
        let mut client = Self::open(address).await;
        client.send(json!({"connect": {"token": token}})).await;
        client.expect("welcome").await;
        client
    }

    pub async fn send(&mut self, frame: Value) {
        self.send_text(&frame.to_string()).await;
    }

    pub async fn send_text(&mut self, text: &str) {
        self.socket.send(MessageKind::Text, text.as_bytes()).await.expect("the node reads");
    }

    /// The next frame that is no ping.
    pub async fn next(&mut self) -> Value {
        soon("a frame", async {
            loop {
                match self.received.pop_front() {
                    Some(frame) if frame.get("ping").is_some() => {}
                    Some(frame) => return frame,
                    None => self.receive().await.expect("an open connection"),
                }
            }
        })
        .await
    }

    /// The next ping; what comes before it is still there for others.
    pub async fn ping(&mut self) -> Value {
        soon("a ping", async {
            loop {
                let place = self.received.iter().position(|frame| frame.get("ping").is_some());
                match place.and_then(|place| self.received.remove(place)) {
                    Some(mut frame) => return frame["ping"].take(),
                    None => self.receive().await.expect("an open connection"),
                }
            }
        })
        .await
    }

    /// The next ping, or the close that came instead.
    pub async fn try_ping(&mut self) -> Result<(), (u16, String)> {
        soon("a ping or a close", async {
            loop {
                match self.received.pop_front() {
                    Some(frame) if frame.get("ping").is_some() => return Ok(()),
                    Some(_) => {}
                    None => match self.receive().await {
                        Ok(()) => {}
                        Err(SocketError::Closed { code, reason }) => return Err((code, reason)),
                        Err(error) => panic!("no close frame: {error}"),
                    },
                }
            }
        })
        .await
    }

    async fn receive(&mut self) -> Result<(), SocketError> {
        let message = self.socket.receive().await?;
        let text = std::str::from_utf8(&message).expect("text is UTF-8");
        self.received
            .extend(text.split('\n').map(|line| serde_json::from_str::<Value>(line).expect("a frame per line")));
        Ok(())
    }

    /// The next frame, which has to have this body; returns the whole frame.
    pub async fn expect(&mut self, body: &str) -> Value {
        let frame = self.next().await;
        assert!(frame.get(body).is_some(), "expected {body}, got {frame}");
        frame
    }

    /// Subscribes and waits until it is live.
    pub async fn subscribe(&mut self, subject: &str) {
        self.send(json!({"id": 1, "subscribe": {"subject": subject}})).await;
        let frame = self.expect("subscribed").await;
        assert_eq!(frame["subscribed"]["subject"], subject);
    }

    /// Subscribes with `after` or `snapshot`, and waits until it is live.
    /// Returns what came before: events of `replay` frames and `gap`s, in order.
    pub async fn resume(&mut self, subject: &str, wish: Value) -> (Vec<Value>, Value) {
        let mut subscribe = wish;
        subscribe["subject"] = subject.into();
        self.send(json!({"id": 1, "subscribe": subscribe})).await;
        let mut before = Vec::new();
        loop {
            let mut frame = self.next().await;
            if let Some(replay) = frame.get_mut("replay") {
                assert_eq!(replay["subject"], subject);
                before.append(replay["events"].as_array_mut().expect("events"));
            } else if frame.get("gap").is_some() {
                assert_eq!(frame["gap"]["subject"], subject);
                before.push(frame);
            } else {
                assert!(frame.get("subscribed").is_some(), "{frame}");
                assert_eq!((&frame["subscribed"]["subject"], &frame["replyTo"]), (&json!(subject), &json!(1)));
                return (before, frame["subscribed"].take());
            }
        }
    }

    /// The next event as it came.
    pub async fn stored(&mut self) -> Value {
        self.expect("event").await["event"].take()
    }

    /// The next event: its subject and data.
    pub async fn event(&mut self) -> (String, Value) {
        let mut frame = self.expect("event").await;
        (frame["event"]["subject"].as_str().expect("a subject").to_owned(), frame["event"]["data"].take())
    }

    /// Sends something that is answered, to know that whatever was sent to us
    /// before has arrived; returns the events that did.
    pub async fn events_until_now(&mut self) -> Vec<(String, Value)> {
        self.send(json!({"id": 99, "unsubscribe": {"subject": "nothing.of.that.name"}})).await;
        let mut events = Vec::new();
        loop {
            let mut frame = self.next().await;
            if frame["replyTo"] == 99 {
                return events;
            }
            assert!(frame.get("event").is_some(), "{frame}");
            events.push((
                frame["event"]["subject"].as_str().expect("a subject").to_owned(),
                frame["event"]["data"].take(),
            ));
        }
    }

    /// Waits for the end; returns the close code and reason, and the frames before it.
    pub async fn closed(&mut self) -> (u16, String, Vec<Value>) {
        soon("a close", async {
            loop {
                if let Some((code, reason)) = close_of(self.receive().await) {
                    return (code, reason, self.received.drain(..).collect());
                }
            }
        })
        .await
    }

    pub async fn close(self) {
        self.socket.close().await;
    }
}
