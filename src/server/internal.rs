//! The operators' listener: health, metrics, state. It runs on a thread of its
//! own, so that it answers when the clients' threads are busy, and can say so.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    thread,
    time::Duration,
};

use hyper::{Request, StatusCode, body::Incoming, header, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use metrics::Gauge;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    runtime,
    sync::Semaphore,
    time,
};
use tokio_util::sync::CancellationToken;

use crate::{
    admission::Admission,
    config::Limits,
    metrics::InternalRefusal,
    server::{
        admin::{ADMIN, Admin},
        health::Health,
        internal_auth::InternalAuth,
        keep_alive::{KeepAlive, Persistence},
        portions::Portions,
        reject::reject,
        response::{self, HttpResponse, Refused},
        secure::secured,
    },
    socket::{HttpProgress, HttpTimes, Overdue, Strict},
    tls::Endpoint,
};

/// How often histograms are folded: each sample is kept until then.
const UPKEEP: Duration = Duration::from_secs(1);

/// How long a request head may take.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// How long a connection may be idle: longer than Prometheus waits from one
/// scrape to the next by default, and than the common balancers keep theirs.
const KEEP_ALIVE_TIME: Duration = Duration::from_secs(75);

/// Bytes of a request head: a token, and what proxies add.
const HEAD_BYTES: usize = 16 * 1024;

/// How long a client may take for an answer. The longest, `/metrics`, has some
/// 100 KiB.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Open connections. Prometheus, probes and operators have a handful; each
/// takes a descriptor that a client could have.
const CONNECTIONS: usize = 256;

/// Of these, from one address, so that no single machine shuts out the others.
const ADDRESS_CONNECTIONS: u32 = 64;

/// Requests per second of one address on average: a probe and a scrape are one
/// every few seconds, a script that waits for something asks more often. Each
/// costs this thread about a millisecond at most.
const ADDRESS_REQUESTS: u32 = 200;

/// Requests of one address at once.
const ADDRESS_REQUESTS_BURST: u32 = 1_000;

/// Connections above a limit that are told so at the same time.
const FAREWELLS: usize = 8;

/// The thread that serves operators; it ends when this is dropped.
#[derive(Debug)]
pub struct InternalServer {
    stop: CancellationToken,
    address: SocketAddr,
}

impl InternalServer {
    /// Starts serving on an open listener.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(listener: TcpListener, internal_routes: InternalRoutes) -> io::Result<Self> {
        let front = Arc::new(Front::new(internal_routes));
        let address = listener.local_addr()?;
        let listener = listener.into_std()?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("internal".into()).spawn(move || {
            runtime.block_on(async {
                let _ = stopped.run_until_cancelled(serve(listener, front)).await;
            });
        })?;
        Ok(Self { stop, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for InternalServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The routes of the internal listener.
pub struct InternalRoutes {
    /// How the node is.
    pub health: Arc<Health>,
    /// The routes of operators.
    pub admin: Arc<Admin>,
    /// The check of who may ask.
    pub internal_auth: InternalAuth,
    /// How they reach it, where not in the clear.
    pub tls: Option<Arc<Endpoint>>,
}

/// The internal listener: its routes and its limits.
struct Front {
    internal_routes: InternalRoutes,
    admission: Arc<Admission>,
    farewells: Arc<Semaphore>,
    keep_alive: KeepAlive,
}

async fn serve(listener: std::net::TcpListener, front: Arc<Front>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut upkeep = time::interval(UPKEEP);
    loop {
        tokio::select! {
            _ = upkeep.tick() => front.internal_routes.health.metrics.upkeep(),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => front.admit(stream, peer.ip()),
                Err(_) => time::sleep(UPKEEP).await,
            },
        }
    }
}

impl Front {
    fn new(internal_routes: InternalRoutes) -> Self {
        let limits = Limits {
            connections: CONNECTIONS,
            connections_per_second: 0,
            address_connections: ADDRESS_CONNECTIONS,
            address_requests_per_second: ADDRESS_REQUESTS,
            address_requests_burst: ADDRESS_REQUESTS_BURST,
            ..Limits::default()
        };
        let (farewells, keep_alive) = (Arc::new(Semaphore::new(FAREWELLS)), KeepAlive::new(KEEP_ALIVE_TIME));
        Self {
            admission: Admission::new(&limits, Duration::ZERO, Gauge::noop()),
            internal_routes,
            farewells,
            keep_alive,
        }
    }

    /// Tasks are owned by this thread's runtime and end with it.
    fn admit(self: &Arc<Self>, stream: TcpStream, peer: IpAddr) {
        match self.admission.enter(Some(peer)) {
            Ok(permit) => {
                let front = self.clone();
                tokio::spawn(async move {
                    front.serve_connection(stream, peer).await;
                    drop(permit);
                });
            }
            Err(closed) => {
                self.count(InternalRefusal::Connections);
                if let (None, Ok(permit)) = (&self.internal_routes.tls, self.farewells.clone().try_acquire_owned()) {
                    let refusal = self.admission.refusal(closed);
                    tokio::spawn(async move {
                        reject(stream, refusal).await;
                        drop(permit);
                    });
                }
            }
        }
    }

    async fn serve_connection(&self, stream: TcpStream, peer: IpAddr) {
        match &self.internal_routes.tls {
            None => self.speak(stream, peer, false).await,
            Some(endpoint) => {
                if let Ok(stream) = secured(endpoint, stream, HEAD_TIME).await {
                    let certificate = stream.has_certificate();
                    self.speak(stream, peer, certificate).await;
                }
            }
        }
    }

    async fn speak(&self, stream: impl AsyncRead + AsyncWrite + Unpin, peer: IpAddr, certificate: bool) {
        let progress = &HttpProgress::new();
        let service = service_fn(|request: Request<Incoming>| async move {
            progress.asked();
            let persistence = Persistence::of(&request);
            let mut answer = self.answer(request, peer, certificate).await;
            self.keep_alive.tell(persistence, false, &mut answer);
            progress.answered();
            Ok::<_, Infallible>(answer.map(|body| Portions::new(body, progress.clone())))
        });
        let connection = http1::Builder::new()
            .header_read_timeout(None)
            .max_header_size(HEAD_BYTES)
            .max_buf_size(HEAD_BYTES)
            .half_close(false)
            .serve_connection(TokioIo::new(Strict::new(stream, progress.clone())), service);
        let times = HttpTimes { head: HEAD_TIME, idle: self.keep_alive.time(), answer: ANSWER_TIME };
        tokio::select! {
            // The progress of the connection is known before the deadlines are looked at.
            biased;
            // An operator's connection that breaks concerns nobody else.
            _ = connection => {}
            overdue = progress.overdue(times) => {
                if overdue == Overdue::Answer {
                    self.count(InternalRefusal::AnswerTime);
                }
            }
        }
    }

    async fn answer(&self, request: Request<Incoming>, peer: IpAddr, certificate: bool) -> HttpResponse {
        let InternalRoutes { health, admin, internal_auth, .. } = &self.internal_routes;
        let (method, uri) = (request.method(), request.uri());
        let mut response = match internal_auth.check(method, uri, request.headers(), certificate) {
            _ if let Err(closed) = self.admission.request(peer) => {
                self.count(InternalRefusal::Requests);
                Refused::from(self.admission.refusal(closed)).into_response()
            }
            Ok(()) if uri.path().starts_with(ADMIN) => admin.answer(request).await,
            Ok(()) => health.answer(uri.path()),
            Err((code, why)) => {
                self.count(InternalRefusal::Denied);
                response::state(code, &json!({"refused": why}))
            }
        };
        let unknown = response.status() == StatusCode::UNAUTHORIZED;
        let headers = response.headers_mut();
        if unknown {
            headers.insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
        response
    }

    fn count(&self, what: InternalRefusal) {
        self.internal_routes.health.metrics.internal_refusals.of(what).increment(1);
    }
}
