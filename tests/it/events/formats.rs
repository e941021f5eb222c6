//! Other forms of event streams and polls: the events alone, as a plain `EventSource` wants them, or CloudEvents.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{numbers, polls::lines};
use crate::world::{
    Kind, Shop, TestNode,
    event_stream::{EventMessage, EventReader},
};

/// The next message with this name, passing over others that are no events.
async fn named(reader: &mut EventReader, name: &str) -> Value {
    loop {
        let EventMessage { name: found, data } = reader.message().await.expect("the stream goes on");
        assert!(!data.contains('\n'), "one line: {data}");
        if found == name {
            return serde_json::from_str(&data).expect("JSON");
        }
        assert!(!found.is_empty(), "an event before {name}: {data}");
    }
}

async fn live(node: &TestNode, query: &str) -> EventReader {
    let mut reader = EventReader::open(node.address, query).await;
    assert_eq!(reader.status, 200, "{}", reader.head);
    named(&mut reader, "subscribed").await;
    reader
}

#[tokio::test]
async fn a_plain_reader_sees_events_and_the_rest_by_name() {
    for kind in [Kind::Memory, Kind::Nats] {
        let mut shop = Shop::open(kind).await;
        let mut reader = EventReader::open(shop.node.address, "?subject=cart.*&subject=$SYS.a&format=event").await;
        assert_eq!(reader.header("content-type"), Some("text/event-stream"));
        assert_eq!(named(&mut reader, "welcome").await["heartbeatMs"], 15_000);
        assert!(reader.retry.is_some_and(|retry| (1_000..3_000).contains(&retry)));
        assert_eq!(named(&mut reader, "error").await["code"], "forbidden");
        let subscribed = named(&mut reader, "subscribed").await;
        assert_eq!((&subscribed["subject"], &subscribed["delivery"]), (&json!("cart.*"), &json!("durable")));
        shop.publish("cart.a", [7]).await;
        let event = named(&mut reader, "").await;
        let epoch = subscribed["positions"][0]["epoch"].as_str().expect("an epoch");
        assert_eq!((&event["subject"], &event["seq"], &event["data"]), (&json!("cart.a"), &json!(1), &json!(7)));
        assert_eq!(reader.id, format!("v1.SHOP~{epoch}~1"));
        shop.node.leave();
        assert_eq!(named(&mut reader, "goaway").await["windowMs"], 200);
        assert_eq!(named(&mut reader, "goaway").await, json!({"reason": "draining"}));
        assert_eq!(reader.message().await, None);
        drop(reader);
        shop.node.gone().await;
    }
}

#[tokio::test]
async fn a_reader_of_events_goes_on_behind_any_of_them() {
    let shop = Shop::open(Kind::Nats).await;
    let query = "?subject=cart.*&subject=price.*&format=event";
    let mut reader = live(&shop.node, query).await;
    // The last of them has the positions of all.
    named(&mut reader, "subscribed").await;
    let mut id = reader.id.clone();
    drop(reader);
    shop.publish("price.x", [0]).await;
    shop.publish("cart.a", 1..=100).await;
    shop.until_followed().await;
    let mut got = Vec::new();
    while got.len() < 101 {
        let mut reader = EventReader::resume(shop.node.address, query, &id).await;
        // It leaves in the midst of what was written together.
        for _ in 0..7.min(101 - got.len()) {
            got.push(named(&mut reader, "").await["data"].take());
        }
        id = reader.id.clone();
    }
    got.retain(|data| *data != 0);
    assert_eq!(got, numbers(1..=100));
    let mut reader = EventReader::resume(shop.node.address, query, &id).await;
    assert_eq!(named(&mut reader, "subscribed").await["recovered"], true);
    // Two streams, and what is published together: each event has the positions in both.
    let mut publisher = shop.nats().publisher().await;
    for number in 101..=164 {
        publisher.publish(b"cart.a", b"", None, number.to_string().as_bytes()).await;
    }
    publisher.flush().await;
    for number in 101..=164 {
        assert_eq!(named(&mut reader, "").await["data"], number);
        assert!(reader.id.contains("PRICES~") && reader.id.contains(&format!("~{number}")), "{}", reader.id);
    }
}

#[tokio::test]
async fn a_cloud_event_is_told_as_one_and_with_its_place() {
    let shop = Shop::open(Kind::Nats).await;
    let mut reader = live(&shop.node, "?subject=cart.*&subject=view.*&format=cloudevents").await;
    let headers = [
        ("Nats-Msg-Id", "o-17"),
        ("content-type", "application/json"),
        ("ce-type", "shop.order.placed"),
        ("ce-source", "/orders"),
        ("ce-time", "2026-11-22T10:00:00.123456+01:00"),
        ("ce-tenant", "acme"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ];
    shop.store("cart.a", &headers, "{\"total\":42}").await;
    let expected = json!({
        "specversion": "1.0", "id": "o-17", "source": "/orders", "type": "shop.order.placed", "subject": "cart.a",
        "time": "2026-11-22T10:00:00.123456+01:00", "datacontenttype": "application/json", "tenant": "acme",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "notifiersubject": "cart.a",
        "notifierstream": "SHOP", "notifierseq": "1", "data": {"total": 42},
    });
    assert_eq!(named(&mut reader, "").await, expected);
    shop.node.publish("view.a", "8").await;
    let event = named(&mut reader, "").await;
    assert_eq!(
        (&event["source"], &event["type"], &event["data"]),
        (&json!("/view.a"), &json!("notifier.event"), &json!(8))
    );
    assert!(event["id"].is_string() && event["time"].is_string() && event.get("notifierstream").is_none(), "{event}");
}

#[tokio::test]
async fn snapshots_and_gaps_come_by_name_and_their_values_as_events() {
    let shop = Shop::open(Kind::Nats).await;
    shop.publish("price.x", [1]).await;
    shop.publish("price.y", [2]).await;
    shop.until_followed().await;
    let mut reader = EventReader::open(shop.node.address, "?subject=price.*&format=event").await;
    let values: BTreeMap<String, Value> = [named(&mut reader, "").await, named(&mut reader, "").await]
        .into_iter()
        .map(|event| (event["subject"].as_str().expect("a subject").to_owned(), event["data"].clone()))
        .collect();
    assert_eq!(values, [("price.x".to_owned(), json!(1)), ("price.y".to_owned(), json!(2))].into());
    named(&mut reader, "subscribed").await;
    let epoch = reader.id.split('~').nth(1).expect("an epoch").to_owned();
    let old = reader.id.replace(&epoch, "17");
    let mut reader = EventReader::resume(shop.node.address, "?subject=price.*&format=event", &old).await;
    let gap = named(&mut reader, "gap").await;
    assert_eq!((&gap["reason"], &gap["epoch"], gap.get("gap")), (&json!("reset"), &json!(epoch), None));
}

#[tokio::test]
async fn one_encoding_serves_all_readers_of_a_format_and_one_that_nobody_reads_costs_nothing() {
    let node = TestNode::memory().await;
    let encoded = || node.metric("notifier_batches_total");
    let mut readers = Vec::new();
    for format in ["event", "cloudevents", "cloudevents", "cloudevents"] {
        readers.push(live(&node, &format!("?subject=a&format={format}")).await);
    }
    let before = encoded().await;
    node.publish("a", "1").await;
    for reader in &mut readers {
        assert_eq!(named(reader, "").await["data"], 1);
    }
    assert_eq!(encoded().await - before, 2.0);
}

#[tokio::test]
async fn an_unknown_format_is_refused_with_those_that_there_are() {
    let node = TestNode::memory().await;
    let mut reader = EventReader::open(node.address, "?subject=a&format=xml").await;
    let error = reader.json().await["error"].take();
    let expected =
        json!({"code": "bad_request", "message": "`format=xml` is unknown; write frames, event or cloudevents"});
    assert_eq!((reader.status, error), (400, expected));
    let node = TestNode::with(|config| config.limits.connections = 1).await;
    let _first = live(&node, "?subject=a&format=event").await;
    let mut reader = EventReader::open(node.address, "?subject=a&format=event").await;
    assert_eq!(named(&mut reader, "error").await["code"], "connection_limit");
    assert_eq!(reader.message().await, None);
}

#[tokio::test]
async fn a_poll_answers_with_events_and_with_what_will_not_come() {
    let shop = Shop::open(Kind::Nats).await;
    let before = lines(&shop.node, "?subject=cart.*&format=event&wait=0", &[]).await;
    let [ping] = &before[..] else { panic!("{before:?}") };
    let cursor = ping["ping"]["cursor"].as_str().expect("a cursor").to_owned();
    shop.publish("cart.a", 1..=3).await;
    shop.until_followed().await;
    let answer = lines(&shop.node, "?subject=cart.*&subject=$SYS.a&format=event&wait=0", &[]).await;
    assert_eq!(answer[0]["error"]["code"], "forbidden");
    let answer = lines(&shop.node, &format!("?subject=cart.*&format=event&after={cursor}"), &[]).await;
    let [events @ .., ping] = &answer[..] else { panic!("{answer:?}") };
    assert_eq!(events.iter().map(|event| event["data"].clone()).collect::<Vec<_>>(), numbers(1..=3));
    assert!(events.iter().all(|event| event["subject"] == "cart.a"));
    assert!(ping["ping"]["cursor"].as_str().is_some_and(|cursor| cursor.ends_with("~3")), "{ping}");
    let answer = lines(&shop.node, &format!("?subject=cart.*&format=cloudevents&after={cursor}"), &[]).await;
    let events = &answer[..3];
    assert!(events.iter().all(|event| event["specversion"] == "1.0" && event["subject"] == "cart.a"), "{answer:?}");
    assert_eq!(events[2]["notifierseq"], "3");
    let answer = lines(&shop.node, "?subject=view.a&format=cloudevents&wait=0&after=v1.", &[]).await;
    assert_eq!(answer[0], json!({"gap": {"subject": "view.a", "reason": "overflow"}}));
}
