//! What careless or malicious publishers store: it harms nothing else, live,
//! out of the window and out of the stream.

use notifier::{
    config::{Config, Size},
    event::headers::ENVELOPE,
};
use serde_json::{Value, json};

use super::{Kind, Shop, numbers, positions};

const LIMIT: usize = 64 * 1024;

/// Nothing but the newest event or two is in memory.
fn forgetful(config: &mut Config) {
    config.streams[0].window.bytes = "1B".parse().expect("a size");
    config.limits.event_bytes = Size::kib(64);
}

fn roomy(config: &mut Config) {
    config.limits.event_bytes = Size::kib(64);
}

/// A shop whose stream takes events of any size, as its operator wants it.
async fn greedy(change: fn(&mut Config)) -> Shop {
    let shop = Shop::with(Kind::Nats, change).await;
    let mut settings = shop.nats().api("STREAM.INFO.SHOP", &Value::Null).await["config"].take();
    settings["max_msg_size"] = (-1).into();
    shop.nats().api("STREAM.UPDATE.SHOP", &settings).await;
    shop
}

/// Header blocks of a publisher, and the identifier that clients get to see.
fn blocks() -> Vec<(&'static str, Vec<u8>, Option<&'static str>)> {
    const ID: &[u8] = b"NATS/1.0\r\nNats-Msg-Id: ";
    let with_id = |id: &str, more: &[u8]| [ID, id.as_bytes(), b"\r\n", more, b"\r\n"].concat();
    let forged =
        b"Nats-Sequence: 999\r\nNats-Subject: cart.forged\r\nNats-Stream: PRICES\r\nNats-Time-Stamp: never\r\n\
        Nats-Num-Pending: 0\r\nNats-Last-Sequence: 1000000\r\n";
    vec![
        ("a value that is not UTF-8", with_id("a", b"Name: J\xfcrgen\r\n"), None),
        ("a line without a colon", with_id("b", b"no colon\r\n"), None),
        ("a key with a space", with_id("c", b"a b: 1\r\n"), None),
        ("another version", b"NATX/9.0\r\nNats-Msg-Id: d\r\n\r\n".to_vec(), None),
        // One byte would end nats-server 2.15.1 itself.
        ("no line at all", b"\x00\x00".to_vec(), None),
        ("no line end", b"\x00\x01\x02".to_vec(), None),
        // The server's first header goes on where the publisher's last one ended.
        ("a block that ends early", b"NATS/1.0\r\nx: y\r\n".to_vec(), None),
        ("headers of the server", with_id("f", forged), Some("f")),
        ("the same with other case", with_id("g", b"nats-sequence: 999\r\nNATS-SUBJECT: cart.x\r\n"), Some("g")),
        ("nobody is there", b"NATS/1.0 503\r\nNats-Msg-Id: h\r\n\r\n".to_vec(), Some("h")),
        (
            "the end of a batch",
            b"NATS/1.0 204 EOB\r\nNats-Msg-Id: i\r\nNats-Num-Pending: 0\r\n\r\n".to_vec(),
            Some("i"),
        ),
        ("nothing is there", b"NATS/1.0 404 Message Not Found\r\n\r\n".to_vec(), None),
        ("too many", b"NATS/1.0 413 Too Many Results\r\nNats-Msg-Id: k\r\n\r\n".to_vec(), Some("k")),
    ]
}

/// Everything between the good ones arrives, whichever way it is read.
async fn everything_comes(shop: &Shop, after: &Value, expected: &[(u64, Option<&str>)], patterns: &[&str]) {
    for pattern in patterns {
        let (_client, replayed, subscribed) = shop.resume(pattern, after).await;
        told(&replayed, expected, pattern);
        assert_eq!(subscribed["recovered"], true, "{pattern}");
    }
}

fn told(events: &[Value], expected: &[(u64, Option<&str>)], how: &str) {
    let identified: Vec<_> =
        events.iter().map(|event| (event["data"].as_u64().expect("a number"), event["id"].as_str())).collect();
    assert_eq!(identified, expected, "{how}");
    assert!(events.iter().all(|event| event["subject"] == "cart.u1" && event["stream"] == "SHOP"), "{how}");
    assert!(events.windows(2).all(|pair| pair[0]["seq"].as_u64() < pair[1]["seq"].as_u64()), "{how}");
}

#[tokio::test]
async fn unreadable_and_forged_headers_change_nothing_but_their_own_event() {
    for change in [roomy, forgetful] {
        let shop = Shop::with(Kind::Nats, change).await;
        let (mut client, _, subscribed) = shop.resume("cart.*", &json!([])).await;
        let mut publisher = shop.nats().publisher().await;
        let mut expected = Vec::new();
        let mut number = 0;
        for (name, block, id) in blocks() {
            publisher.publish(b"cart.u1", b"", None, number.to_string().as_bytes()).await;
            publisher.publish(b"cart.u1", b"", Some(&block), (number + 1).to_string().as_bytes()).await;
            publisher.flush().await;
            for (number, id) in [(number, None), (number + 1, id)] {
                expected.push((number, id));
                let event = client.stored().await;
                assert_eq!((&event["data"], event["id"].as_str()), (&json!(number), id), "{name}");
                assert_eq!((&event["subject"], &event["seq"]), (&json!("cart.u1"), &json!(number + 1)), "{name}");
            }
            number += 2;
        }
        // The newest of its subject is one of them.
        shop.until_followed().await;
        everything_comes(&shop, &positions(&subscribed), &expected, &["cart.u1", "cart.*", "cart.>", ">"]).await;
        // A node that has just come reads them all.
        let late = Shop::node(Some(shop.nats()), change).await;
        let mut newcomer = late.client().await;
        let (replayed, _) = newcomer.resume("cart.u1", json!({ "after": positions(&subscribed) })).await;
        told(&replayed, &expected, "a newcomer");
        assert_eq!(shop.node.metric("notifier_gaps_detected_total").await, 0.0);
        assert_eq!(shop.node.metric("notifier_broker_events_total{event=\"disconnected\"}").await, 0.0);
    }
}

/// Subject, header block and data.
type Unfit = (&'static str, Option<Vec<u8>>, Vec<u8>);

/// What can be no event, stored by somebody else: headers and data.
fn unfit() -> Vec<Unfit> {
    let envelope = format!("NATS/1.0\r\nContent-Type: {ENVELOPE}\r\n\r\n").into_bytes();
    vec![
        ("bad_envelope", Some(envelope), b"\xff\xff\xff".to_vec()),
        ("too_large", None, vec![b'1'; LIMIT + 1]),
        ("too_large", Some(b"NATS/1.0\r\nx: y\r\n\r\n".to_vec()), vec![b'1'; 5 * LIMIT]),
    ]
}

#[tokio::test]
async fn what_can_be_no_event_is_passed_over_and_counted() {
    for change in [roomy, forgetful] {
        for (reason, block, data) in unfit() {
            let shop = greedy(change).await;
            let (mut client, _, subscribed) = shop.resume("cart.*", &json!([])).await;
            let mut publisher = shop.nats().publisher().await;
            for number in 0..5_u64 {
                publisher.publish(b"cart.u1", b"", None, number.to_string().as_bytes()).await;
                publisher.publish(b"cart.u1", b"", block.as_deref(), &data).await;
                publisher.flush().await;
                let event = client.stored().await;
                assert_eq!((&event["data"], &event["seq"]), (&json!(number), &json!(2 * number + 1)), "{reason}");
            }
            let whole: Vec<_> = (0..5).map(|number| (number, None)).collect();
            everything_comes(&shop, &positions(&subscribed), &whole, &[">"]).await;
            // So that none of it is in memory.
            shop.publish("order.1", 1..=3).await;
            shop.until_followed().await;
            let drops = format!("notifier_drops_total{{reason=\"{reason}\"}}");
            assert!(shop.node.metric(&drops).await >= 5.0, "{reason}");
            assert_eq!(shop.node.metric("notifier_gaps_reported_total").await, 0.0);
            // The newest of its subject is one that nobody can get.
            everything_comes(&shop, &positions(&subscribed), &whole, &["cart.u1", "cart.*", "cart.>"]).await;
            shop.publish("cart.u1", [5]).await;
            assert_eq!(client.stored().await["data"], 5);
            let healed = shop.node.metric("notifier_gaps_healed_total").await;
            assert_eq!(shop.node.metric("notifier_gaps_detected_total").await, healed);
        }
    }
}

#[tokio::test]
async fn a_stretch_of_a_stream_with_nothing_but_such_is_passed_over() {
    let shop = greedy(forgetful).await;
    let (mut client, _, subscribed) = shop.resume("cart.*", &json!([])).await;
    let mut publisher = shop.nats().publisher().await;
    publisher.publish(b"cart.u1", b"", None, b"0").await;
    // Several pages of them.
    for _ in 0..60 {
        publisher.publish(b"cart.u1", b"", None, &vec![b'1'; LIMIT + 1]).await;
    }
    publisher.publish(b"cart.u1", b"", None, b"1").await;
    publisher.flush().await;
    assert_eq!(numbers(&[client.stored().await, client.stored().await]), [0, 1]);
    shop.publish("order.1", 1..=3).await;
    shop.until_followed().await;
    let expected = [(0, None), (1, None)];
    everything_comes(&shop, &positions(&subscribed), &expected, &["cart.>", "cart.u1", "cart.*"]).await;
}

#[tokio::test]
async fn a_subject_that_clients_may_not_use_is_passed_over() {
    for change in [roomy, forgetful] {
        let shop = Shop::with(Kind::Nats, change).await;
        let (mut client, _, subscribed) = shop.resume("cart.>", &json!([])).await;
        let mut publisher = shop.nats().publisher().await;
        let long = [b"cart.".to_vec(), vec![b'a'; 300]].concat();
        let subjects: [&[u8]; 4] = [b"cart.\xff", b"cart.\x01", b"cart.\x0b", &long];
        for (number, subject) in (0_u64..).zip(subjects) {
            publisher.publish(b"cart.u1", b"", None, number.to_string().as_bytes()).await;
            publisher.publish(subject, b"", None, b"99").await;
            publisher.flush().await;
            let event = client.stored().await;
            assert_eq!((&event["data"], &event["seq"]), (&json!(number), &json!(2 * number + 1)));
        }
        shop.until_followed().await;
        assert!(shop.node.metric("notifier_drops_total{reason=\"bad_subject\"}").await >= 4.0);
        let expected: Vec<_> = (0..4).map(|number| (number, None)).collect();
        everything_comes(&shop, &positions(&subscribed), &expected, &["cart.u1", "cart.*", "cart.>", ">"]).await;
        shop.publish("cart.u1", [4]).await;
        assert_eq!(client.stored().await["data"], 4);
    }
}
