//! A client that changes between WebSocket, event stream and poll, and between nodes, at
//! random: one cursor serves all of them.

use std::{sync::Arc, time::Duration};

use notifier::proto::{Position, StreamCursor};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::polls;
use crate::world::{Kind, Shop, TestNode, Ws, event_stream::EventReader, full_size, soon};

/// What the client has, whatever brought it.
#[derive(Default)]
struct Kept {
    cursor: StreamCursor,
    carts: Vec<u64>,
    prices: Vec<u64>,
}

impl Kept {
    fn take(&mut self, event: &Value) {
        let number = event["data"].as_u64().expect("a number");
        match event["stream"].as_str() {
            Some("SHOP") => self.carts.push(number),
            _ => self.prices.push(number),
        }
    }

    fn id(&self) -> String {
        self.cursor.to_string()
    }

    /// The events of a frame; how many those were.
    fn take_frame(&mut self, frame: &Value) -> usize {
        let events = match frame["replay"]["events"].as_array() {
            Some(events) => events.clone(),
            None => frame.get("event").cloned().into_iter().collect(),
        };
        assert!(frame.get("gap").is_none(), "{frame}");
        events.iter().for_each(|event| self.take(event));
        events.len()
    }

    /// A frame of a WebSocket, with the cursor that it moves.
    fn take_of_websocket(&mut self, frame: &Value) -> usize {
        let positions = [&frame["subscribed"]["positions"], &frame["ping"]["positions"]];
        for at in positions.into_iter().filter_map(Value::as_array).flatten() {
            self.reach(&at["stream"], Some(&at["epoch"]), &at["seq"]);
        }
        let events = match frame["replay"]["events"].as_array() {
            Some(events) => events.clone(),
            None => frame.get("event").cloned().into_iter().collect(),
        };
        let (mut new, epoch) = (0, frame["replay"].get("epoch"));
        for event in events {
            if self.reach(&event["stream"], epoch, &event["seq"]) {
                self.take(&event);
                new += 1;
            }
        }
        new
    }

    /// Raises the cursor of a stream; false where it is there already.
    fn reach(&mut self, stream: &Value, epoch: Option<&Value>, seq: &Value) -> bool {
        let (stream, seq) = (stream.as_str().expect("a stream"), seq.as_u64().unwrap_or(0));
        let epoch = epoch.and_then(Value::as_str);
        match self.cursor.0.iter_mut().find(|at| at.stream == stream) {
            Some(at) => {
                let further = seq > at.seq;
                at.seq = at.seq.max(seq);
                further
            }
            None => {
                let (stream, epoch) = (stream.to_owned(), epoch.expect("an epoch comes first").to_owned());
                self.cursor.0.push(Position { stream, epoch, seq, ..Position::default() });
                true
            }
        }
    }
}

const QUERY: &str = "?subject=cart.*&subject=price.*";

/// Until enough has come, for a moment at most, or something breaks.
async fn some_of(kept: &mut Kept, node: &TestNode, transport: u8, most: usize) {
    let mut got = 0;
    match transport {
        0 => {
            let mut client = Ws::open(node.address).await;
            let after: Vec<Value> =
                kept.cursor.0.iter().map(|at| json!({"stream": at.stream, "epoch": at.epoch, "seq": at.seq})).collect();
            let subscriptions: Vec<Value> =
                ["cart.*", "price.*"].iter().map(|subject| json!({"subject": subject, "after": after})).collect();
            client.send(json!({"connect": {"subscriptions": subscriptions}})).await;
            // Both: an event before that is not for the other one.
            let mut live = 0;
            while got < most || live < 2 {
                let frame = client.next().await;
                live += usize::from(frame.get("subscribed").is_some());
                got += kept.take_of_websocket(&frame);
            }
        }
        1 => {
            let id = if kept.cursor.0.is_empty() { String::new() } else { kept.id() };
            let mut reader = EventReader::resume(node.address, QUERY, &id).await;
            while got < most {
                let Some(message) = reader.message().await else { break };
                for line in message.data.split('\n') {
                    let frame: Value = serde_json::from_str(line).expect("a frame");
                    if frame.get("goaway").is_none() {
                        got += kept.take_frame(&frame);
                    }
                }
                if let Ok(cursor) = reader.id.parse::<StreamCursor>()
                    && !cursor.0.is_empty()
                {
                    kept.cursor = cursor;
                }
            }
        }
        _ => {
            let (frames, cursor) = polls::poll(node, &format!("{QUERY}&wait=1&after={}", kept.id())).await;
            frames.iter().filter(|frame| frame.get("goaway").is_none()).for_each(|frame| {
                kept.take_frame(frame);
            });
            kept.cursor = cursor.parse().expect("a cursor");
        }
    }
}

#[tokio::test]
async fn a_client_that_changes_its_transport_and_node_at_random_loses_and_doubles_nothing() {
    let switches = if full_size() { 1_000 } else { 50 };
    let shop = Arc::new(Shop::open(Kind::Nats).await);
    let other = Shop::node(shop.nats.as_ref(), |_| {}).await;
    let publisher = tokio::spawn({
        let shop = shop.clone();
        async move {
            for number in 1.. {
                shop.publish("cart.a", [number]).await;
                if number % 3 == 0 {
                    shop.publish("price.x", [number]).await;
                }
                sleep(Duration::from_millis(2)).await;
            }
        }
    });
    let mut kept = Kept::default();
    // From the beginning of both streams.
    let (_, cursor) = polls::poll(&shop.node, &format!("{QUERY}&wait=0")).await;
    kept.cursor = cursor.parse().expect("a cursor");
    kept.cursor.0.iter_mut().for_each(|at| at.seq = 0);
    for _ in 0..switches {
        let node = if fastrand::bool() { &shop.node } else { &other };
        let transport = fastrand::u8(..3);
        let part = some_of(&mut kept, node, transport, fastrand::usize(1..8));
        soon("a part", part).await;
    }
    publisher.abort();
    let _ = timeout(Duration::from_secs(1), publisher).await;
    let expected: Vec<u64> = (1..=kept.carts.len() as u64).collect();
    assert!(kept.carts.len() > switches / 2, "{}", kept.carts.len());
    assert_eq!(kept.carts, expected);
    assert!(kept.prices.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", kept.prices);
}
