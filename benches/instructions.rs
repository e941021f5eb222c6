//! Counts the instructions of the hot path with valgrind, and fails where one
//! of them takes 5 % more than the figure written beside it. Counts do not
//! depend on what else the machine does, so CI can hold them; they say nothing
//! of the kernel, where most of a delivery's time goes (`docs/performance.md`).
//!
//! A change that is meant to cost more or less writes its new figure here. They
//! were taken with `make gates` on x86-64, where ten runs differ by less than
//! half a per cent.

#![allow(missing_docs)] // the macros' own items

use std::{hint::black_box, io::ErrorKind, sync::Arc, time::Duration};

use gungraun::{Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use notifier::{
    broker::{self, Broker},
    codec::Encoding,
    config::{BrokerKind, Config, Limits, Overflow},
    encoded_message::EncodedMessage,
    event::Message,
    framing::{Framing, MessageKind},
    hub::{Attachment, Context, Hub, SubscribeOptions},
    metrics::Metrics,
    outbox::{Outbox, Policy},
    proto::{Envelope, ServerFrame, Subscribed, server_frame::Body},
    quota::Quotas,
    socket::Wire,
    subject::{Pattern, Subject},
    tasks::Tasks,
};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

/// At most so many instructions: what they were, and 5 %.
fn at_most(instructions: u64) -> LibraryBenchmarkConfig {
    let limit = instructions + instructions / 20;
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(Callgrind::default().hard_limits([(EventKind::Ir, limit)]));
    config
}

fn message() -> Message {
    let data = format!("{{\"padding\":\"{}\"}}", "x".repeat(114));
    let envelope = Envelope { id: "m-1".into(), time: 1_795_341_600_000, data: data.into(), ..Envelope::default() };
    Message::new(Subject::parse("shop.cart.u42").expect("a subject"), envelope)
}

fn messages(count: usize) -> Vec<Arc<Message>> {
    (0..count).map(|_| Arc::new(message())).collect()
}

// One event of 128 B, or sixteen that waited together.
#[library_benchmark(setup = messages)]
#[bench::one(args = (1), config = at_most(6_082))]
#[bench::sixteen(args = (16), config = at_most(44_788))]
fn encode_json(messages: Vec<Arc<Message>>) -> EncodedMessage {
    black_box(Encoding::Json.events(black_box(&messages)))
}

#[library_benchmark(setup = messages)]
#[bench::one(args = (1), config = at_most(4_184))]
#[bench::sixteen(args = (16), config = at_most(26_959))]
fn encode_proto(messages: Vec<Arc<Message>>) -> EncodedMessage {
    black_box(Encoding::Proto.events(black_box(&messages)))
}

/// A hub with members, whose sockets have room.
struct Hall {
    runtime: Runtime,
    broker: Arc<dyn Broker>,
    peers: Vec<TcpStream>,
    _members: Vec<Attachment>,
}

fn hall(members: usize) -> Hall {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (broker, peers, members) = runtime.block_on(async {
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let tasks = Tasks::new(metrics.clone());
        let mut config = Config::default();
        config.broker.kind = BrokerKind::Memory;
        let (broker, intakes) = broker::connect(&config, &metrics, &tasks).await.expect("a broker");
        let context = Context {
            backlog_bytes: 1 << 20,
            overflow: Overflow::Close,
            replay_events: 1,
            wildcard_shapes: 32,
            quotas: Quotas::new(&Limits::default()),
            tasks: tasks.clone(),
            metrics: metrics.clone(),
        };
        let hub = Hub::new(context, broker.clone(), intakes, Vec::new()).expect("threads");
        let pattern = Pattern::parse("shop.cart.u42").expect("a pattern");
        let (mut peers, mut attached) = (Vec::new(), Vec::new());
        for _ in 0..members {
            let (outbox, peer) = pair(&tasks, &metrics).await;
            let mut attachment = hub.attach(outbox, Encoding::Json);
            attachment.join(&pattern, SubscribeOptions::default()).expect("room");
            peers.push(peer);
            attached.push(attachment);
        }
        let live = Subscribed { subject: pattern.to_string(), delivery: "live".into(), ..Subscribed::default() };
        let live = Encoding::Json.frame(&ServerFrame { reply_to: 0, body: Some(Body::Subscribed(live)) });
        for peer in &peers {
            read(peer, live.len()).await;
        }
        (broker, peers, attached)
    });
    tidy_up();
    Hall { runtime, broker, peers, _members: members }
}

/// Lets glibc join now what was freed here in small pieces: it does so at the
/// next large request, which else is counted as a delivery's own or is not,
/// depending on what was freed in which order.
fn tidy_up() {
    drop(black_box(vec![1_u8; 4 << 10]));
}

async fn pair(tasks: &Tasks, metrics: &Arc<Metrics>) -> (Arc<Outbox>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let peer = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("a connection");
    let (stream, _) = listener.accept().await.expect("a connection");
    let policy = Policy {
        bytes: 1 << 24,
        frames: 1 << 16,
        close_time: Duration::from_secs(5),
        stall_time: Duration::from_secs(30),
        tasks: tasks.clone(),
        metrics: metrics.clone(),
    };
    (Outbox::new(Wire::new(stream), Framing::WebSocket(MessageKind::Text), Arc::new(policy)), peer)
}

/// Reads so many bytes; meanwhile everybody else runs.
async fn read(peer: &TcpStream, mut bytes: usize) {
    let mut buffer = [0; 4 << 10];
    while bytes > 0 {
        match peer.try_read(&mut buffer) {
            Ok(read) => bytes = bytes.saturating_sub(read),
            Err(error) if error.kind() == ErrorKind::WouldBlock => peer.readable().await.expect("it stays open"),
            Err(error) => panic!("{error}"),
        }
    }
}

// One event from the broker to all members.
#[library_benchmark(setup = hall)]
#[bench::ten(args = (10), config = at_most(24_584))]
#[bench::two_hundred(args = (200), config = at_most(74_701))]
#[bench::two_thousand(args = (2_000), config = at_most(652_313))]
fn fan_out(hall: Hall) -> Hall {
    hall.runtime.block_on(async {
        hall.broker.publish(message()).await.expect("the broker is here");
        read(hall.peers.last().expect("members"), 1).await;
    });
    hall
}

/// An outbox with chunks that wait, and the bytes that its peer has to read.
struct Queue {
    runtime: Runtime,
    outbox: Arc<Outbox>,
    peer: TcpStream,
    bytes: usize,
}

fn queue(chunks: usize) -> Queue {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (outbox, peer, bytes) = runtime.block_on(async {
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let (outbox, peer) = pair(&Tasks::new(metrics.clone()), &metrics).await;
        // More than both sockets hold.
        let stopper = EncodedMessage::data(Framing::WebSocket(MessageKind::Text), |body| body.resize(8 << 20, b'x'));
        let event = Encoding::Json.events(&messages(1));
        outbox.push(&stopper);
        for _ in 0..chunks {
            outbox.push(&event);
        }
        (outbox, peer, stopper.len() + chunks * (event.len() - 4))
    });
    Queue { runtime, outbox, peer, bytes }
}

// All that waits, to a peer that reads again.
#[library_benchmark(setup = queue)]
#[bench::a_thousand(args = (1_000), config = at_most(471_411))]
fn drain(queue: Queue) -> Arc<Outbox> {
    queue.runtime.block_on(read(&queue.peer, queue.bytes));
    queue.outbox
}

library_benchmark_group!(name = hot_path, benchmarks = [encode_json, encode_proto, fan_out, drain]);
main!(library_benchmark_groups = hot_path);
