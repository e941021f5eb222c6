//! The operators' listener: health, metrics, state. It runs on a thread of its
//! own, so that it answers when the clients' threads are busy, and can say so.

use std::{
    convert::Infallible,
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Incoming, header, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    runtime, time,
};
use tokio_util::sync::CancellationToken;

use crate::{
    metrics::Metrics,
    server::{
        admin::{ADMIN, Admin},
        answer,
        secure::secured,
        warden::Warden,
    },
    tls::{Endpoint, has_certificate},
};

/// Without a beat of the clients' event loop for so long, the node is dead.
/// Long enough for any pause that ends by itself.
const STALL: Duration = Duration::from_secs(30);

/// How often histograms are folded: each sample is kept until then.
const UPKEEP: Duration = Duration::from_secs(1);

/// How long a request head may take.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// Whether the node is well, as the node itself knows it.
pub struct Health {
    start: Instant,
    /// Milliseconds since `start` of the event loop's last beat.
    beat: AtomicU64,
    ready: Box<dyn Fn() -> Vec<&'static str> + Send + Sync>,
    state: Box<dyn Fn() -> Value + Send + Sync>,
    metrics: Arc<Metrics>,
}

impl Health {
    /// `ready` names what stands against new clients, `state` describes the node.
    pub fn new(
        metrics: Arc<Metrics>,
        ready: impl Fn() -> Vec<&'static str> + Send + Sync + 'static,
        state: impl Fn() -> Value + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            beat: AtomicU64::new(0),
            ready: Box::new(ready),
            state: Box::new(state),
            metrics,
        })
    }

    /// Says that the clients' event loop runs. Called by it, every second.
    pub fn beat(&self) {
        self.beat.store(self.start.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    fn answer(&self, path: &str) -> Response<Full<Bytes>> {
        match path {
            "/livez" => self.live(),
            "/readyz" => self.readiness(),
            "/metrics" => {
                let mut response = Response::new(Full::from(self.metrics.render()));
                let text = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                response.headers_mut().insert(header::CONTENT_TYPE, text);
                response
            }
            "/debug/state" => status(StatusCode::OK, &(self.state)()),
            _ => {
                let paths = ["/livez", "/readyz", "/metrics", "/debug/state", ADMIN];
                status(StatusCode::NOT_FOUND, &json!({ "paths": paths }))
            }
        }
    }

    fn live(&self) -> Response<Full<Bytes>> {
        let silent = self.start.elapsed().saturating_sub(Duration::from_millis(self.beat.load(Ordering::Relaxed)));
        if silent > STALL {
            let why = format!("the event loop has not run for {} s", silent.as_secs());
            return status(StatusCode::SERVICE_UNAVAILABLE, &json!({"live": false, "reasons": [why]}));
        }
        status(StatusCode::OK, &json!({"live": true}))
    }

    fn readiness(&self) -> Response<Full<Bytes>> {
        let against = (self.ready)();
        let code = if against.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let mut body = (self.state)();
        let body = json!({"ready": against.is_empty(), "reasons": against, "broker": body["broker"].take()});
        status(code, &body)
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").field("start", &self.start).finish_non_exhaustive()
    }
}

fn status(code: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = answer::json(format!("{body}\n").into());
    *response.status_mut() = code;
    response
}

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
    pub fn start(listener: TcpListener, desk: Desk) -> io::Result<Self> {
        let desk = Arc::new(desk);
        let address = listener.local_addr()?;
        let listener = listener.into_std()?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("internal".into()).spawn(move || {
            runtime.block_on(async {
                let _ = stopped.run_until_cancelled(serve(listener, desk)).await;
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

/// What answers operators.
pub struct Desk {
    /// How the node is.
    pub health: Arc<Health>,
    /// What they may ask of it.
    pub admin: Arc<Admin>,
    /// Whom it answers.
    pub warden: Warden,
    /// How they reach it, where not in the clear.
    pub tls: Option<Arc<Endpoint>>,
}

async fn serve(listener: std::net::TcpListener, desk: Arc<Desk>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut upkeep = time::interval(UPKEEP);
    loop {
        tokio::select! {
            _ = upkeep.tick() => desk.health.metrics.upkeep(),
            accepted = listener.accept() => match accepted {
                // Owned by this thread's runtime and ended with it.
                Ok((stream, _)) => drop(tokio::spawn(desk.clone().converse(stream))),
                Err(_) => time::sleep(UPKEEP).await,
            },
        }
    }
}

impl Desk {
    async fn converse(self: Arc<Self>, stream: TcpStream) {
        match &self.tls {
            None => self.speak(stream, false).await,
            Some(endpoint) => {
                if let Ok(stream) = secured(endpoint, stream, HEAD_TIME).await {
                    let certificate = has_certificate(&stream);
                    self.speak(stream, certificate).await;
                }
            }
        }
    }

    async fn speak(&self, stream: impl AsyncRead + AsyncWrite + Unpin, certificate: bool) {
        let service = service_fn(|request| async move { Ok::<_, Infallible>(self.answer(request, certificate).await) });
        // An operator's connection that breaks concerns nobody else.
        let _ = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    async fn answer(&self, request: Request<Incoming>, certificate: bool) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let mut response = match self.warden.check(request.method(), path, request.headers(), certificate) {
            Ok(()) if path.starts_with(ADMIN) => self.admin.answer(request).await,
            Ok(()) => self.health.answer(path),
            Err((code, why)) => status(code, &json!({"refused": why})),
        };
        let unknown = response.status() == StatusCode::UNAUTHORIZED;
        let headers = response.headers_mut();
        if unknown {
            headers.insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(age: Duration, reasons: &'static [&'static str]) -> Health {
        Health {
            start: Instant::now().checked_sub(age).expect("the machine is older than that"),
            beat: AtomicU64::new(0),
            ready: Box::new(|| reasons.to_vec()),
            state: Box::new(|| json!({"broker": {"kind": "memory"}})),
            metrics: Arc::new(Metrics::new().expect("buckets are not empty")),
        }
    }

    #[test]
    fn a_node_whose_event_loop_stands_still_is_not_alive() {
        let health = health(STALL + Duration::from_secs(1), &[]);
        assert_eq!(health.answer("/livez").status(), StatusCode::SERVICE_UNAVAILABLE);
        health.beat();
        assert_eq!(health.answer("/livez").status(), StatusCode::OK);
    }

    #[test]
    fn a_node_is_ready_when_nothing_stands_against_it() {
        assert_eq!(health(Duration::ZERO, &[]).answer("/readyz").status(), StatusCode::OK);
        let leaving = health(Duration::ZERO, &["leaving"]).answer("/readyz").status();
        assert_eq!(leaving, StatusCode::SERVICE_UNAVAILABLE);
    }
}
