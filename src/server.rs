//! The two listeners: the clients' with its accept loop, limits and routes,
//! and the operators'. Upgrades become sessions; everything else is HTTP.

mod admin;
mod address;
mod asset;
mod client_library;
mod client_releases;
mod response;
mod body;
mod cors;
mod credentials;
mod event_query;
mod events;
mod cookie;
mod demo;
mod descriptors;
mod header_list;
mod health;
mod reject;
mod route;
mod router;
mod routes;
mod http;
mod internal;
mod keep_alive;
mod listen;
mod login;
mod poll;
mod portions;
mod query;
mod secure;
mod started_stream;
mod stored;
mod subject_path;
mod upgrade;
mod visit;
mod internal_auth;

use std::{
    convert::Infallible,
    future::{pending, poll_fn},
    io,
    net::IpAddr,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::sleep,
};

pub use admin::Admin;
pub use client_library::{CLIENT_MODULES, client_integrity, client_version};
pub use descriptors::{descriptors, room};
pub use health::Health;
pub use internal::{InternalRoutes, InternalServer};
pub use internal_auth::InternalAuth;
pub use listen::{ListenError, listen};

use crate::{
    admission::{Admission, Permit},
    config,
    error::{Code, Refusal},
    metrics::AcceptFailure,
    services::NodeServices,
    session::{Sessions, serve_event_stream},
    socket::{HttpProgress, HttpTimes, IntoWire, Overdue, Strict},
    sync::Mutex,
    tls::Endpoint,
};
use address::Addresses;
use events::head_bytes;
use keep_alive::{KeepAlive, Persistence};
use portions::Portions;
use reject::reject;
use response::{HttpResponse, Refused};
use router::{Reply, Router};
use started_stream::StartedStream;

/// How long to wait when the process has no descriptor left. Trying again at
/// once would burn a core without making one free.
const DESCRIPTOR_PAUSE: Duration = Duration::from_millis(200);

/// Connections above a limit that are told so at the same time; further ones
/// are just closed.
const FAREWELLS: usize = 64;

/// The clients' side of a node.
#[derive(Debug)]
pub struct Server {
    services: Arc<NodeServices>,
    sessions: Arc<Sessions>,
    /// Counts the connections of any kind.
    admission: Arc<Admission>,
    addresses: Addresses,
    farewells: Arc<Semaphore>,
    router: Router,
    tls: Option<Arc<Endpoint>>,
    keep_alive: KeepAlive,
}

impl Server {
    /// A server that accepts until the node leaves.
    pub fn new(
        sessions: Arc<Sessions>,
        admission: Arc<Admission>,
        settings: &config::Server,
        auth: &config::Auth,
        health: &Arc<Health>,
        tls: Option<Arc<Endpoint>>,
    ) -> Arc<Self> {
        let farewells = Arc::new(Semaphore::new(FAREWELLS));
        let addresses = Addresses::new(settings.trusted_proxies.clone(), settings.forwarded_header);
        let services = sessions.services.clone();
        let router = Router::new(sessions.clone(), admission.clone(), settings, auth, health);
        let keep_alive = KeepAlive::new(services.limits.keep_alive_time.duration());
        Arc::new(Self { services, sessions, admission, addresses, farewells, router, tls, keep_alive })
    }

    /// Accepts connections until the node leaves; the listener is closed then.
    pub async fn run(self: Arc<Self>, listener: TcpListener) {
        while let Some(accepted) = self.services.leaving.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer.ip()),
                Err(error) => self.pause_after_error(&error).await,
            }
        }
    }

    fn admit(self: &Arc<Self>, stream: TcpStream, peer: IpAddr) {
        let tasks = &self.services.tasks;
        // A proxy tells the client's address in its requests.
        let address = (!self.addresses.is_proxy(peer)).then_some(peer);
        match self.admission.enter(address) {
            Ok(permit) => tasks.spawn(self.clone().serve_connection(stream, peer, Arc::new(permit))),
            Err(closed) => {
                self.services.metrics.errors.of(closed.code()).increment(1);
                self.services.metrics.accepts_failed.of(closed.failure()).increment(1);
                // A client that waits for a TLS handshake would not understand it, and a handshake is what there is no
                // room for.
                if let (None, Ok(permit)) = (&self.tls, self.farewells.clone().try_acquire_owned()) {
                    let refusal = self.admission.refusal(closed);
                    tasks.spawn(async move {
                        reject(stream, refusal).await;
                        drop(permit);
                    });
                }
            }
        }
    }

    async fn pause_after_error(&self, error: &io::Error) {
        const ENFILE: i32 = 23;
        const EMFILE: i32 = 24;
        let failures = &self.services.metrics.accepts_failed;
        if matches!(error.raw_os_error(), Some(ENFILE | EMFILE)) {
            failures.of(AcceptFailure::Descriptors).increment(1);
            tracing::error!(%error, "no file descriptor left for a client; raise the limit (ulimit -n)");
            sleep(DESCRIPTOR_PAUSE).await;
        } else {
            // A client that has gone again, usually.
            failures.of(AcceptFailure::Other).increment(1);
            tracing::debug!(%error, "accept failed");
        }
    }

    async fn serve_connection(self: Arc<Self>, stream: TcpStream, peer: IpAddr, permit: Arc<Permit>) {
        match self.tls.clone() {
            None => self.speak(stream, peer, permit).await,
            // Boxed: every connection would have room for it otherwise.
            Some(endpoint) => Box::pin(self.speak_secured(endpoint, stream, peer, permit)).await,
        }
    }

    async fn speak_secured(
        self: Arc<Self>,
        endpoint: Arc<Endpoint>,
        stream: TcpStream,
        peer: IpAddr,
        permit: Arc<Permit>,
    ) {
        let NodeServices { limits, leaving, metrics, .. } = &*self.services;
        let secured = secure::secured(&endpoint, stream, limits.handshake_time.duration());
        match leaving.run_until_cancelled(secured).await {
            Some(Ok(stream)) => self.speak(stream, peer, permit).await,
            Some(Err(failure)) => metrics.accepts_failed.of(failure).increment(1),
            None => {}
        }
    }

    /// Speaks HTTP until the connection ends, or becomes a WebSocket or an event stream.
    async fn speak<S: IntoWire>(self: Arc<Self>, stream: S, peer: IpAddr, permit: Arc<Permit>) {
        let NodeServices { limits, leaving, .. } = &*self.services;
        let progress = &HttpProgress::new();
        let started = &Mutex::<Option<StartedStream>>::default();
        let service = service_fn(|request: Request<Incoming>| {
            let (server, permit) = (self.clone(), permit.clone());
            async move {
                let alone = progress.asked();
                let persistence = Persistence::of(&request);
                let client = server.addresses.of(request.headers(), peer);
                let mut answer = match server.router.answer(request, client, permit).await {
                    Reply::Whole(answer) => answer,
                    Reply::Stream(stream) if alone => {
                        *started.lock() = Some(*stream);
                        // The connection is taken over meanwhile.
                        pending().await
                    }
                    Reply::Stream(_) => behind_another(),
                };
                server.keep_alive.tell(persistence, leaving.is_cancelled(), &mut answer);
                progress.answered();
                Ok::<_, Infallible>(answer.map(|body| Portions::new(body, progress.clone())))
            }
        });
        let mut connection = http1::Builder::new()
            .header_read_timeout(None)
            .max_header_size(limits.header_bytes.bytes())
            .max_buf_size(limits.header_bytes.bytes())
            .half_close(false)
            .serve_connection(TokioIo::new(Strict::new(stream, progress.clone())), service)
            .with_upgrades();
        let overdue = progress.overdue(HttpTimes {
            head: limits.handshake_time.duration(),
            idle: self.keep_alive.time(),
            answer: limits.answer_time.duration(),
        });
        tokio::pin!(overdue);
        let mut told = false;
        loop {
            tokio::select! {
                // The progress of the connection is known before the deadlines are looked at.
                biased;
                ended = &mut connection => return self.note_end(ended),
                stream = poll_fn(|_| started.lock().take().map_or(Poll::Pending, Poll::Ready)) => {
                    let Some(parts) = connection.into_parts() else { return };
                    let wire = parts.io.into_inner().into_wire();
                    let StartedStream { head, granted } = stream;
                    return serve_event_stream(wire, head_bytes(&head), granted, permit.clone(), &self.sessions);
                }
                overdue = &mut overdue => return self.note_overdue(overdue),
                () = leaving.cancelled(), if !told => {
                    std::pin::Pin::new(&mut connection).graceful_shutdown();
                    told = true;
                }
            }
        }
    }

    fn note_end(&self, ended: hyper::Result<()>) {
        if ended.is_err_and(|error| error.is_parse()) {
            self.services.metrics.accepts_failed.of(AcceptFailure::BadHead).increment(1);
        }
    }

    fn note_overdue(&self, overdue: Overdue) {
        let metrics = &self.services.metrics;
        match overdue {
            Overdue::Head => metrics.accepts_failed.of(AcceptFailure::HandshakeTime).increment(1),
            Overdue::Answer => metrics.answers_given_up.increment(1),
            Overdue::Idle => {}
        }
    }
}

/// The answer to a request for an event stream that came before the answer to the one
/// ahead of it was read: that would be lost with the HTTP library's buffer.
fn behind_another() -> HttpResponse {
    let message = "an event stream is not asked for while the answer to another request is on its way; use a connection \
                   of its own";
    Refused::from(Refusal::new(Code::BadRequest, message)).into_response()
}
