//! The rules for clients of `docs/protocol.md`: who keeps them loses nothing and gets
//! nothing twice.

use std::collections::BTreeMap;

use notifier::codec::Encoding;
use serde_json::{Value, json};

use super::world::{Kind, NatsServer, Peer, Shop, TestNode};

/// The number in an event, and its sequence.
fn read(event: &Value) -> (u64, u64) {
    (event["data"].as_u64().expect("a number"), event["seq"].as_u64().unwrap_or(0))
}

/// A client that is welcome, with these subscriptions live.
async fn live(node: &TestNode, encoding: Encoding, patterns: &[&str], after: &Value) -> Peer {
    let entries: Vec<_> = (2..).zip(patterns).map(|(id, subject)| json!({"id": id, "subject": subject})).collect();
    let mut client = Peer::connect(node.address, encoding, json!({"after": after, "subscriptions": entries})).await;
    client.expect("welcome").await;
    for _ in patterns {
        client.expect("subscribed").await;
    }
    client
}

/// The position of a new client in `SHOP`.
async fn position(shop: &Shop) -> Value {
    let (_, _, subscribed) = shop.resume("cart.>", &json!([])).await;
    json!([subscribed["positions"][0]])
}

#[tokio::test]
async fn rule_1_a_stored_event_says_how_far_all_that_is_live_has_come_in_its_stream() {
    let shop = Shop::open(Kind::Nats).await;
    let patterns = ["cart.u1", "cart.u2", "order.>"];
    for encoding in Encoding::OFFERED {
        let begun = position(&shop).await;
        let mut client = live(&shop.node, encoding, &patterns, &begun).await;
        let mut got = BTreeMap::<String, Vec<u64>>::new();
        let mut cursor = 0;
        for number in 0..30 {
            let subject = ["cart.u1", "cart.u2", "order.7"][fastrand::usize(..3)];
            shop.publish(subject, [number]).await;
            if number < 12 {
                let event = client.expect("event").await["event"].take();
                cursor = read(&event).1;
                got.entry(event["subject"].to_string()).or_default().push(read(&event).0);
            }
        }
        shop.until_followed().await;
        // It is cut off there, and says of all subscriptions how far one event was.
        drop(client);
        let mut after = begun.clone();
        after[0]["seq"] = cursor.into();
        let entries = patterns.map(|subject| json!({"subject": subject}));
        let connect = json!({"after": after, "subscriptions": entries});
        let mut client = Peer::connect(shop.node.address, encoding, connect).await;
        client.expect("welcome").await;
        let mut live = 0;
        while live < patterns.len() {
            let frame = client.next().await;
            live += usize::from(frame["subscribed"]["recovered"] == true);
            for event in frame["replay"]["events"].as_array().into_iter().flatten() {
                got.entry(event["subject"].to_string()).or_default().push(read(event).0);
            }
        }
        assert!(got.values().all(|numbers| numbers.is_sorted()), "{got:?}");
        let mut all: Vec<u64> = got.into_values().flatten().collect();
        all.sort_unstable();
        assert_eq!(all, (0..30).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn rules_2_and_3_what_comes_before_unsubscribed_belongs_to_what_was_given_up() {
    let shop = Shop::open(Kind::Nats).await;
    let begun = position(&shop).await;
    shop.publish("cart.u1", 1..=3).await;
    shop.until_followed().await;
    for encoding in Encoding::OFFERED {
        let mut client = live(&shop.node, encoding, &[], &json!([])).await;
        let subscribe = |id: u64| json!({"id": id, "subscribe": {"subject": "cart.*", "after": begun}}).to_string();
        let unsubscribe = |id: u64| json!({"id": id, "unsubscribe": {"subject": "cart.*"}}).to_string();
        client.send_lines(&[subscribe(4), unsubscribe(5), subscribe(6), unsubscribe(7), subscribe(8)]).await;
        let frames = client.until(|frame| frame.get("subscribed").is_some() && frame["replyTo"] == 8).await;
        let last = frames.iter().position(|frame| frame["replyTo"] == 7).expect("the last one is given up");
        let (before, after) = frames.split_at(last + 1);
        // By order, for nodes that tell no numbers, and by number.
        let replayed = |frames: &[Value]| -> Vec<u64> {
            let events = frames.iter().filter_map(|frame| frame["replay"]["events"].as_array()).flatten();
            events.map(|event| read(event).0).collect()
        };
        assert_eq!(replayed(after), [1, 2, 3], "{encoding:?}");
        assert!(after.iter().all(|frame| frame["replyTo"] == 8), "{after:?}");
        assert!(before.iter().all(|frame| frame["replyTo"].as_u64().is_some_and(|id| id < 8)), "{before:?}");
    }
}

#[tokio::test]
async fn rules_4_and_7_a_move_shares_cursors_and_takes_live_events_from_the_newer_connection() {
    let nats = NatsServer::jetstream().await;
    let nodes = [Shop::node(Some(&nats), |_| {}).await, Shop::node(Some(&nats), |_| {}).await];
    let shop = Shop::of(None, Shop::node(Some(&nats), |_| {}).await);
    let begun = position(&shop).await;
    let patterns = ["cart.*", "news.*"];
    let mut old = live(&nodes[0], Encoding::Json, &patterns, &begun).await;
    let (mut cursor, mut stored, mut news) = (0, Vec::new(), Vec::new());
    for number in 0..5 {
        shop.publish("cart.u1", [number]).await;
        shop.node.inject("news.a", number.to_string()).await;
        for _ in 0..2 {
            let event = old.expect("event").await["event"].take();
            let (number, seq) = read(&event);
            if seq > cursor {
                cursor = seq;
                stored.push(number);
            } else {
                news.push(number);
            }
        }
    }
    // The second one resumes from the cursor that both raise from now on.
    let mut after = begun.clone();
    after[0]["seq"] = cursor.into();
    let mut new = live(&nodes[1], Encoding::Proto, &patterns, &after).await;
    for number in 5..10 {
        shop.publish("cart.u1", [number]).await;
        shop.node.inject("news.a", number.to_string()).await;
        for (connection, is_newer) in [(&mut old, false), (&mut new, true)] {
            for _ in 0..2 {
                let event = connection.expect("event").await["event"].take();
                let (number, seq) = read(&event);
                if seq > cursor {
                    cursor = seq;
                    stored.push(number);
                } else if seq == 0 && is_newer {
                    news.push(number);
                }
            }
        }
    }
    assert_eq!((stored, news), ((0..10).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>()));
}

#[tokio::test]
async fn rule_5_a_later_subscribed_above_the_cursor_is_a_hole_that_fetch_fills() {
    let shop = Shop::open(Kind::Nats).await;
    for encoding in Encoding::OFFERED {
        let begun = position(&shop).await;
        let mut first = live(&shop.node, encoding, &["cart.*"], &begun).await;
        shop.publish("cart.u1", [1]).await;
        let mut cursor = begun.clone();
        let at = read(&first.until(|frame| frame["event"]["data"] == 1).await.pop().expect("an event")["event"]).1;
        cursor[0]["seq"] = at.into();
        drop(first);
        shop.publish("cart.u1", 2..=4).await;
        shop.until_followed().await;
        // As a second connection does that was asked while the first had no cursor yet.
        let mut second = Peer::connect(shop.node.address, encoding, json!({})).await;
        second.expect("welcome").await;
        second.send(json!({"id": 2, "subscribe": {"subject": "cart.*"}})).await;
        let subscribed = second.expect("subscribed").await["subscribed"].take();
        let joined = subscribed["positions"][0]["seq"].as_u64().expect("a sequence");
        assert!(subscribed.get("recovered").is_none() && joined > at, "nothing else tells of the hole: {subscribed}");
        second.send(json!({"id": 3, "fetch": {"subject": "cart.*", "after": cursor}})).await;
        let fetched = second.expect("fetched").await["fetched"].take();
        let filled: Vec<_> = fetched["events"].as_array().expect("events").iter().map(read).collect();
        assert_eq!(filled.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 3, 4], "{encoding:?}");
        assert!(filled.iter().all(|(_, seq)| *seq <= joined));
    }
}

#[tokio::test]
async fn rule_6_a_component_that_joins_late_has_the_values_and_then_what_is_above_them() {
    const SUBJECTS: u64 = 25;
    let shop = Shop::open(Kind::Nats).await;
    for encoding in Encoding::OFFERED {
        for number in 0..SUBJECTS {
            shop.publish(&format!("price.p{number}"), [number]).await;
        }
        shop.until_followed().await;
        let mut client = live(&shop.node, encoding, &[], &json!([])).await;
        client.send(json!({"id": 2, "subscribe": {"subject": "price.*"}})).await;
        client.until(|frame| frame.get("subscribed").is_some()).await;
        // Another component joins while values change, and reads page by page.
        let (mut after, mut values, mut held_back) = (json!([]), BTreeMap::new(), Vec::new());
        for page in 0.. {
            let fetch = json!({"subject": "price.*", "last": true, "limit": 10, "after": after});
            client.send(json!({"id": 10 + page, "fetch": fetch})).await;
            shop.publish(&format!("price.p{page}"), [100 + page]).await;
            let frames = client.until(|frame| frame.get("fetched").is_some()).await;
            let (fetched, events) = frames.split_last().expect("an answer");
            held_back.extend(events.iter().map(|frame| frame["event"].clone()));
            let fetched = &fetched["fetched"];
            for event in fetched["events"].as_array().into_iter().flatten() {
                values.insert(event["subject"].to_string(), read(event));
            }
            after = fetched["positions"].clone();
            if fetched["more"] != true {
                break;
            }
        }
        let joined = after[0]["seq"].as_u64().expect("a sequence");
        let last = shop.publish("price.p24", [999]).await;
        let frames = client.until(|frame| frame["event"]["seq"] == last).await;
        held_back.extend(frames.into_iter().map(|mut frame| frame["event"].take()));
        for event in held_back.iter().filter(|event| read(event).1 > joined) {
            values.insert(event["subject"].to_string(), read(event));
        }
        client.send(json!({"id": 9, "fetch": {"subject": "price.*", "last": true}})).await;
        let fetched = client.expect("fetched").await["fetched"].take();
        let events = fetched["events"].as_array().expect("events").iter();
        let expected: BTreeMap<_, _> = events.map(|event| (event["subject"].to_string(), read(event))).collect();
        assert_eq!(values, expected, "{encoding:?}");
    }
}

#[tokio::test]
async fn rule_8_a_client_that_counts_frames_and_bytes_by_welcome_is_never_closed() {
    let node = TestNode::with(|config| {
        (config.limits.frames_per_second, config.limits.frames_burst) = (1, 30);
        config.limits.message_bytes = 2_000.into();
    })
    .await;
    let open = async || {
        let mut client = Peer::connect(node.address, Encoding::Json, json!({})).await;
        let limits = client.expect("welcome").await["welcome"]["limits"].take();
        (client, limits["framesBurst"].as_u64().expect("a limit"), limits["messageBytes"].as_u64().expect("a limit"))
    };
    let ping = |id: u64| json!({"id": id, "ping": {}}).to_string();
    // A page of many components, whose kernel sends no more than it may: `connect` was one.
    let (mut client, burst, message_bytes) = open().await;
    let frames: Vec<_> = (2..burst).map(ping).collect();
    assert!((frames.join("\n").len() as u64) < message_bytes);
    client.send_lines(&frames).await;
    for id in 2..burst {
        assert_eq!(client.expect("pong").await["replyTo"], id);
    }
    // One that does not count is closed, for all of its components.
    let (mut client, burst, _) = open().await;
    client.send_lines(&(2..burst + 4).map(ping).collect::<Vec<_>>()).await;
    assert_eq!(client.closed().await.0, 4004);
    let (mut client, _, message_bytes) = open().await;
    let padded = |bytes: u64| format!("{}{}", " ".repeat(bytes as usize - ping(2).len()), ping(2));
    client.send_lines(&[padded(message_bytes)]).await;
    assert_eq!(client.expect("pong").await["replyTo"], 2);
    client.send_lines(&[padded(message_bytes + 1)]).await;
    assert_eq!(client.closed().await.0, 4011);
}

#[tokio::test]
async fn an_odd_value_of_one_component_is_refused_alone_and_the_page_goes_on() {
    let node = TestNode::memory().await;
    let publish = |event: &str| format!(r#""publish":{{"subject":"a","event":{{{event}}}}}"#);
    // Each ended the connection in earlier versions, most of them for good.
    let bodies = [
        r#""request":{"subject":"a","timeoutMs":1.5}"#.to_owned(),
        r#""request":{"subject":"a","timeoutMs":-1}"#.to_owned(),
        r#""fetch":{"subject":"a","limit":-1}"#.to_owned(),
        publish(r#""headers":{"n":1}"#),
        publish(r#""headers":{"n":null}"#),
        publish(r#""id":7"#),
        publish(r#""time":"2026-01-01T00:00:00Z""#),
        publish(r#""time":1.5"#),
        publish(r#""data":1,"dataBase64":"AA==""#),
        publish(r#""dataBase64":"?""#),
        r#""subscribe":{"subject":"\ud800"}"#.to_owned(),
        r#""subscribe":{"subject":null}"#.to_owned(),
        r#""subscribe":{"subject":7}"#.to_owned(),
        r#""subscribe":{"subject":"a","after":[{"seq":-1}]}"#.to_owned(),
        r#""unsubscribe":{"subject":["a"]}"#.to_owned(),
    ];
    let mut client = Peer::connect(node.address, Encoding::Json, json!({})).await;
    client.expect("welcome").await;
    let odd = (2..).zip(&bodies).map(|(id, body)| format!(r#"{{"id":{id},{body}}}"#));
    let lines: Vec<String> = odd.chain([r#"{"id":99,"subscribe":{"subject":"b"}}"#.to_owned()]).collect();
    client.send_lines(&lines).await;
    for (id, body) in (2..).zip(&bodies) {
        let error = client.expect("error").await;
        assert_eq!((&error["replyTo"], &error["error"]["code"]), (&json!(id), &json!("bad_request")), "{body}");
    }
    assert_eq!(client.expect("subscribed").await["replyTo"], 99);
}
