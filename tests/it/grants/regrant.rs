//! The grants of a live connection are replaced: what is lost ends, what is
//! denied is left out from then on, and nothing that was under way slips
//! through. A hub without sessions, because these only say when.

use std::{sync::Arc, time::Duration};

use notifier::{
    access::{
        grants::{Grants, Rules},
        identity::Identity,
    },
    broker,
    codec::Encoding,
    config::Config,
    hub::{Attachment, Context, Hub, SubscribeOptions},
    journal::Journal,
    metrics::Metrics,
    outbox::{Offer, Outbox, Policy},
    proto::{Envelope, Position, ServerFrame, Unsubscribed, server_frame::Body},
    publish::{Publisher, Sender},
    quota::Quotas,
    socket::Wire,
    subject::Pattern,
    tasks::Tasks,
};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use super::{
    super::{
        durable::on_every_broker,
        world::{Kind, NatsServer, Shop, eventually, frame, soon},
    },
    grants,
};

on_every_broker!(
    what_is_no_longer_granted_ends_and_the_rest_goes_on,
    denials_hold_at_once_and_can_be_lifted,
    a_replay_under_way_leaves_out_what_is_denied_meanwhile,
    who_catches_up_is_sent_nothing_that_was_denied_meanwhile,
);

/// A hub on either broker.
struct Hall {
    _nats: Option<NatsServer>,
    hub: Arc<Hub>,
    publisher: Publisher,
    metrics: Arc<Metrics>,
    tasks: Tasks,
    /// Bytes that may wait for one connection.
    room: usize,
}

impl Hall {
    async fn open(kind: Kind, change: impl FnOnce(&mut Config)) -> Self {
        let nats = kind.server().await;
        let config = Shop::config(nats.as_ref(), change);
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let tasks = Tasks::new(metrics.clone());
        let (broker, intakes) = broker::connect(&config, &metrics, &tasks).await.expect("a broker");
        let classes = broker.classes().clone();
        let quotas = Quotas::new(&config.limits);
        let journals = Journal::all(&config, &classes, &broker, &tasks, &metrics);
        let context = Context {
            backlog_bytes: 1 << 24,
            overflow: config.limits.live_overflow,
            replay_events: 1_000_000,
            wildcard_shapes: 0,
            quotas: quotas.clone(),
            tasks: tasks.clone(),
            metrics: metrics.clone(),
        };
        let publisher = Publisher::new(broker.clone(), classes, &config, quotas, metrics.clone());
        let hub = Hub::new(context, broker.clone(), intakes, journals).expect("threads");
        let unfit = broker.clone();
        tasks.spawn(async move { drop(unfit.ensure_streams().await) });
        eventually("streams", || async { hub.has_begun() }).await;
        Self { _nats: nats, hub, publisher, metrics, tasks, room: config.limits.outbox_bytes.bytes() }
    }

    /// Somebody with a socket.
    async fn guest(&self) -> Guest {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let peer = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a connection");
        let (stream, _) = listener.accept().await.expect("a connection");
        socket2::SockRef::from(&stream).set_send_buffer_size(8 * 1024).expect("a socket");
        let policy = Policy {
            bytes: self.room,
            frames: 1 << 16,
            close_time: Duration::from_secs(5),
            stall_time: Duration::from_secs(30),
            tasks: self.tasks.clone(),
            metrics: self.metrics.clone(),
        };
        let outbox = Outbox::new(Wire::new(stream), Encoding::Json.framing(), Arc::new(policy));
        let attachment = self.hub.attach(outbox.clone(), Encoding::Json);
        Guest { attachment, outbox, peer, frames: Vec::new().into_iter() }
    }

    /// Publishes as a service does; the sequence, where it is stored.
    async fn publish(&self, subject: &str, data: &str) -> u64 {
        let envelope = Envelope { data: data.to_owned().into(), ..Envelope::default() };
        let everybody = Grants::anonymous(Arc::default());
        let service = Sender { grants: &everybody, connection: None };
        self.publisher.publish(service, subject, envelope).await.expect("it is taken").seq
    }

    fn value(&self, series: &str) -> f64 {
        self.metrics.upkeep();
        let text = self.metrics.render();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
        value.unwrap_or(0.0)
    }
}

/// A connection of a hub.
struct Guest {
    attachment: Attachment,
    outbox: Arc<Outbox>,
    peer: TcpStream,
    frames: std::vec::IntoIter<Value>,
}

impl Guest {
    fn join(&mut self, pattern: &str, wish: SubscribeOptions) {
        self.attachment.join(&Pattern::parse(pattern).expect("a pattern"), wish).expect("room");
    }

    async fn subscribe(&mut self, pattern: &str) -> Value {
        self.join(pattern, SubscribeOptions::default());
        loop {
            let mut frame = self.next().await;
            if frame.get("subscribed").is_some() {
                assert_eq!(frame["subscribed"]["subject"], pattern);
                return frame["subscribed"].take();
            }
        }
    }

    fn regrant(&mut self, grants: &Grants) -> Vec<String> {
        let mut ended: Vec<String> =
            self.attachment.regrant(grants).iter().map(|ended| ended.pattern.to_string()).collect();
        ended.sort();
        ended
    }

    /// Puts a frame behind all that was handed to the connection.
    async fn mark(&mut self) {
        self.put("mark").await;
    }

    /// Puts a frame there as soon as there is room, for which it may have to
    /// read some of what is before it.
    async fn put(&mut self, subject: &str) {
        let mark = Unsubscribed { subject: subject.into(), reason: String::new() };
        let frame = ServerFrame { reply_to: 0, body: Some(Body::Unsubscribed(mark)) };
        let frame = Encoding::Json.frame(&frame);
        while self.outbox.offer(&frame) == Offer::Full {
            self.next().await;
        }
    }

    async fn next(&mut self) -> Value {
        loop {
            if let Some(frame) = self.frames.next() {
                return frame;
            }
            let (first, message) = soon("a message", frame(&mut self.peer)).await;
            assert_eq!(first, 0x81);
            let lines = message.split(|byte| *byte == b'\n').map(|line| serde_json::from_slice(line).expect("JSON"));
            self.frames = lines.collect::<Vec<_>>().into_iter();
        }
    }

    /// Subject of the next event, replayed or not.
    async fn events(&mut self) -> Vec<(String, Value)> {
        let mut frame = self.next().await;
        let told = |event: &Value| (event["subject"].as_str().expect("a subject").to_owned(), event["data"].clone());
        match frame.get("replay") {
            Some(replay) => replay["events"].as_array().expect("events").iter().map(told).collect(),
            None if frame.get("event").is_some() => vec![told(&frame["event"].take())],
            None => Vec::new(),
        }
    }

    /// Reads until the mark; then until this event has come, and returns what
    /// came behind the mark.
    async fn behind_the_mark(&mut self, last: (&str, Value)) -> Vec<(String, Value)> {
        while self.next().await["unsubscribed"]["subject"] != "mark" {}
        let mut events = Vec::new();
        while !events.iter().any(|event: &(String, Value)| (event.0.as_str(), &event.1) == (last.0, &last.1)) {
            events.append(&mut self.events().await);
        }
        events
    }
}

/// What a client may do by these lists.
fn granted(lists: &str) -> Grants {
    let config = Config { grants: grants(&format!("[[grants]]\nrole = \"*\"\n{lists}")), ..Config::default() };
    Rules::new(&config, Arc::default()).grant(Identity::anonymous()).expect("granted")
}

async fn what_is_no_longer_granted_ends_and_the_rest_goes_on(kind: Kind) {
    let hall = Hall::open(kind, |_| {}).await;
    let mut guest = hall.guest().await;
    assert!(guest.regrant(&granted("subscribe = [\">\"]")).is_empty());
    let patterns = ["chat.*", "chat.>", "cart.>", "cart.u1", "order.1", "price.*", "news.a"];
    for pattern in patterns {
        guest.subscribe(pattern).await;
    }
    let ended =
        guest.regrant(&granted("subscribe = [\"chat.*\", \"cart.u1\", \"price.*\"]\nsubscribe_literal = [\"news.>\"]"));
    assert_eq!(ended, ["cart.>", "chat.>", "order.1"]);
    assert_eq!(guest.attachment.len(), 4);
    guest.mark().await;
    for subject in ["chat.a.b", "cart.u2", "order.1", "chat.a", "cart.u1", "price.a"] {
        hall.publish(subject, "1").await;
    }
    hall.publish("news.a", "2").await;
    let mut events = guest.behind_the_mark(("news.a", 2.into())).await;
    while events.len() < 4 {
        events.append(&mut guest.events().await);
    }
    events.sort_by(|one, other| one.0.cmp(&other.0));
    let subjects: Vec<_> = events.iter().map(|event| event.0.as_str()).collect();
    assert_eq!(subjects, ["cart.u1", "chat.a", "news.a", "price.a"]);
    // What was lost can be had again.
    assert!(guest.regrant(&granted("subscribe = [\">\"]")).is_empty());
    guest.subscribe("order.1").await;
    hall.publish("order.1", "3").await;
    while guest.events().await != [("order.1".to_owned(), 3.into())] {}
    // Nothing is granted any more.
    assert_eq!(guest.regrant(&granted("publish = [\"a\"]")).len(), 5);
    assert!(guest.attachment.is_empty());
}

async fn denials_hold_at_once_and_can_be_lifted(kind: Kind) {
    let hall = Hall::open(kind, |_| {}).await;
    let mut guest = hall.guest().await;
    for pattern in ["chat.>", "*.secret", "cart.>", "cart.secret"] {
        guest.subscribe(pattern).await;
    }
    let grants = |denied: &str| granted(&format!("subscribe = [\">\"]\ndeny = [{denied}]"));
    for round in 0..20 {
        let denies = round % 2 == 0;
        // A pattern that is wholly denied ends.
        let ended = guest.regrant(&grants(if denies { "\"chat.secret\", \"cart.secret\"" } else { "" }));
        assert_eq!(ended, if denies { vec!["cart.secret"] } else { vec![] });
        guest.mark().await;
        for subject in ["chat.secret", "cart.secret", "cart.ok", "chat.ok"] {
            hall.publish(subject, &round.to_string()).await;
        }
        let mut events = guest.behind_the_mark(("chat.ok", round.into())).await;
        let expected = if denies { 2 } else { 4 };
        while events.len() < expected {
            events.append(&mut guest.events().await);
        }
        assert_eq!(events.len(), expected, "{events:?}");
        assert!(!denies || events.iter().all(|event| event.0.ends_with(".ok")), "{events:?}");
        if !denies {
            guest.subscribe("cart.secret").await;
        }
    }
}

async fn a_replay_under_way_leaves_out_what_is_denied_meanwhile(kind: Kind) {
    let hall = Hall::open(kind, |config| config.limits.outbox_bytes = "64KiB".parse().expect("a size")).await;
    let mut guest = hall.guest().await;
    let subscribed = guest.subscribe("cart.>").await;
    let mut other = hall.guest().await;
    let padding = "x".repeat(4_000);
    for number in 0..400 {
        let subject = if number % 2 == 0 { "cart.ok" } else { "cart.secret" };
        hall.publish(subject, &format!("\"{number} {padding}\"")).await;
    }
    let epoch = subscribed["positions"][0]["epoch"].as_str().expect("an epoch").to_owned();
    let after = [Position { stream: "SHOP".into(), epoch, ..Position::default() }].into();
    other.regrant(&granted("subscribe = [\">\"]"));
    other.join("cart.>", SubscribeOptions { after, ..SubscribeOptions::default() });
    // It fills the socket and waits.
    other.next().await;
    other.regrant(&granted("subscribe = [\">\"]\ndeny = [\"cart.secret\"]"));
    other.mark().await;
    hall.publish("cart.ok", "\"last\"").await;
    let events = other.behind_the_mark(("cart.ok", "last".into())).await;
    assert!(events.len() > 50, "the mark was early: {}", events.len());
    assert!(events.iter().all(|event| event.0 == "cart.ok"), "a denied event was replayed");
    // None of the others is missing or there twice.
    let numbers: Vec<_> =
        events.iter().filter_map(|(_, data)| data.as_str()?.split(' ').next()?.parse::<u64>().ok()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 2), "{numbers:?}");
    assert_eq!(numbers.last(), Some(&398));
}

async fn who_catches_up_is_sent_nothing_that_was_denied_meanwhile(kind: Kind) {
    let hall = Hall::open(kind, |config| {
        config.limits.outbox_bytes = "64KiB".parse().expect("a size");
        config.streams[0].window.bytes = "256KiB".parse().expect("a size");
    })
    .await;
    let mut guest = hall.guest().await;
    for pattern in ["cart.>", "order.>"] {
        guest.subscribe(pattern).await;
    }
    let padding = "x".repeat(16_000);
    for number in 0..900 {
        let subject = ["cart.ok", "cart.secret", "order.1"][number % 3];
        hall.publish(subject, &format!("\"{number} {padding}\"")).await;
    }
    eventually("a lag", || async { hall.value("notifier_lagging ") >= 1.0 }).await;
    // There is room for the mark and not yet for what waits to be sent, which
    // is encoded already.
    guest.put("room").await;
    let ended = guest.regrant(&granted("subscribe = [\"cart.>\"]\ndeny = [\"cart.secret\"]"));
    assert_eq!(ended, ["order.>"]);
    guest.mark().await;
    hall.publish("cart.ok", "\"last\"").await;
    let events = guest.behind_the_mark(("cart.ok", "last".into())).await;
    assert!(events.iter().all(|event| event.0 == "cart.ok"), "what is denied or lost was sent");
    let numbers: Vec<_> =
        events.iter().filter_map(|(_, data)| data.as_str()?.split(' ').next()?.parse::<u64>().ok()).collect();
    assert!(numbers.len() > 50 && numbers.windows(2).all(|pair| pair[1] == pair[0] + 3), "{numbers:?}");
    assert_eq!(numbers.last(), Some(&897));
}

/// Events of all kinds flow as fast as they can while grants change.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_that_is_denied_or_lost_is_sent_once_it_is_said() {
    // Not about slow readers.
    let patient = |config: &mut Config| config.limits.outbox_bytes = "256MiB".parse().expect("a size");
    let hall = Arc::new(Hall::open(Kind::Memory, patient).await);
    let flood = {
        let hall = hall.clone();
        tokio::spawn(async move {
            loop {
                for subject in ["chat.secret", "cart.secret", "chat.ok", "cart.ok", "cart.lost", "chat.lost.a"] {
                    hall.publish(subject, "0").await;
                }
                tokio::task::yield_now().await;
            }
        })
    };
    for round in 0..200_u64 {
        let mut guest = hall.guest().await;
        guest.regrant(&granted("subscribe = [\">\"]"));
        for pattern in ["cart.*", "chat.*", "chat.>", "cart.lost", "cart.secret"] {
            guest.join(pattern, SubscribeOptions::default());
        }
        // At some moment of it.
        for _ in 0..round % 7 {
            guest.next().await;
        }
        let ended = guest.regrant(&granted(
            "subscribe = [\"cart.secret\", \"cart.*\", \"chat.*\"]\ndeny = [\"*.secret\", \"cart.lost\"]",
        ));
        assert_eq!(ended, ["cart.lost", "cart.secret", "chat.>"]);
        guest.mark().await;
        let data = format!("\"{round}\"");
        hall.publish("cart.ok", &data).await;
        let events = guest.behind_the_mark(("cart.ok", round.to_string().into())).await;
        let leaked: Vec<_> = events.iter().filter(|event| !event.0.ends_with(".ok")).collect();
        assert!(leaked.is_empty(), "{round}: {leaked:?}");
    }
    flood.abort();
}
