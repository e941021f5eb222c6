//! A server that sends back what it gets. Listener, upgrade, decoder and outbox
//! are those of the product; what stands here is what a session does with them,
//! without a protocol on top.

use std::{convert::Infallible, future::poll_fn, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{Request, body::Incoming as Body, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use notifier::{
    close::CloseReason,
    config::Limits,
    encoded_message::EncodedMessage,
    framing::{Framing, MessageKind},
    metrics::Metrics,
    outbox::{Outbox, Policy},
    server::listen,
    socket::{self, Decoder, HttpProgress, Incoming, Strict},
    tasks::Tasks,
};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

/// The suites send up to 16 MiB at once.
const MESSAGE_BYTES: usize = 17 * 1024 * 1024;

/// What is sent back for a message.
type Answer = fn(MessageKind, &[u8]) -> EncodedMessage;

/// A running server; dropping it ends it.
pub struct Echo {
    address: SocketAddr,
    _runtime: Runtime,
}

impl Echo {
    pub fn start(answer: Answer) -> Self {
        let runtime = Runtime::new().expect("threads");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = runtime.block_on(async { listen(any, "--listen", &Limits::default()) }).expect("a free port");
        let address = listener.local_addr().expect("an address");
        runtime.spawn(accept(listener, answer));
        Self { address, _runtime: runtime }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, answer: Answer) {
    let metrics = Arc::new(Metrics::new().expect("buckets are not empty"));
    let tasks = Tasks::new(metrics.clone());
    let close_time = Duration::from_secs(5);
    let bytes = 4 * MESSAGE_BYTES;
    let policy = Arc::new(Policy { bytes, frames: 4_096, close_time, stall_time: close_time, tasks, metrics });
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(converse(stream, policy.clone(), answer));
    }
}

async fn converse(stream: TcpStream, policy: Arc<Policy>, answer: Answer) {
    let service = service_fn(|mut request: Request<Body>| {
        let (response, upgrade) = socket::accept(&mut request).expect("a WebSocket request");
        let policy = policy.clone();
        tokio::spawn(async move {
            if let Some((wire, ahead)) = upgrade.wire().await {
                serve(Outbox::new(wire, Framing::WebSocket(MessageKind::Text), policy), ahead, answer).await;
            }
        });
        async { Ok::<_, Infallible>(response) }
    });
    // A suite that gives up a connection is no failure of ours; its report tells.
    let stream = TokioIo::new(Strict::new(stream, HttpProgress::new()));
    let _ = http1::Builder::new().serve_connection(stream, service).with_upgrades().await;
}

async fn serve(outbox: Arc<Outbox>, ahead: Bytes, answer: Answer) {
    let mut decoder = Decoder::default();
    let mut feed = |bytes: &mut [u8]| {
        decoder.feed(bytes, MESSAGE_BYTES, |incoming| -> Result<(), CloseReason> {
            match incoming {
                // As a sequence, because an outbox joins messages that pile up.
                Incoming::Message(kind, message) => {
                    outbox.push(&EncodedMessage::sequence([&answer(kind, message)]));
                }
                Incoming::Ping(payload) => drop(outbox.push(&EncodedMessage::pong(payload))),
                Incoming::Pong => {}
                Incoming::Close(code) => {
                    outbox.close_echo(code);
                    return Err(CloseReason::Normal);
                }
            }
            Ok(())
        })
    };
    let mut end = feed(&mut ahead.to_vec()).err();
    let mut buffer = vec![0; 16 * 1024];
    while end.is_none() {
        end = match read(&outbox, &mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => feed(&mut buffer[..read]).err(),
        };
    }
    outbox.close(end.unwrap_or(CloseReason::Normal));
    // Until the peer has ended the stream, or the outbox has.
    while !matches!(read(&outbox, &mut buffer).await, Ok(0) | Err(_)) {}
}

async fn read(outbox: &Outbox, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        poll_fn(|context| outbox.wire().poll_readable(context)).await?;
        match outbox.wire().try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}
