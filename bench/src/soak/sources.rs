//! Services: they publish what is stored until it is acknowledged, publish live events, and answer requests. Each
//! subject counts its events up from 0.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_nats::{Client, ConnectOptions, HeaderMap, Request};
use bytes::Bytes;
use futures_util::StreamExt as _;
use notifier::subject::Subject;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{self, MissedTickBehavior, sleep},
};

use super::{
    house::House,
    subjects::{ASK, ASK_IN_VAIN, DURABLE, LATEST, VALUES, grouped, owed},
};
use crate::{
    clock,
    failure::{Because as _, Failure, Outcome},
    marker::{self, Marker},
};

/// Between two events of one subject.
const DURABLE_EVERY: Duration = Duration::from_millis(500);
const VALUE_EVERY: Duration = Duration::from_secs(2);
const LIVE_EVERY: Duration = Duration::from_millis(300);

/// For an acknowledgement; then the same is published again under the same id.
const ACKNOWLEDGED: Duration = Duration::from_secs(2);

/// Between two attempts, so that a server that starts is left alone.
const RETRY: Duration = Duration::from_millis(200);

/// Bytes of an event, from and to.
const SIZES: (usize, usize) = (128, 600);

#[derive(Debug)]
pub(super) struct Sources {
    publishing: JoinSet<()>,
    answering: JoinSet<()>,
    stop: watch::Sender<bool>,
}

/// Publishes on one subject.
struct Source {
    client: Client,
    subject: Subject,
    random: fastrand::Rng,
    next: u64,
}

impl Sources {
    /// Returns when each `latest` subject has its first value.
    pub(super) async fn begin(nats: SocketAddr, seed: u64, house: &Arc<House>) -> Outcome<Self> {
        let cannot = || "the services cannot connect to NATS".to_owned();
        let options = ConnectOptions::new().reconnect_delay_callback(|_| Duration::from_millis(100));
        let client = options.connect(nats.to_string()).await.because(cannot)?;
        let (stop, stopped) = watch::channel(false);
        let (mut publishing, mut answering) = (JoinSet::new(), JoinSet::new());
        let mut random = fastrand::Rng::with_seed(seed);
        let mut source = |subject: String| -> Outcome<Source> {
            let subject = Subject::parse(&subject).because(|| format!("{subject} cannot be published"))?;
            Ok(Source { client: client.clone(), subject, random: random.fork(), next: 0 })
        };
        for number in 0..VALUES {
            let mut value = source(format!("soak.v.{number}"))?;
            value.store(LATEST, house).await;
            publishing.spawn(value.stored(LATEST, VALUE_EVERY, house.clone(), stopped.clone()));
        }
        for (group, number) in grouped() {
            let durable = source(format!("soak.d.{group}.{number}"))?;
            publishing.spawn(durable.stored(DURABLE, DURABLE_EVERY, house.clone(), stopped.clone()));
            publishing.spawn(source(format!("soak.l.{group}.{number}"))?.live(stopped.clone()));
        }
        let mut questions = client.subscribe(ASK).await.because(cannot)?;
        let unanswered = client.subscribe(ASK_IN_VAIN).await.because(cannot)?;
        client.flush().await.because(cannot)?;
        answering.spawn(async move {
            let _unanswered = unanswered;
            while let Some(question) = questions.next().await {
                if let Some(reply) = question.reply {
                    // Lost with the connection, if it is; whoever asked is told so.
                    let _ = client.publish(reply, question.payload).await;
                }
            }
        });
        Ok(Self { publishing, answering, stop })
    }

    /// Stops publishing, and returns when all that is to be stored is acknowledged.
    pub(super) async fn finish(&mut self) -> Outcome<()> {
        let _ = self.stop.send(true);
        while let Some(end) = self.publishing.join_next().await {
            end.because(|| "a service has failed".into())?;
        }
        if self.answering.try_join_next().is_some() {
            return Err(Failure::new("the service that answers has ended"));
        }
        Ok(())
    }
}

impl Source {
    fn payload(&mut self) -> Bytes {
        let mut payload = Vec::new();
        let marker = Marker { sequence: self.next, time: clock::now() };
        marker::write_payload(&mut payload, marker, self.random.usize(SIZES.0..SIZES.1));
        payload.into()
    }

    /// Stores the next event in `stream`, and returns when that is acknowledged.
    async fn store(&mut self, stream: &'static str, house: &House) {
        let payload = self.payload();
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", format!("{}-{}", self.subject, self.next));
        loop {
            let request = Request::new().headers(headers.clone()).payload(payload.clone()).timeout(Some(ACKNOWLEDGED));
            if let Ok(answer) = self.client.send_request(self.subject.to_string(), request).await
                && let Ok(answer) = serde_json::from_slice::<serde_json::Value>(&answer.payload)
                && let Some(seq) = answer["seq"].as_u64().filter(|seq| *seq > 0)
            {
                house.ledger().store(stream, owed(stream), &self.subject, seq, self.next);
                self.next += 1;
                return;
            }
            house.book.weather().clouds();
            house.ledger().repeat(&self.subject, self.next);
            house.book.count("publishes repeated for want of an acknowledgement");
            sleep(RETRY).await;
        }
    }

    /// Around `every`, so that subjects do not march in step; false when it is time to stop.
    async fn pause(&mut self, every: Duration, stop: &mut watch::Receiver<bool>) -> bool {
        let pause = every.mul_f64(0.5 + self.random.f64());
        time::timeout(pause, stop.wait_for(|stop| *stop)).await.is_err()
    }

    async fn stored(
        mut self,
        stream: &'static str,
        every: Duration,
        house: Arc<House>,
        mut stop: watch::Receiver<bool>,
    ) {
        while self.pause(every, &mut stop).await {
            self.store(stream, &house).await;
        }
    }

    async fn live(mut self, mut stop: watch::Receiver<bool>) {
        let mut ticks = time::interval(LIVE_EVERY);
        // What an outage held up is not made up for in a burst.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            let payload = self.payload();
            // Refused only when the client is gone for good, which shows elsewhere.
            let _ = self.client.publish(self.subject.to_string(), payload).await;
            self.next += 1;
        }
    }
}
