//! Event streams: all that a WebSocket promises, for readers that only know HTTP.

mod alternating;
mod command_line;
mod ends;
mod formats;
mod polls;
mod refusals;
mod vanished;

use std::time::Duration;

use notifier::config::Span;
use serde_json::{Value, json};

use crate::world::{Authority, Kind, Shop, TestNode, Ws, event_stream::EventReader};

fn numbers(numbers: impl IntoIterator<Item = u64>) -> Vec<Value> {
    numbers.into_iter().map(Value::from).collect()
}

/// Opened, welcomed and live.
async fn live(node: &TestNode, query: &str) -> EventReader {
    let mut reader = EventReader::open(node.address, query).await;
    assert_eq!(reader.status, 200, "{}", reader.head);
    reader.expect("welcome").await;
    reader.expect("subscribed").await;
    reader
}

#[tokio::test]
async fn events_arrive_as_the_frames_of_a_websocket() {
    let shop = Shop::open(Kind::Nats).await;
    let mut reader = EventReader::open(shop.node.address, "?subject=cart.*&subject=view.*").await;
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
        ("connection", "close"),
    ] {
        assert_eq!(reader.header(name), Some(value), "{}", reader.head);
    }
    assert!(reader.header("date").is_some_and(|date| date.ends_with(" gmt")), "{}", reader.head);
    let welcome = reader.expect("welcome").await;
    assert_eq!(welcome["heartbeatMs"], 15_000);
    assert!(reader.retry.is_some_and(|retry| (1_000..3_000).contains(&retry)));
    let mut live = [reader.expect("subscribed").await, reader.expect("subscribed").await];
    live.sort_by_key(|subscribed| subscribed["subject"].to_string());
    assert_eq!((&live[0]["delivery"], &live[1]["delivery"]), (&json!("durable"), &json!("live")));
    shop.publish("cart.a", [7]).await;
    let event = reader.expect("event").await;
    assert_eq!((&event["subject"], &event["data"], &event["seq"]), (&json!("cart.a"), &json!(7), &json!(1)));
    let epoch = live[0]["positions"][0]["epoch"].as_str().expect("an epoch");
    assert_eq!(reader.id, format!("v1.SHOP~{epoch}~1"));
    shop.node.publish("view.a", "8").await;
    assert_eq!(reader.expect("event").await["data"], 8);
    assert_eq!(reader.id, format!("v1.SHOP~{epoch}~1"), "nothing stores it");
}

#[tokio::test]
async fn a_reader_goes_on_from_its_last_id_on_any_node() {
    let shop = Shop::open(Kind::Nats).await;
    let other = Shop::node(shop.nats.as_ref(), |_| {}).await;
    let mut reader = live(&shop.node, "?subject=cart.*").await;
    shop.publish("cart.a", 1..=3).await;
    assert_eq!(reader.events(3).await, numbers(1..=3));
    let id = reader.id.clone();
    drop(reader);
    shop.publish("cart.a", 4..=200).await;
    let mut reader = EventReader::resume(other.address, "?subject=cart.*", &id).await;
    reader.expect("welcome").await;
    assert_eq!(reader.events(197).await[..], numbers(4..=200)[..]);
    // From within the replay as well: by the parameter, as clients do that cannot set headers.
    let mut reader = EventReader::open(other.address, &format!("?subject=cart.*&after={id}")).await;
    reader.expect("welcome").await;
    let first = reader.events(1).await.len() as u64;
    let mut reader = EventReader::resume(shop.node.address, "?subject=cart.*", &reader.id).await;
    let left = 200 - 3 - first as usize;
    reader.expect("welcome").await;
    let rest = if left == 0 { Vec::new() } else { reader.events(left).await };
    assert_eq!(rest, numbers(4 + first..=200));
}

#[tokio::test]
async fn several_streams_have_one_id_and_each_is_resumed_where_it_was() {
    for kind in [Kind::Memory, Kind::Nats] {
        let shop = Shop::open(kind).await;
        let query = "?subject=cart.*&subject=price.*&subject=order.*";
        let mut reader = EventReader::open(shop.node.address, query).await;
        reader.expect("welcome").await;
        for _ in 0..3 {
            reader.expect("subscribed").await;
        }
        shop.publish("cart.a", [1]).await;
        shop.publish("price.x", [2]).await;
        shop.publish("order.a", [3]).await;
        let mut data = reader.events(3).await;
        data.sort_by_key(Value::as_u64);
        assert_eq!(data, numbers(1..=3));
        let id = reader.id.clone();
        assert!(id.contains("SHOP~") && id.contains("PRICES~"), "{id}");
        shop.publish("price.y", [4]).await;
        shop.publish("cart.b", [5]).await;
        assert_eq!(reader.events(2).await.len(), 2);
        let last = reader.id.clone();
        for (id, missed) in [(id, vec![4, 5]), (last, vec![])] {
            let mut reader = EventReader::resume(shop.node.address, query, &id).await;
            reader.expect("welcome").await;
            let mut data = reader.events(missed.len()).await;
            data.sort_by_key(Value::as_u64);
            assert_eq!(data, numbers(missed));
            for _ in 0..3 {
                assert_eq!(reader.expect("subscribed").await["recovered"], true);
            }
        }
    }
}

#[tokio::test]
async fn patterns_that_overlap_are_replayed_once_and_in_the_order_of_the_stream() {
    let shop = Shop::open(Kind::Nats).await;
    shop.publish("cart.a", [1]).await;
    shop.publish("order.a", [2]).await;
    shop.publish("cart.b", [3]).await;
    let fetched: Value =
        serde_json::from_slice(shop.node.get("/v1/fetch?subject=cart.%3E").await.body()).expect("JSON");
    let epoch = fetched["fetched"]["positions"][0]["epoch"].as_str().expect("an epoch").to_owned();
    let at = |seq: u64| json!([{"stream": "SHOP", "epoch": epoch, "seq": seq}]);
    let body = json!({"subscriptions": [
        {"subject": "cart.>", "after": at(0)},
        {"subject": "cart.a", "after": at(2)},
        {"subject": "order.*", "after": at(1)},
    ]});
    for (method, mut stored) in [("POST", vec![1, 2, 3]), ("QUERY", vec![1, 2, 3, 4, 5])] {
        let mut reader = EventReader::ask(shop.node.address, method, "", &[], &body.to_string()).await;
        reader.expect("welcome").await;
        let replay = reader.expect("replay").await;
        assert_eq!(replay.get("subject"), None, "it is that of all patterns");
        let data: Vec<&Value> =
            replay["events"].as_array().expect("events").iter().map(|event| &event["data"]).collect();
        assert_eq!(data, stored);
        for _ in 0..3 {
            reader.expect("subscribed").await;
        }
        for _ in 0..2 {
            // Once for two patterns.
            stored.push(stored.len() as u64 + 1);
            shop.publish("cart.a", stored.last().copied()).await;
            assert_eq!(reader.events(1).await, numbers(stored.last().copied()));
        }
    }
}

#[tokio::test]
async fn a_snapshot_comes_first_and_again_only_to_who_has_no_id() {
    let shop = Shop::open(Kind::Nats).await;
    shop.publish("cart.a", [1, 2]).await;
    shop.publish("cart.b", [3]).await;
    shop.until_followed().await;
    let query = "?subject=cart.*&snapshot=true";
    let mut reader = EventReader::open(shop.node.address, query).await;
    reader.expect("welcome").await;
    let replay = reader.expect("replay").await;
    let data: Vec<&Value> = replay["events"].as_array().expect("events").iter().map(|event| &event["data"]).collect();
    assert_eq!((data, &replay["snapshot"]), (vec![&json!(2), &json!(3)], &json!(true)));
    assert_eq!(reader.id, "v1.", "it is not complete");
    reader.expect("subscribed").await;
    let id = reader.id.clone();
    assert!(id.ends_with("~3"), "{id}");
    shop.publish("cart.a", [4]).await;
    let mut reader = EventReader::resume(shop.node.address, query, &id).await;
    reader.expect("welcome").await;
    assert_eq!(reader.events(1).await, numbers([4]));
    let mut reader = EventReader::resume(shop.node.address, query, "v1.").await;
    reader.expect("welcome").await;
    assert_eq!(reader.expect("replay").await["snapshot"], true);
}

#[tokio::test]
async fn a_checkpoint_moves_the_id_beyond_what_others_get() {
    let shop = Shop::with(Kind::Nats, |config| config.server.heartbeat = Span::seconds(1)).await;
    let mut reader = live(&shop.node, "?subject=cart.*").await;
    shop.publish("order.a", 1..=5).await;
    shop.until_followed().await;
    loop {
        let ping = reader.ping().await;
        if ping["positions"][0]["seq"] == 5 {
            break;
        }
    }
    assert!(reader.id.ends_with("~5"), "{}", reader.id);
    shop.publish("cart.a", [6]).await;
    assert_eq!(reader.events(1).await, numbers([6]));
    assert!(reader.id.ends_with("~6"), "{}", reader.id);
}

#[tokio::test]
async fn a_stream_that_was_created_again_is_told_and_its_new_id_holds() {
    let shop = Shop::open(Kind::Nats).await;
    let mut reader = live(&shop.node, "?subject=cart.*").await;
    shop.publish("cart.a", [1]).await;
    reader.events(1).await;
    let mut id = reader.id.clone();
    id.truncate(id.rfind('~').expect("a sequence"));
    let old = format!("{}1~1", &id[..=id.rfind('~').expect("an epoch")]);
    let mut reader = EventReader::resume(shop.node.address, "?subject=cart.*", &old).await;
    reader.expect("welcome").await;
    assert_eq!(reader.expect("gap").await["reason"], "reset");
    assert_eq!(reader.events(1).await, numbers([1]));
    reader.expect("subscribed").await;
    assert_eq!(reader.id, format!("{id}~1"));
}

#[tokio::test]
async fn a_stream_works_over_tls_and_lasts() {
    let authority = Authority::new();
    let node = TestNode::with(|config| authority.serve(config)).await;
    let line = authority.stream(node.address).await;
    let mut reader = EventReader::over(Box::new(line), "GET", "?subject=a", &[], "").await;
    reader.expect("welcome").await;
    reader.expect("subscribed").await;
    let mut publisher = Ws::secured(node.address, &authority).await;
    for number in 0..3 {
        publisher.send(json!({"id": 5, "publish": {"subject": "a", "event": {"data": number}}})).await;
        assert_eq!(reader.events(1).await, numbers([number]));
        publisher.expect("published").await;
    }
}

#[tokio::test]
async fn what_a_reader_still_says_changes_nothing() {
    let node = TestNode::memory().await;
    let mut reader = live(&node, "?subject=a").await;
    reader.say(b"GET /v1/events?subject=b HTTP/1.1\r\nHost: a\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    node.publish("b", "1").await;
    node.publish("a", "2").await;
    assert_eq!(reader.events(1).await, numbers([2]));
    let by = |transport| format!("notifier_transport_connections{{transport=\"{transport}\"}}");
    let websocket = node.client().await;
    assert_eq!(node.metric("notifier_connections").await, 2.0);
    assert_eq!((node.metric(&by("events")).await, node.metric(&by("websocket")).await), (1.0, 1.0));
    drop(websocket);
    node.until_metric(&by("websocket"), |open| open == 0.0).await;
    assert_eq!((node.metric(&by("events")).await, node.metric(&by("poll")).await), (1.0, 0.0));
    drop(reader);
    node.until_metric("notifier_connections", |open| open == 0.0).await;
    node.until_metric(&by("events"), |open| open == 0.0).await;
    node.until_metric("notifier_connections_closed_total{reason=\"normal\"}", |closed| closed >= 1.0).await;
    assert_eq!(node.metric("notifier_subscriptions").await, 0.0);
}
