//! `notifier serve`: a node until SIGTERM or SIGINT.

use tokio::signal::unix::{SignalKind, signal};

use crate::{
    cli::{exit::Ended, settings::SettingsArgs},
    config::{AuthMode, BrokerKind, Config},
    node::{Node, NodeError},
    server::InternalAuth,
    telemetry,
};

pub(crate) async fn serve(settings: &SettingsArgs) -> Ended {
    Ended::Node(match settings.load() {
        Ok(config) => run(config).await,
        Err(problem) => Err(problem.into()),
    })
}

async fn run(config: Config) -> Result<(), NodeError> {
    telemetry::install(&config.log)?;
    if config.auth.mode == Some(AuthMode::Anonymous) {
        if config.grants.is_empty() {
            tracing::warn!(
                "anonymous mode: EVERYBODY who can connect may read and publish every subject of the broker"
            );
        } else {
            tracing::info!("anonymous mode: clients need no token, and may do what is granted to `*` and `anonymous`");
        }
    }
    if InternalAuth::new(&config.server).is_absent() {
        tracing::warn!(
            address = %config.server.internal_listen,
            "the internal listener can be reached from other machines, and asks NOBODY who they are; \
             set server.internal_token, or let the network decide who reaches it"
        );
    }
    if config.broker.kind == BrokerKind::Memory {
        tracing::warn!("embedded broker: events reach the clients of this node only");
    }
    let node = Node::bind(config).await?;
    tracing::info!(clients = %node.local_addr()?, internal = %node.internal_addr(), "listening");
    let stop = stop_signal()?;
    node.run(stop).await
}

/// Resolves at the first SIGTERM or SIGINT. Handlers are in place when this returns.
pub(crate) fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
