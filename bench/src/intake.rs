//! The reading connection of the node, and nothing behind it: what taking events in costs, beside `sink`. It tells its
//! publisher how many it has, as that one does.

use std::{net::SocketAddr, sync::Arc};

use notifier::{
    broker::{self, Arrived},
    config::Config,
    metrics::Metrics,
    subject::Pattern,
    tasks::Tasks,
};
use tokio::net::TcpListener;

use crate::{
    failure::{Because as _, Failure, Outcome},
    sink::{STEP, SUBJECT, TOLD},
};

/// Takes events from the nats-server at `nats`. `listen` is opened once they would arrive. Never returns if all goes
/// well.
#[tokio::main]
pub async fn serve(listen: SocketAddr, nats: SocketAddr) -> Outcome<()> {
    tokio::spawn(take(listen, nats)).await.because(|| "the intake has failed".into())?
}

async fn take(listen: SocketAddr, nats: SocketAddr) -> Outcome<()> {
    let cannot = || "the intake cannot start".to_owned();
    let url = format!("nats://{nats}");
    let teller = async_nats::connect(&url).await.because(cannot)?;
    let mut config = Config::default();
    config.broker.nats.urls = vec![url.into()];
    config.broker.nats.read_connections = 1;
    let metrics = Arc::new(Metrics::new().because(cannot)?);
    let (broker, intakes) = broker::connect(&config, &metrics, &Tasks::new(metrics.clone())).await.because(cannot)?;
    let _feed = broker.open(&Pattern::parse(SUBJECT).because(cannot)?);
    let mut intake = intakes.into_iter().next().ok_or_else(|| Failure::new(cannot()))?;
    let (mut arrived, mut together) = (Arrived::default(), Vec::new());
    let mut listener = None;
    let (mut count, mut told) = (0, 0);
    loop {
        intake.next(&mut arrived).await;
        // Told again after a reconnect.
        if !std::mem::take(&mut arrived.opened).is_empty() && listener.is_none() {
            listener = Some(TcpListener::bind(listen).await.because(cannot)?);
        }
        while arrived.take_feed(&mut together).is_some() {
            count += together.len() as u64;
        }
        if count - told >= STEP {
            told = count - count % STEP;
            teller.publish(TOLD, told.to_string().into()).await.because(|| "the intake cannot tell".into())?;
        }
    }
}
