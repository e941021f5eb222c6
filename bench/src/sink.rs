//! A bare `async-nats` subscriber: what taking events in costs when nothing is done with them. It tells its publisher
//! how many it has, so that the publisher can keep a window as with servers whose clients answer for them.

use std::net::SocketAddr;

use futures_util::StreamExt as _;
use tokio::net::TcpListener;

use crate::failure::{Because as _, Failure, Outcome};

/// What it subscribes to.
pub const SUBJECT: &str = "bench.0";

/// Where it tells how many events it has.
pub const TOLD: &str = "sink.told";

/// It tells after so many.
pub const STEP: u64 = 64;

/// Takes events from the nats-server at `nats`. `listen` is opened once they would arrive. Never returns if all goes
/// well.
#[tokio::main]
pub async fn serve(listen: SocketAddr, nats: SocketAddr) -> Outcome<()> {
    // On a worker, where the NATS client is: the main thread would have to be woken for each event.
    tokio::spawn(take(listen, nats)).await.because(|| "the sink has failed".into())?
}

async fn take(listen: SocketAddr, nats: SocketAddr) -> Outcome<()> {
    let cannot = || "the sink cannot start".to_owned();
    let nats = async_nats::connect(format!("nats://{nats}")).await.because(cannot)?;
    let mut feed = nats.subscribe(SUBJECT).await.because(cannot)?;
    nats.flush().await.because(cannot)?;
    let _listener = TcpListener::bind(listen).await.because(cannot)?;
    let mut count: u64 = 0;
    while feed.next().await.is_some() {
        count += 1;
        if count.is_multiple_of(STEP) {
            nats.publish(TOLD, count.to_string().into()).await.because(|| "the sink cannot tell".into())?;
        }
    }
    Err(Failure::new("the sink has lost its nats-server"))
}
