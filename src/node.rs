//! A node: all floors below, put together, from the first listen to the last
//! drain. The binary and the tests drive the same object.

use std::{fmt, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use metrics_exporter_prometheus::BuildError;
use serde_json::{Value, json};
use tokio::{net::TcpListener, time};
use tokio_util::sync::CancellationToken;

use crate::{
    access::{Access, revocation::Revocations},
    admission::Admission,
    broker::{self, Broker, BrokerError, BrokerState, Failing, Link, StreamError},
    config::{AuthMode, Config, ConfigError, Limits, Span},
    control::{Calls, Control},
    fetch::Fetcher,
    hub::{Context, Hub},
    journal::Journal,
    metrics::{self, Listener, Metrics},
    outbox::Policy,
    publish::Publisher,
    quota::Quotas,
    request::Requests,
    server::{
        Admin, Health, InternalAuth, InternalRoutes, InternalServer, ListenError, Server, descriptors, listen, room,
    },
    services::NodeServices,
    session::{Connections, Sessions},
    tasks::Tasks,
    tls::{Endpoint, TlsError},
};

/// How often the event loop shows that it runs.
const BEAT: Duration = Duration::from_secs(1);

/// A running node, not yet accepting.
pub struct Node {
    config: Config,
    listener: TcpListener,
    internal: InternalServer,
    server: Arc<Server>,
    registry: Arc<Connections>,
    control: (Arc<Control>, Calls),
    hub: Arc<Hub>,
    broker: Arc<dyn Broker>,
    publisher: Arc<Publisher>,
    health: Arc<Health>,
    admission: Arc<Admission>,
    leaving: CancellationToken,
    tasks: Tasks,
}

/// Why a node cannot start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The configuration does not hold.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address is not to be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The TLS files of a listener cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The settings of the broker cannot be used.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The registry of metrics cannot be built.
    #[error("metrics: {0}")]
    Metrics(#[from] BuildError),
    /// `log.filter` does not parse.
    #[error("log.filter: {0}; write a level or directives, as \"info,notifier::hub=debug\"")]
    Log(#[from] tracing_subscriber::filter::ParseError),
    /// The system refuses a thread or the address of a socket.
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
    /// A stream is not as it has to be.
    #[error("the stream {name}: {problem}")]
    Stream {
        /// Its name.
        name: String,
        /// The problem, and the remedy.
        problem: StreamError,
    },
    /// A task on which others depend has panicked; the log says which.
    #[error("a vital task failed; the node cannot go on")]
    Failed,
}

impl Node {
    /// Listens on both addresses and starts connecting to the broker. Clients
    /// are accepted once the node [runs](Self::run).
    ///
    /// # Errors
    /// See [`NodeError`]; a broker that is away does not count as one.
    pub async fn bind(config: Config) -> Result<Self, NodeError> {
        config.validate()?;
        let limits = &config.limits;
        let listener = listen(config.server.listen, "--listen", limits)?;
        let internal = listen(config.server.internal_listen, "--internal-listen", limits)?;
        let metrics = Arc::new(Metrics::new()?);
        let tasks = Tasks::new(metrics.clone());
        let tls = Endpoint::open(Listener::Clients, &config.server.tls, &metrics).await?;
        let internal_tls = Endpoint::open(Listener::Internal, &config.server.internal_tls, &metrics).await?;
        let (broker, intakes) = broker::connect(&config, &metrics, &tasks).await?;
        let classes = broker.classes().clone();
        let quotas = Quotas::new(limits);
        let publisher = Publisher::new(broker.clone(), classes.clone(), &config, quotas.clone(), metrics.clone());
        let publisher = Arc::new(publisher);
        let requests = Requests::new(broker.clone(), classes.clone(), limits, quotas.clone(), metrics.clone());
        let journals = Journal::all(&config, &classes, &broker, &tasks, &metrics);
        let fetcher = Arc::new(Fetcher::new(classes.clone(), journals.clone(), limits, quotas.clone()));
        let context = Context {
            backlog_bytes: limits.backlog_bytes.bytes(),
            overflow: limits.live_overflow,
            replay_events: limits.replay_events,
            wildcard_shapes: limits.wildcard_shapes,
            quotas: quotas.clone(),
            tasks: tasks.clone(),
            metrics: metrics.clone(),
        };
        let hub = Hub::new(context, broker.clone(), intakes, journals)?;
        let registry = Connections::new(&config.auth);
        let revocations = Arc::new(Revocations::new(config.auth.leeway.duration()));
        let read_connections = config.broker.nats.read_connections();
        let connections = room(limits.connections, descriptors(), read_connections);
        let of_machine = Limits { connections, ..limits.clone() };
        let heartbeat = config.server.heartbeat.duration();
        let admission = Admission::new(&of_machine, heartbeat, metrics.http_answer_bytes.clone());
        let leaving = CancellationToken::new();
        let access = Arc::new(Access::new(&config, classes.clone(), revocations.clone(), &metrics, &tasks)?);
        let services = Arc::new(NodeServices {
            node: config.node.name.clone(),
            heartbeat: config.server.heartbeat,
            limits: limits.clone(),
            broker: broker.clone(),
            hub: hub.clone(),
            access: access.clone(),
            quotas,
            publisher: publisher.clone(),
            requests: Arc::new(requests),
            fetcher,
            leaving: leaving.clone(),
            tasks: tasks.clone(),
            metrics: metrics.clone(),
        });
        let policy = Policy {
            bytes: limits.outbox_bytes.bytes(),
            frames: limits.outbox_frames,
            close_time: limits.close_time.duration(),
            stall_time: limits.stall_time.duration(),
            tasks: tasks.clone(),
            metrics: metrics.clone(),
        };
        let sessions = Sessions::new(services.clone(), registry.clone(), policy);
        for endpoint in [&tls, &internal_tls].into_iter().flatten() {
            tasks.spawn_vital("certificates", endpoint.clone().keep_current());
        }
        let name = config.node.name.clone();
        let (control, calls) =
            Control::new(name, broker.clone(), registry.clone(), revocations.clone(), tasks.clone(), metrics.clone());
        let admin = Admin::new(control.clone(), access, registry.clone(), &config.auth);
        let endpoints = [tls.clone(), internal_tls.clone()].into_iter().flatten().collect();
        let health = health(&config, &services, &admission, &revocations, endpoints);
        let internal_routes = InternalRoutes {
            health: health.clone(),
            admin,
            internal_auth: InternalAuth::new(&config.server),
            tls: internal_tls,
        };
        Ok(Self {
            server: Server::new(sessions, admission.clone(), &config.server, &config.auth, &health, tls),
            internal: InternalServer::start(internal, internal_routes)?,
            control: (control, calls),
            config,
            listener,
            registry,
            hub,
            broker,
            publisher,
            health,
            admission,
            leaving,
            tasks,
        })
    }

    /// Where clients connect.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Where operators connect.
    pub fn internal_addr(&self) -> SocketAddr {
        self.internal.address()
    }

    /// The publisher, for a program that embeds a node.
    pub fn publisher(&self) -> Arc<Publisher> {
        self.publisher.clone()
    }

    /// Serves until `stop` resolves, then leaves: no new clients, a drain
    /// for each of the others, and an end when the last has gone or
    /// `drain.grace` is over.
    ///
    /// # Errors
    /// [`NodeError::Failed`].
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), NodeError> {
        let Self {
            config, listener, internal, server, registry, hub, broker, health, admission, leaving, tasks, ..
        } = self;
        let (control, calls) = self.control;
        let (watched, told) = (broker.clone(), registry.clone());
        tasks.spawn_vital("accept", server.run(listener));
        tasks.spawn_vital("news of the broker", tell(watched, told));
        let (interval, idle_time) = (config.server.heartbeat, config.limits.idle_time);
        tasks.spawn_vital("heartbeat", beat(registry.clone(), hub.clone(), broker.clone(), interval, idle_time));
        tasks.spawn_vital("checkpoints", send_checkpoints(registry.clone(), hub, broker.clone(), interval));
        tasks.spawn_vital("ends of tokens", registry.clone().expire());
        tasks.spawn_vital("control", control.clone().run(calls));
        tasks.spawn_vital("pulse", pulse(health));
        let unfit = async {
            match broker.ensure_streams().await {
                Ok(()) => std::future::pending().await,
                Err(unfit) => unfit,
            }
        };
        tokio::select! {
            () = stop => {}
            () = tasks.failed() => return Err(NodeError::Failed),
            (name, problem) = unfit => return Err(NodeError::Stream { name, problem }),
        }
        tracing::info!(clients = admission.open(), "leaving: no new clients; those here are told to move");
        leaving.cancel();
        let farewell = async {
            registry.drain(&config.drain).await;
            std::future::pending().await
        };
        tokio::select! {
            () = admission.emptied() => {}
            () = farewell => {}
            () = time::sleep(config.drain.grace.duration()) => {
                tracing::warn!("some clients stayed until the end of drain.grace; they are cut off");
            }
        }
        control.leave().await;
        broker.flush().await;
        tasks.stop();
        drop(internal);
        tracing::info!("gone");
        Ok(())
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Everything hangs on a node; its name and addresses say which one it is.
        f.debug_struct("Node")
            .field("name", &self.config.node.name)
            .field("listener", &self.listener)
            .field("internal", &self.internal.address())
            .finish_non_exhaustive()
    }
}

/// Tells every client when the broker goes away and when it is back.
async fn tell(broker: Arc<dyn Broker>, registry: Arc<Connections>) {
    let mut link = broker.state().watch();
    link.mark_unchanged();
    while link.changed().await.is_ok() {
        let now = *link.borrow_and_update();
        registry.tell(now).await;
    }
}

async fn beat(registry: Arc<Connections>, hub: Arc<Hub>, broker: Arc<dyn Broker>, interval: Span, idle_time: Span) {
    registry.keep_alive(interval, idle_time, hub, || broker.state().link()).await;
}

async fn send_checkpoints(registry: Arc<Connections>, hub: Arc<Hub>, broker: Arc<dyn Broker>, heartbeat: Span) {
    registry.send_checkpoints(heartbeat, hub, || broker.state().link()).await;
}

async fn pulse(health: Arc<Health>) {
    let mut beats = time::interval(BEAT);
    loop {
        beats.tick().await;
        health.beat();
    }
}

fn health(
    config: &Config,
    services: &Arc<NodeServices>,
    admission: &Arc<Admission>,
    revocations: &Arc<Revocations>,
    endpoints: Vec<Arc<Endpoint>>,
) -> Arc<Health> {
    let with_tokens = config.auth.mode == Some(AuthMode::Jwt);
    let strict = config.server.strict_readiness;
    let ready = {
        let (services, admission, revocations) = (services.clone(), admission.clone(), revocations.clone());
        move || {
            let NodeServices { broker, hub, access, leaving, .. } = &*services;
            let link = broker.state().link();
            let mut against = Vec::new();
            if link == Link::Starting {
                against.push("not yet connected to the broker");
            }
            // Outages later are told as those of the broker.
            if with_tokens && !revocations.is_known() {
                against.push("it is not known yet which tokens are revoked");
            }
            if !broker.state().degraded().streams().is_empty() {
                against.push("NATS refuses the node what a stream republishes");
            }
            if !hub.has_begun() {
                against.push("a stream is not followed yet");
            }
            // Outages later leave the last keys in place.
            if !access.has_begun() {
                against.push("the keys of an issuer are not here yet");
            }
            if strict && link == Link::Down {
                against.push("the broker is away, and server.strict_readiness is set");
            }
            if leaving.is_cancelled() {
                against.push("leaving");
            } else if admission.open() == admission.most() {
                against.push("limits.connections is reached");
            }
            against
        }
    };
    let (node, kind) = (config.node.name.clone(), config.broker.kind.label());
    let streams: Vec<_> = config.streams.iter().map(|stream| stream.name.clone()).collect();
    let metrics = services.metrics.clone();
    let (services, admission) = (services.clone(), admission.clone());
    let state = move || {
        let NodeServices { broker, hub, access, leaving, tasks, .. } = &*services;
        let link = match broker.state().link() {
            Link::Starting => "connecting",
            Link::Up => "connected",
            Link::Down => "disconnected",
        };
        let certificates: Vec<_> = endpoints.iter().filter_map(|endpoint| endpoint.problem()).collect();
        let mut state = json!({
            "node": node,
            "version": metrics::VERSION,
            "commit": metrics::COMMIT,
            "leaving": leaving.is_cancelled(),
            "broker": state_of_broker(kind, link, broker.state(), &streams),
            "issuers": access.state(),
            "connections": admission.open(),
            "connectionsMost": admission.most(),
            "topics": hub.topics(),
            "tasks": tasks.count(),
        });
        if !certificates.is_empty() {
            state["certificates"] = json!(certificates);
        }
        state
    };
    Health::new(metrics.clone(), ready, state)
}

/// How the broker is: what it does not give stands there only where there is something.
fn state_of_broker(kind: &str, link: &str, broker: &BrokerState, names: &[String]) -> Value {
    let mut state = json!({"kind": kind, (kind): link});
    let failing: Vec<_> = broker.attempts().failing(names).into_iter().map(failing).collect();
    if !failing.is_empty() {
        state["failing"] = json!(failing);
    }
    let degraded = broker.degraded();
    let (patterns, own) = (degraded.patterns(), degraded.own());
    let streams: Vec<_> = degraded.streams().into_iter().filter_map(|stream| names.get(stream.0)).collect();
    if patterns > 0 || !streams.is_empty() || !own.is_empty() {
        state["refused"] = json!({"patterns": patterns, "streams": streams, "own": own});
    }
    let unfit = degraded.unfit();
    if !unfit.is_empty() {
        state["unfit"] = json!(unfit);
    }
    state
}

/// Why attempts fail: what is not known, or says nothing, is left out.
fn failing(failing: Failing) -> Value {
    let Failing { what, server, problem, remedy, attempts, next } = failing;
    let mut state = json!({"what": what, "problem": problem, "attempts": attempts});
    for (key, text) in [("server", server.as_str()), ("remedy", remedy)] {
        if !text.is_empty() {
            state[key] = json!(text);
        }
    }
    if let Some(next) = next {
        // A tenth of a second is all that operators can tell apart.
        state["nextAttemptSeconds"] = json!((next.as_secs_f64() * 10.0).ceil() / 10.0);
    }
    state
}
