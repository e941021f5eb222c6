//! What every broker does, asked of the broker itself. Another one gets its
//! name into `Kind` and `on_every_broker!`, and has to pass these first.

use std::{sync::Arc, time::Duration};

use notifier::{
    broker::{self, Arrived, Broker, FeedId, Intake, Link, Purpose, Query, RequestError},
    classes::StreamIndex,
    clock::unix_millis,
    event::{Message, PageSize},
    metrics::Metrics,
    proto::Envelope,
    subject::{Pattern, Subject},
    tasks::Tasks,
};
use tokio::sync::mpsc;

use super::{
    durable::on_every_broker,
    world::{Kind, NatsServer, Shop, eventually, soon},
};

on_every_broker!(
    what_is_published_once_a_feed_is_open_arrives_in_order,
    a_feed_that_is_dropped_brings_nothing_more,
    who_follows_a_stream_gets_what_it_stores,
    what_is_stored_can_be_read_from_anywhere,
    a_stream_says_what_it_keeps_and_what_is_gone,
    a_question_that_nobody_hears_is_told_so,
);

/// `SHOP`, the first that is configured.
const SHOP: StreamIndex = StreamIndex(0);

/// `PRICES`, which keeps the newest of each subject.
const PRICES: StreamIndex = StreamIndex(1);

const ALL: PageSize = PageSize { events: 64, bytes: 1 << 20 };

struct Desk {
    broker: Arc<dyn Broker>,
    /// What the intake brings: it is read all the time, since answers of the
    /// broker come in there too.
    coming: mpsc::Receiver<Arrived>,
    arrived: Arrived,
    _nats: Option<NatsServer>,
}

impl Desk {
    async fn open(kind: Kind) -> Self {
        let nats = kind.server().await;
        let mut config = Shop::config(nats.as_ref(), |_| {});
        // What arrives comes out of one intake, but for acknowledgements.
        config.broker.nats.read_connections = 1;
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let tasks = Tasks::new(metrics.clone());
        let (broker, intakes) = broker::connect(&config, &metrics, &tasks).await.expect("a broker");
        let (sender, coming) = mpsc::channel(64);
        let mut intakes = intakes.into_iter();
        tokio::spawn(read(intakes.next().expect("an intake"), sender));
        for acknowledgements in intakes {
            let (sender, mut coming) = mpsc::channel(1);
            tokio::spawn(read(acknowledgements, sender));
            tokio::spawn(async move { while coming.recv().await.is_some() {} });
        }
        let mut desk = Self { broker, coming, arrived: Arrived::default(), _nats: nats };
        // Nothing is read from NATS before something is wanted.
        let feed = desk.broker.open(&pattern("desk"));
        desk.until_open(feed.id()).await;
        let mut state = desk.broker.state().watch();
        soon("the broker", state.wait_for(|link| *link == Link::Up)).await.expect("a state");
        soon("streams", desk.broker.ensure_streams()).await.expect("they fit");
        desk
    }

    /// Waits for the next that arrives.
    async fn next(&mut self) {
        self.arrived = soon("something arrives", self.coming.recv()).await.expect("the intake is read");
    }

    async fn until_open(&mut self, feed: FeedId) {
        while !std::mem::take(&mut self.arrived.opened).contains(&feed) {
            self.next().await;
        }
    }

    /// So many events of a feed, as text, and nothing of another.
    async fn events(&mut self, feed: FeedId, count: usize) -> Vec<String> {
        let (mut found, mut together) = (Vec::new(), Vec::new());
        while found.len() < count {
            while let Some(of) = self.arrived.take_feed(&mut together) {
                assert_eq!(of, feed);
                found.extend(together.iter().map(|event| text(event)));
            }
            if found.len() < count {
                self.next().await;
            }
        }
        found
    }

    async fn publish(&self, subject: &str, data: &str) {
        self.broker.publish(message(subject, data, "")).await.expect("it is published");
    }

    async fn store(&self, stream: StreamIndex, subject: &str, data: &str) -> u64 {
        self.broker.store(stream, message(subject, data, "")).await.expect("it is stored").seq
    }

    async fn read(&self, stream: StreamIndex, query: Query, size: PageSize) -> (Vec<(u64, String)>, u64, bool) {
        let page = self.broker.read(stream, &query, size, Purpose::Serve).await.expect("a page");
        let events = page.events.iter().map(|one| (one.seq, one.event.as_deref().map(text).unwrap_or_default()));
        (events.collect(), page.through, page.more)
    }
}

async fn read(mut intake: Box<dyn Intake>, reader: mpsc::Sender<Arrived>) {
    let mut arrived = Arrived::default();
    while reader.send(std::mem::take(&mut arrived)).await.is_ok() {
        intake.next(&mut arrived).await;
    }
}

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).expect("a pattern")
}

fn subject(text: &str) -> Subject {
    Subject::parse(text).expect("a subject")
}

fn message(to: &str, data: &str, id: &str) -> Message {
    let envelope = Envelope { data: data.to_owned().into(), id: id.into(), ..Envelope::default() };
    Message::new(subject(to), envelope)
}

/// Subject and data.
fn text(event: &Message) -> String {
    format!("{} {}", event.subject, String::from_utf8_lossy(&event.envelope.data))
}

async fn what_is_published_once_a_feed_is_open_arrives_in_order(kind: Kind) {
    let mut desk = Desk::open(kind).await;
    let feed = desk.broker.open(&pattern("chat.*"));
    desk.until_open(feed.id()).await;
    for number in 0..50 {
        desk.publish("other.a", "0").await;
        desk.publish("chat.a", &number.to_string()).await;
    }
    let expected: Vec<_> = (0..50).map(|number| format!("chat.a {number}")).collect();
    assert_eq!(desk.events(feed.id(), 50).await, expected);
}

async fn a_feed_that_is_dropped_brings_nothing_more(kind: Kind) {
    let mut desk = Desk::open(kind).await;
    let dropped = desk.broker.open(&pattern("chat.a"));
    let kept = desk.broker.open(&pattern("chat.b"));
    desk.until_open(kept.id()).await;
    drop(dropped);
    let last = desk.broker.open(&pattern("chat.c"));
    // What is open now was asked for behind the end of the first.
    desk.until_open(last.id()).await;
    desk.publish("chat.a", "1").await;
    desk.publish("chat.b", "2").await;
    assert_eq!(desk.events(kept.id(), 1).await, ["chat.b 2"]);
}

async fn who_follows_a_stream_gets_what_it_stores(kind: Kind) {
    let mut desk = Desk::open(kind).await;
    let tail = desk.broker.tail(SHOP);
    assert_eq!(tail.id().stream(), Some(SHOP));
    desk.until_open(tail.id()).await;
    // Published without a word about the stream, as services do it, and with.
    desk.publish("cart.a", "1").await;
    // It leaves by another way than what is stored with a word.
    eventually("it is stored", || async { desk.broker.stream_state(SHOP).await.is_ok_and(|state| state.last == 1) })
        .await;
    let mut sequences = Vec::new();
    for number in 2..=20 {
        sequences.push(desk.store(SHOP, "order.a", &number.to_string()).await);
        desk.store(PRICES, "price.a", "0").await;
    }
    assert_eq!(sequences, (2..=20).collect::<Vec<_>>());
    let mut stored = Vec::new();
    while stored.len() < 20 {
        desk.next().await;
        stored.append(&mut desk.arrived.stored);
    }
    for (number, (stream, stored)) in (1..).zip(&stored) {
        let event = stored.event.as_deref().expect("an event");
        let from = if number == 1 { "cart.a" } else { "order.a" };
        assert_eq!((*stream, stored.seq, text(event)), (SHOP, number, format!("{from} {number}")));
        assert_eq!(event.seq(), number);
        assert!(event.envelope.time > 0);
    }
    let twice = [(); 2].map(|()| desk.broker.store(SHOP, message("cart.a", "3", "the same")));
    let [first, second] = futures_util::future::join_all(twice).await.try_into().expect("two");
    let (first, second) = (first.expect("a receipt"), second.expect("a receipt"));
    assert_eq!((first.seq, second.seq), (21, 21));
    assert_ne!(first.duplicate, second.duplicate);
}

async fn what_is_stored_can_be_read_from_anywhere(kind: Kind) {
    let desk = Desk::open(kind).await;
    for number in 1..=9 {
        desk.store(SHOP, ["cart.a", "cart.b", "order.a"][number % 3], &number.to_string()).await;
    }
    let at = |number: u64| (number, format!("{} {number}", ["cart.a", "cart.b", "order.a"][number as usize % 3]));
    let (events, through, more) = desk.read(SHOP, Query::From(4), ALL).await;
    assert_eq!((events, through >= 9, more), ((4..=9).map(at).collect(), true, false));
    let (events, through, more) = desk.read(SHOP, Query::From(4), PageSize { events: 2, ..ALL }).await;
    assert_eq!((events, through, more), (vec![at(4), at(5)], 5, true));
    let (events, ..) = desk.read(SHOP, Query::Of(subject("cart.b"), 2), ALL).await;
    assert_eq!(events, [at(4), at(7)]);
    let newest = Query::Newest { patterns: vec![pattern("cart.*")], upto: 7, from: 0 };
    let (events, ..) = desk.read(SHOP, newest, ALL).await;
    assert_eq!(events, [at(6), at(7)]);
    let (events, ..) = desk.read(SHOP, Query::Since(unix_millis() - 60_000), PageSize { events: 1, ..ALL }).await;
    assert_eq!(events, [at(1)]);
    let page = desk.broker.read_leader(SHOP, 8).await.expect("a page");
    assert_eq!(page.events.iter().map(|one| one.seq).collect::<Vec<_>>(), [8, 9]);
}

async fn a_stream_says_what_it_keeps_and_what_is_gone(kind: Kind) {
    let desk = Desk::open(kind).await;
    let empty = desk.broker.stream_state(PRICES).await.expect("a state");
    assert_eq!((empty.last, empty.messages), (0, 0));
    assert!(empty.epoch > 0);
    for (number, name) in (1..).zip(["a", "b", "a", "a"]) {
        desk.store(PRICES, &format!("price.{name}"), &number.to_string()).await;
    }
    let state = desk.broker.stream_state(PRICES).await.expect("a state");
    assert_eq!((state.first, state.last, state.messages, state.epoch), (2, 4, 2, empty.epoch));
    assert_eq!(desk.broker.deleted_through(PRICES, 1, 4).await, Ok(Some(1)));
    assert_eq!(desk.broker.deleted_through(PRICES, 2, 4).await, Ok(None));
    assert_eq!(desk.broker.deleted_through(PRICES, 3, 3).await, Ok(Some(3)));
}

async fn a_question_that_nobody_hears_is_told_so(kind: Kind) {
    let desk = Desk::open(kind).await;
    let asked = desk.broker.request(message("desk.question", "?", ""), Duration::from_secs(60));
    let answer = soon("an answer", asked).await;
    assert!(matches!(answer, Err(RequestError::NoResponders)), "{answer:?}");
}
