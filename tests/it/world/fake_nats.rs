//! A NATS server that says whatever a test wants it to say.

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufStream},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};

use super::soon;

pub struct FakeNats {
    pub port: u16,
    accept: JoinHandle<()>,
    readers: mpsc::Receiver<FakeLine>,
}

/// A node's connection to read from.
pub struct FakeLine {
    stream: BufStream<TcpStream>,
}

impl FakeNats {
    /// With this between the node's `CONNECT` and the `PONG` that it waits for.
    pub async fn saying(before_pong: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (found, readers) = mpsc::channel(64);
        let before_pong = before_pong.to_owned();
        let accept = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).expect("a socket");
                tokio::spawn(serve(stream, before_pong.clone(), found.clone()));
            }
        });
        Self { port, accept, readers }
    }

    pub async fn start() -> Self {
        Self::saying("").await
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The next connection to read from; it has said who it is.
    pub async fn reader(&mut self) -> FakeLine {
        soon("a connection to read from", self.readers.recv()).await.expect("it listens")
    }

    /// Takes no further connection.
    pub fn leave(&self) {
        self.accept.abort();
    }
}

impl Drop for FakeNats {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

async fn serve(stream: TcpStream, before_pong: String, found: mpsc::Sender<FakeLine>) {
    let mut line = FakeLine { stream: BufStream::new(stream) };
    line.say(br#"INFO {"server_id":"F","version":"2.15.1","headers":true,"max_payload":1048576,"proto":1}"#).await;
    line.say(b"\r\n").await;
    let mut publishes = false;
    while let Some(command) = line.heard().await {
        if let Some(json) = command.strip_prefix("CONNECT ") {
            let connect: Value = serde_json::from_str(json).expect("JSON");
            // The client library has a version of its own.
            publishes = connect["version"] != env!("CARGO_PKG_VERSION");
        }
        if command == "PING" {
            line.say(format!("{before_pong}PONG\r\n").as_bytes()).await;
            if !publishes {
                let _ = found.send(line).await;
                return;
            }
        }
    }
}

impl FakeLine {
    /// Says something, in one piece; an end of the connection shows when listening.
    pub async fn say(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// The next line from the node, until it goes away.
    pub async fn heard(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line).await {
            Ok(length) if length > 0 => Some(line.trim_end().to_owned()),
            _ => None,
        }
    }

    /// Listens until the node says this, and returns the whole line.
    pub async fn until(&mut self, beginning: &str) -> String {
        soon(beginning, async {
            loop {
                let line = self.heard().await.expect("an open connection");
                if line.starts_with(beginning) {
                    return line;
                }
            }
        })
        .await
    }

    /// Waits for a subscription and confirms it; returns its number.
    pub async fn subscribed(&mut self) -> String {
        let mut number = None;
        loop {
            let line = soon("a subscription", self.heard()).await.expect("an open connection");
            if let Some(subscription) = line.strip_prefix("SUB ") {
                number = subscription.rsplit(' ').next().map(ToOwned::to_owned);
            } else if line == "PING" {
                // Each is answered: the node counts them.
                self.say(b"PONG\r\n").await;
                if let Some(number) = number {
                    return number;
                }
            }
        }
    }

    /// Waits until the node has gone.
    pub async fn ended(&mut self) {
        soon("the end of the connection", async { while self.heard().await.is_some() {} }).await;
    }
}
