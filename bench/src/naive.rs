//! The obvious design, as it is written every day: a task per connection, a broadcast channel and a NATS subscription
//! per subject, everything at its default.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use fastwebsockets::{FragmentCollector, Frame, OpCode, Payload, WebSocketError, upgrade};
use futures_util::StreamExt as _;
use http_body_util::Empty;
use hyper::{Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    sync::broadcast::{self, error::RecvError},
};

use crate::failure::{Because as _, Outcome};

/// Events that a channel keeps for receivers that lag.
const CHANNEL: usize = 1024;

#[derive(Clone)]
struct Hub {
    nats: async_nats::Client,
    topics: Arc<Mutex<HashMap<String, broadcast::Sender<Bytes>>>>,
}

/// Serves clients at `listen` with events from the nats-server at `nats`. Never returns if all goes well.
#[tokio::main]
pub async fn serve(listen: SocketAddr, nats: SocketAddr) -> Outcome<()> {
    let cannot = || "the naive server cannot start".to_owned();
    let nats = async_nats::connect(format!("nats://{nats}")).await.because(cannot)?;
    let hub = Hub { nats, topics: Arc::default() };
    let listener = TcpListener::bind(listen).await.because(cannot)?;
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let hub = hub.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, hub.clone()));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
        });
    }
}

async fn answer(mut request: Request<Incoming>, hub: Hub) -> Result<Response<Empty<Bytes>>, Infallible> {
    let Ok((response, upgraded)) = upgrade::upgrade(&mut request) else {
        let mut refusal = Response::new(Empty::new());
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(refusal);
    };
    tokio::spawn(async move {
        let Ok(socket) = upgraded.await else { return };
        // A client that leaves is no news.
        let _ = converse(FragmentCollector::new(socket), hub).await;
    });
    Ok(response)
}

type Socket = FragmentCollector<TokioIo<hyper::upgrade::Upgraded>>;

/// The first message is a subject; then events go out until the client leaves.
async fn converse(mut socket: Socket, hub: Hub) -> Result<(), WebSocketError> {
    let subject = loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Text => break String::from_utf8_lossy(&frame.payload).into_owned(),
            OpCode::Close => return Ok(()),
            _ => {}
        }
    };
    let mut events = hub.join(subject).await;
    socket.write_frame(Frame::text(Payload::Borrowed(b"ok"))).await?;
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => socket.write_frame(Frame::text(Payload::Borrowed(&event))).await?,
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Ok(()),
            },
            frame = socket.read_frame() => if frame?.opcode == OpCode::Close {
                return Ok(());
            },
        }
    }
}

impl Hub {
    async fn join(&self, subject: String) -> broadcast::Receiver<Bytes> {
        let (sender, receiver) = {
            let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(sender) = topics.get(&subject) {
                return sender.subscribe();
            }
            let (sender, receiver) = broadcast::channel(CHANNEL);
            topics.insert(subject.clone(), sender.clone());
            (sender, receiver)
        };
        if let Ok(mut feed) = self.nats.subscribe(subject).await {
            tokio::spawn(async move {
                while let Some(message) = feed.next().await {
                    let _ = sender.send(message.payload);
                }
            });
        }
        receiver
    }
}
