//! `notifier dev`: everything on this machine, nothing to install.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use aws_lc_rs::rand;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::Args;

use crate::{
    cli::{
        exit::{Ended, failed, say},
        sample,
        serve::stop_signal,
    },
    config::{BrokerKind, Config, ConfigError, Drain, Log, LogFormat, Secret, ServerUrl, Span, read_text},
    node::{Node, NodeError},
    telemetry,
};

#[derive(Args, Debug)]
pub(crate) struct DevArgs {
    /// Address for clients; loopback only.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Address for health and metrics; loopback only.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9090")]
    internal_listen: SocketAddr,
    /// Take events from this NATS server, which needs JetStream, instead of the embedded broker.
    #[arg(long, value_name = "URL")]
    nats: Option<ServerUrl>,
    /// Name of the node, told to pages. Default: the host's name.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// File with the secret of the tokens that the sample shop's login issues, for
    /// nodes behind one address. Default: made at the start, as long as the node runs.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

pub(crate) async fn dev(args: DevArgs) -> Ended {
    if let Some(open) = [args.listen, args.internal_listen].iter().find(|address| !address.ip().is_loopback()) {
        return Ended::Said(failed(format!(
            "{open} can be reached from other machines, and `dev` lets everybody in; use a loopback address, \
             or `notifier serve`"
        )));
    }
    Ended::Node(run(args).await)
}

async fn run(args: DevArgs) -> Result<(), NodeError> {
    let mut config = Config::default();
    config.server.listen = args.listen;
    config.server.internal_listen = args.internal_listen;
    config.server.live_page = true;
    config.server.demo = true;
    sample::configure(&mut config);
    // The page floods its node when somebody asks for it.
    config.limits.frames_per_second = 5_000;
    config.limits.frames_burst = 10_000;
    config.limits.user_publishes_per_second = 5_000;
    config.limits.user_publishes_burst = 10_000;
    // As many as one machine opens to try it out, within the usual limits of file descriptors.
    config.limits.connections = 512;
    match args.nats {
        Some(url) => config.broker.nats.urls = vec![url],
        None => config.broker.kind = BrokerKind::Memory,
    }
    if let Some(name) = args.name {
        config.node.name = name;
    }
    sample::authorize(&mut config, secret(args.secret_file)?);
    config.log = Log { format: LogFormat::Text, filter: "warn".into() };
    // Nobody else is there to move to.
    config.drain =
        Drain { window: Span::seconds(0), move_time: Duration::from_millis(200).into(), grace: Span::seconds(2) };
    telemetry::install(&config.log)?;
    let (name, broker) = (config.node.name.clone(), config.broker.kind);
    let node = Node::bind(config).await?;
    introduce(broker, node.local_addr()?, node.internal_addr());
    let stop = stop_signal()?;
    let publisher = node.publisher();
    tokio::select! {
        end = node.run(stop) => end,
        () = sample::publish(&publisher, &name, broker == BrokerKind::Memory) => Ok(()),
    }
}

/// The secret of a file, or a new one.
fn secret(file: Option<PathBuf>) -> Result<Secret, ConfigError> {
    let Some(path) = file else {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).map_err(|_| ConfigError::Invalid {
            key: "--secret-file".into(),
            problem: "is needed: this system has no randomness to make a secret of".into(),
        })?;
        return Ok(BASE64_STANDARD.encode(bytes).into());
    };
    let text = read_text(&path).map_err(|source| ConfigError::Read { path, source })?;
    Ok(text.trim_ascii_end().to_owned().into())
}

fn introduce(broker: BrokerKind, clients: SocketAddr, internal: SocketAddr) {
    let command = std::env::args().next().unwrap_or_else(|| "notifier".into());
    let broker = match broker {
        BrokerKind::Memory => "its embedded broker",
        BrokerKind::Nats => "NATS",
    };
    say(format!(
        "Notifier is running on {broker}; a small shop publishes events.

  web shop    http://{clients}/
  live page   http://{clients}/live
  WebSocket   ws://{clients}/v1/ws
  metrics     http://{internal}/metrics

Try next, in another terminal:

  {command} sub 'shop.>' --node ws://{clients}
  {command} pub shop.cart.u42 '{{\"qty\":2}}' --node ws://{clients}
  curl -d '{{\"qty\":3}}' http://{clients}/v1/publish/shop.cart.u42

Ctrl-C ends it."
    ));
}
