//! Atomic batches of JetStream: each client gets of a batch all that it may see in one message, whichever way it gets
//! events, or nothing of it.

use std::{collections::BTreeMap, net::SocketAddr, ops::RangeInclusive};

use async_nats::HeaderMap;
use notifier::{
    codec::{Encoding, EventFormat},
    config::Config,
    proto::{
        ClientFrame, Connect, Event, ServerFrame, StreamCursor, Subscription, client_frame::Body as ClientBody,
        server_frame::Body,
    },
    socket::{ClientSocket, SocketError},
};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use super::{
    super::world::{NatsServer, TestNode, event_stream::EventReader, eventually, full_size, shop::STREAMS, soon},
    Kind, Shop, positions,
};

/// Lets publishers store batches in `SHOP`, as an operator does.
async fn allow_batches(nats: &NatsServer) {
    let mut settings = nats.api("STREAM.INFO.SHOP", &Value::Null).await["config"].take();
    settings["allow_atomic"] = true.into();
    nats.api("STREAM.UPDATE.SHOP", &settings).await;
}

/// A shop whose stream takes batches.
async fn shop(change: impl FnOnce(&mut Config)) -> Shop {
    let shop = Shop::with(Kind::Nats, change).await;
    allow_batches(shop.nats()).await;
    shop
}

/// Publishes numbers together, those of one subject after the other in turn; the last sequence.
async fn publish(client: &async_nats::Client, id: &str, subjects: &[&str], numbers: RangeInclusive<u64>) -> u64 {
    publish_with(client, id, subjects, numbers, "").await
}

/// The same, with something behind each number.
async fn publish_with(
    client: &async_nats::Client,
    id: &str,
    subjects: &[&str],
    numbers: RangeInclusive<u64>,
    more: &str,
) -> u64 {
    let end = *numbers.end();
    for (index, number) in (1..).zip(numbers) {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Batch-Id", id);
        headers.insert("Nats-Batch-Sequence", index.to_string());
        let subject = subjects[(index - 1) % subjects.len()].to_owned();
        let data = format!("{{\"number\":{number},\"more\":\"{more}\"}}");
        if number < end {
            client.publish_with_headers(subject, headers, data.into()).await.expect("published");
            continue;
        }
        headers.insert("Nats-Batch-Commit", "1");
        let answer = client.request_with_headers(subject, headers, data.into()).await.expect("an answer");
        let answer: Value = serde_json::from_slice(&answer.payload).expect("JSON");
        assert_eq!(answer["batch"], id, "{answer}");
        return answer["seq"].as_u64().expect("a sequence");
    }
    unreachable!("a batch has an event")
}

/// The events of a message, live or replayed.
fn events(frames: Vec<ServerFrame>) -> Vec<Event> {
    let of = |frame: ServerFrame| match frame.body {
        Some(Body::Event(event)) => vec![event],
        Some(Body::Replay(replay)) => replay.events,
        Some(Body::Fetched(fetched)) => fetched.events,
        _ => Vec::new(),
    };
    frames.into_iter().flat_map(of).collect()
}

/// Each batch of which something is in a message is there with all of it that a client may see: `of` says how much that
/// is, by its identifier.
fn are_whole(message: &[Event], of: impl Fn(&str) -> usize) {
    let mut runs: BTreeMap<&str, Vec<(u32, bool)>> = BTreeMap::new();
    for place in message.iter().filter_map(|event| event.batch.as_ref()) {
        runs.entry(&place.id).or_default().push((place.index, place.last));
    }
    for (id, places) in runs {
        assert_eq!(places.len(), of(id), "a part of {id}: {places:?}");
        assert!(places.windows(2).all(|pair| pair[0].0 < pair[1].0 && !pair[0].1), "{id}: {places:?}");
        assert!(places.last().is_some_and(|(_, last)| *last), "{id}: {places:?}");
    }
}

fn number(event: &Event) -> u64 {
    let data: Value = serde_json::from_slice(&event.data).expect("JSON");
    data["number"].as_u64().expect("a number")
}

fn numbers(events: &[Event]) -> Vec<u64> {
    events.iter().map(number).collect()
}

/// A client that keeps apart what came in different messages.
struct Page {
    socket: ClientSocket,
    encoding: Encoding,
}

impl Page {
    /// One that subscribes, resuming behind positions.
    async fn open(address: SocketAddr, encoding: Encoding, subject: &str, after: &Value) -> Self {
        let (host, addresses) = (address.to_string(), [address]);
        let socket = ClientSocket::connect(&addresses, &host, "/v1/ws", encoding.subprotocol());
        let mut page = Self { socket: soon("an upgrade", socket).await.expect("an upgrade"), encoding };
        let after = serde_json::from_value(after.clone()).expect("positions");
        let subscription = Subscription { subject: subject.into(), after, ..Subscription::default() };
        let connect = Connect { subscriptions: vec![subscription], ..Connect::default() };
        let mut message = Vec::new();
        encoding.write_client(&ClientFrame { id: 1, body: Some(ClientBody::Connect(connect)) }, &mut message);
        page.socket.send(encoding.kind(), &message).await.expect("the node reads");
        page
    }

    /// One that is live.
    async fn live(address: SocketAddr, encoding: Encoding, subject: &str) -> Self {
        let mut page = Self::open(address, encoding, subject, &json!([])).await;
        while !page.message().await.iter().any(|frame| matches!(frame.body, Some(Body::Subscribed(_)))) {}
        page
    }

    async fn try_message(&mut self) -> Result<Vec<ServerFrame>, SocketError> {
        let message = self.socket.receive().await?;
        Ok(self.encoding.read_server(&message).expect("frames"))
    }

    async fn message(&mut self) -> Vec<ServerFrame> {
        soon("a message", self.try_message()).await.expect("an open connection")
    }

    /// Messages with events until there are so many; each has of each batch what `of` says.
    async fn whole_batches(&mut self, count: usize, of: impl Fn(&str) -> usize) -> Vec<Event> {
        let mut all = Vec::new();
        while all.len() < count {
            let message = events(self.message().await);
            are_whole(&message, &of);
            all.extend(message);
        }
        all
    }
}

const BOTH: [Encoding; 2] = [Encoding::Json, Encoding::Proto];

#[tokio::test]
async fn a_batch_arrives_in_one_message_as_far_as_a_client_may_see_it() {
    let shop = shop(|_| {}).await;
    let nats = shop.nats().client().await;
    for encoding in BOTH {
        let mut all = Page::live(shop.node.address, encoding, ">").await;
        let mut some = Page::live(shop.node.address, encoding, "cart.u2").await;
        for length in [1, 2, 100, 700] {
            publish(&nats, "b", &["cart.u1", "cart.u2", "order.1"], 1..=length).await;
            let message = all.whole_batches(1, |_| length as usize).await;
            assert_eq!(numbers(&message), (1..=length).collect::<Vec<_>>());
            assert!((1..).zip(&message).all(|(index, event)| event.batch.as_ref().is_some_and(|at| at.index == index)));
            let seqs: Vec<_> = message.iter().map(|event| event.seq).collect();
            assert!(seqs.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{seqs:?}");
            let seen: Vec<u64> = (1..=length).filter(|index| index % 3 == 2).collect();
            if !seen.is_empty() {
                assert_eq!(numbers(&some.whole_batches(1, |_| seen.len()).await), seen, "of {length}");
            }
        }
        // One that is no batch has no mark, and comes by itself.
        shop.store("cart.u2", &[], "{\"number\":7}").await;
        for page in [&mut all, &mut some] {
            let message = page.whole_batches(1, |_| 0).await;
            assert_eq!((numbers(&message), &message[0].batch), (vec![7], &None));
        }
    }
}

/// In memory, from the stream in order, and subject by subject; batches lie across the ends of pages.
#[tokio::test]
async fn a_batch_is_replayed_and_fetched_whole_wherever_it_lies() {
    let small = |config: &mut Config| config.streams[0].window.bytes = "40KiB".parse().expect("a size");
    let shop = shop(small).await;
    let nats = shop.nats().client().await;
    let (_, _, subscribed) = shop.resume(">", &json!([])).await;
    let begun = positions(&subscribed);
    let mut next = 1;
    for batch in 0..24 {
        publish(&nats, &format!("b{batch}"), &["cart.u1", "cart.u2", "order.1"], next..=next + 98).await;
        next += 99;
    }
    let all: Vec<u64> = (1..next).collect();
    for (pattern, of) in [("cart.>", 66), ("cart.u2", 33), (">", 99), ("order.*", 33)] {
        let expected: Vec<u64> = all
            .iter()
            .copied()
            .filter(|number| match pattern {
                ">" => true,
                "cart.>" => number % 3 != 0,
                "cart.u2" => number % 3 == 2,
                _ => number % 3 == 0,
            })
            .collect();
        for encoding in BOTH {
            let mut page = Page::open(shop.node.address, encoding, pattern, &begun).await;
            let replayed = page.whole_batches(expected.len(), |_| of).await;
            assert_eq!(numbers(&replayed), expected, "{pattern}");
        }
        let asked = format!("subject={}", pattern.replace('>', "%3E"));
        let mut stream = EventReader::resume(shop.node.address, &format!("?{asked}"), &cursor(&begun)).await;
        let mut streamed = Vec::new();
        while streamed.len() < expected.len() {
            let message = soon("a message", stream.message()).await.expect("the stream goes on");
            let frames =
                Encoding::EventStream(EventFormat::Frames).read_server(message.data.as_bytes()).expect("frames");
            let message = events(frames);
            are_whole(&message, |_| of);
            streamed.extend(message);
        }
        assert_eq!(numbers(&streamed), expected, "{pattern}");
        assert_eq!(polled(&shop.node, &asked, &begun, of, expected.len()).await, expected, "{pattern}");
        // A page of fewer events than a batch has the batch all the same, and one of some more no part of the next.
        for limit in [10, 150] {
            assert_eq!(fetched(&shop.node, &asked, limit, of).await, expected, "{pattern} {limit}");
        }
    }
}

/// Positions as the cursor of an event stream.
fn cursor(positions: &Value) -> String {
    StreamCursor(serde_json::from_value(positions.clone()).expect("positions")).to_string()
}

async fn polled(node: &TestNode, asked: &str, begun: &Value, of: usize, count: usize) -> Vec<u64> {
    let (mut after, mut all) = (cursor(begun), Vec::new());
    while all.len() < count {
        let answer = node.get(&format!("/v1/poll?{asked}&after={after}&wait=1")).await;
        assert_eq!(answer.status(), 200, "{:?}", answer.body());
        let frames = Encoding::Json.read_server(answer.body()).expect("frames");
        let last = frames.last().and_then(|frame| frame.body.clone());
        let message = events(frames);
        are_whole(&message, |_| of);
        all.extend(numbers(&message));
        match last {
            Some(Body::Ping(ping)) => after = ping.cursor,
            other => panic!("no cursor at the end: {other:?}"),
        }
    }
    all
}

async fn fetched(node: &TestNode, asked: &str, limit: usize, of: usize) -> Vec<u64> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let answer = node.get(&format!("/v1/fetch?{asked}&limit={limit}{after}")).await;
        let frames = Encoding::Json.read_server(answer.body()).expect("a frame");
        let Some(Body::Fetched(fetched)) = frames.into_iter().next().and_then(|frame| frame.body) else {
            panic!("{:?}", answer.body())
        };
        are_whole(&fetched.events, |_| of);
        assert!(fetched.events.len() <= limit.max(of), "{} of {limit}", fetched.events.len());
        all.extend(numbers(&fetched.events));
        let at = |at: &notifier::proto::Position| format!("&after={}/{}/{}", at.stream, at.epoch, at.seq);
        after = fetched.positions.iter().map(at).collect();
        if !fetched.more {
            return all;
        }
    }
}

#[tokio::test]
async fn a_client_that_catches_up_gets_batches_whole() {
    let narrow = |config: &mut Config| {
        config.limits.outbox_bytes = "64KiB".parse().expect("a size");
        config.limits.send_buffer = "8KiB".parse().expect("a size");
        config.streams[0].window.bytes = "256KiB".parse().expect("a size");
    };
    let shop = shop(narrow).await;
    let nats = shop.nats().client().await;
    let mut slow = Page::live(shop.node.address, Encoding::Json, "cart.*").await;
    let padding = "x".repeat(4_000);
    for batch in 0..40_u64 {
        publish_with(&nats, &batch.to_string(), &["cart.u1", "cart.u2"], batch * 90 + 1..=batch * 90 + 90, &padding)
            .await;
    }
    eventually("a client that lags", || async { shop.node.metric("notifier_lagging").await == 1.0 }).await;
    let all = slow.whole_batches(3_600, |_| 90).await;
    assert_eq!(numbers(&all), (1..=3_600).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_batch_above_the_bound_comes_in_parts_with_the_same_marks() {
    let small = |config: &mut Config| config.limits.batch_bytes = "64KiB".parse().expect("a size");
    let shop = shop(small).await;
    let nats = shop.nats().client().await;
    let (_, _, subscribed) = shop.resume("cart.*", &json!([])).await;
    let mut live = Page::live(shop.node.address, Encoding::Json, "cart.*").await;
    publish_with(&nats, "large", &["cart.u1"], 1..=100, &"x".repeat(4_000)).await;
    let mut replayed = Page::open(shop.node.address, Encoding::Proto, "cart.*", &positions(&subscribed)).await;
    for page in [&mut live, &mut replayed] {
        let (mut all, mut parts) = (Vec::new(), 0);
        while all.len() < 100 {
            let message = events(page.message().await);
            parts += usize::from(!message.is_empty());
            all.extend(message);
        }
        // Of up to 14 events, which have 64 KiB; the last of them may be joined to the one before.
        assert!((7..=8).contains(&parts), "{parts}");
        let places: Vec<_> = all.iter().map(|event| event.batch.clone().expect("a mark")).collect();
        assert!((1..).zip(&places).all(|(index, at)| at.id == "large" && at.index == index), "{places:?}");
        assert!(places.iter().all(|at| at.last == (at.index == 100)), "{places:?}");
    }
    assert_eq!(shop.node.metric("notifier_batches_parted_total").await, 1.0);
}

/// Its publisher gave it up, or the server refuses it.
#[tokio::test]
async fn a_batch_that_is_not_committed_reaches_nobody() {
    let shop = shop(|_| {}).await;
    let nats = shop.nats().client().await;
    let mut page = Page::live(shop.node.address, Encoding::Json, ">").await;
    for index in 1..=3 {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Batch-Id", "never");
        headers.insert("Nats-Batch-Sequence", index.to_string());
        nats.publish_with_headers("cart.u1", headers, "{\"number\":0}".into()).await.expect("published");
    }
    publish(&nats, "b", &["cart.u1"], 1..=2).await;
    assert_eq!(numbers(&page.whole_batches(1, |_| 2).await), [1, 2]);
}

/// The stream has removed the beginning of a batch by its retention: that is told, and the rest comes.
#[tokio::test]
async fn what_retention_has_taken_of_a_batch_is_told() {
    let shop = shop(|_| {}).await;
    let nats = shop.nats().client().await;
    let (_, _, subscribed) = shop.resume("cart.*", &json!([])).await;
    let mut page = Page::live(shop.node.address, Encoding::Json, "cart.*").await;
    publish(&nats, "b", &["cart.u1"], 1..=10).await;
    page.whole_batches(10, |_| 10).await;
    shop.nats().api("STREAM.PURGE.SHOP", &json!({"seq": 5})).await;
    let after = positions(&subscribed);
    eventually("a gap", || async {
        let (_, before, _) = shop.resume("cart.*", &after).await;
        before[0].get("gap").is_some()
    })
    .await;
    let (_, before, subscribed) = shop.resume("cart.*", &after).await;
    assert_eq!(before[0]["gap"]["reason"], "expired");
    let places: Vec<_> = before[1..].iter().map(|event| event["batch"].clone()).collect();
    let place = |index| {
        if index == 10 { json!({"id": "b", "index": index, "last": true}) } else { json!({"id": "b", "index": index}) }
    };
    assert_eq!(places, (5..=10).map(place).collect::<Vec<_>>());
    assert_eq!(subscribed.get("recovered"), None);
}

/// Newest values are a state: which of them were published together says nothing.
#[tokio::test]
async fn newest_values_have_no_marks() {
    let shop = shop(|_| {}).await;
    let nats = shop.nats().client().await;
    let mut page = Page::live(shop.node.address, Encoding::Json, "cart.*").await;
    publish(&nats, "b", &["cart.u1", "cart.u2"], 1..=4).await;
    page.whole_batches(4, |_| 4).await;
    let mut client = shop.node.client().await;
    let (before, _) = client.resume("cart.*", json!({"snapshot": true})).await;
    let answer = shop.node.get("/v1/fetch?subject=cart.*&last=true").await;
    let answer: Value = serde_json::from_slice(answer.body()).expect("JSON");
    let fetched = answer["fetched"]["events"].as_array().expect("events");
    for values in [&before, fetched] {
        let told: Vec<_> = values.iter().map(|event| (event["data"]["number"].clone(), event.get("batch"))).collect();
        assert_eq!(told, [(json!(3), None), (json!(4), None)]);
    }
}

/// The node is killed while a batch of 100 events is on its way: a client has all of it or nothing, and gets it whole
/// from the next node.
#[tokio::test]
async fn a_node_that_is_killed_in_the_midst_of_a_batch_leaves_no_part_of_it() {
    let nats = NatsServer::jetstream().await;
    let mut node = TestNode::process(&nats, STREAMS, &[]).await;
    allow_batches(&nats).await;
    let publisher = nats.client().await;
    let mut after = {
        let mut client = node.client().await;
        client.send(json!({"id": 1, "subscribe": {"subject": "cart.*"}})).await;
        positions(&client.expect("subscribed").await["subscribed"])
    };
    let (mut all, mut first, mut later) = (Vec::new(), 0, 0);
    let (rounds, mut takes) = (if full_size() { 200 } else { 10 }, Duration::from_millis(5));
    for round in 0..rounds {
        let encoding = BOTH[round % 2];
        let next = TestNode::process(&nats, STREAMS, &[]).await;
        let mut page = Page::open(node.address, encoding, "cart.*", &after).await;
        while !page.message().await.iter().any(|frame| matches!(frame.body, Some(Body::Subscribed(_)))) {}
        let number = round as u64 * 100 + 1;
        let kill = async {
            // About as often before the batch as behind it.
            sleep(takes.mul_f64(fastrand::f64() * 2.0)).await;
            // Its process ends at once.
            drop(node);
        };
        let publish = async {
            let begun = Instant::now();
            publish(&publisher, &round.to_string(), &["cart.u1", "cart.u2"], number..=number + 99).await;
            begun.elapsed()
        };
        (takes, ()) = tokio::join!(publish, kill);
        let mut message = Vec::new();
        while let Ok(frames) = soon("a message or the end", page.try_message()).await {
            let came = events(frames);
            are_whole(&came, |_| 100);
            message.extend(came);
        }
        if message.is_empty() {
            later += 1;
            message = Page::open(next.address, encoding, "cart.*", &after).await.whole_batches(100, |_| 100).await;
        } else {
            first += 1;
        }
        after[0]["seq"] = message.last().expect("events").seq.into();
        all.extend(numbers(&message));
        node = next;
    }
    println!("{first} batches came from the node that was killed, {later} from the next one");
    assert_eq!(all, (1..=rounds as u64 * 100).collect::<Vec<_>>());
    assert!(!full_size() || (first > 0 && later > 0), "{first} {later}");
}
