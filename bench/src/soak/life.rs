//! All clients and services, on one thread: from the first who comes to the last who has got everything.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use tokio::{
    runtime,
    sync::{oneshot, watch},
    task::JoinSet,
    time::timeout,
};

use super::{
    Course,
    book::{Book, Weather},
    callers,
    guest::Guest,
    house::House,
    sources::Sources,
    subjects::{DURABLE, LATEST},
    world::{World, issuer},
};
use crate::failure::{Because as _, Failure, Outcome};

/// How long services may take until all is acknowledged, and clients until they have everything.
const PATIENCE: Duration = Duration::from_secs(90);

#[derive(Debug)]
pub(super) struct Life {
    house: Arc<House>,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<Outcome<()>>,
}

impl Life {
    /// Returns when services publish and the first clients set out.
    pub(super) fn begin(world: &World<'_>, course: &Course, random: &mut fastrand::Rng) -> Outcome<Self> {
        let house = Arc::new(House::new(world.listen, issuer()?, course.haste));
        let (stop, stopped) = oneshot::channel();
        let (begun, begins) = mpsc::channel();
        let (all, nats, clients, seed) = (house.clone(), world.nats, course.clients, random.u64(..));
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.because(|| "cannot start the clients".into())?;
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                let mut random = fastrand::Rng::with_seed(seed);
                let mut sources = Sources::begin(nats, random.u64(..), &all).await?;
                let (tell, ends) = watch::channel(None);
                let mut everybody = JoinSet::new();
                everybody.spawn(callers::call(all.clone(), ends.clone()));
                for number in 0..clients {
                    let guest = Guest::new(all.clone(), ends.clone(), number, random.u64(..));
                    everybody.spawn(guest.because(|| "a client has no subject".into())?.live());
                }
                let _ = begun.send(());
                let _ = stopped.await;
                timeout(PATIENCE, sources.finish()).await.because(|| "not all is acknowledged".into())??;
                let end = |stream| (stream, all.ledger().end(stream));
                tell.send_replace(Some(vec![end(DURABLE), end(LATEST)]));
                leave(&mut everybody, &all.book).await
            })
        });
        if begins.recv().is_err() {
            return Err(thread.join().map_or_else(
                |_| Failure::new("the clients have failed"),
                |end| end.err().unwrap_or_else(|| Failure::new("the clients did not begin")),
            ));
        }
        Ok(Self { house, stop, thread })
    }

    /// What NATS' absence explains.
    pub(super) fn weather(&self) -> &Weather {
        self.house.book.weather()
    }

    /// Nothing is published any more; everybody gets what they are owed and leaves. Returns what was seen.
    pub(super) fn end(self) -> Outcome<Arc<House>> {
        let _ = self.stop.send(());
        self.thread.join().map_err(|_| Failure::new("the clients have failed"))??;
        Ok(self.house)
    }
}

/// Waits until everybody has left.
async fn leave(everybody: &mut JoinSet<()>, book: &Book) -> Outcome<()> {
    let all = async {
        while let Some(end) = everybody.join_next().await {
            end.because(|| "a client has failed".into())?;
        }
        Ok(())
    };
    if let Ok(end) = timeout(PATIENCE, all).await {
        return end;
    }
    let count = everybody.len();
    book.fault("clients that never got everything", || count.to_string());
    Ok(())
}
