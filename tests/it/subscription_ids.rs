//! Frames of a subscription carry the number of the request that made it, so that a client
//! knows which of its requests each of them belongs to.

use notifier::codec::Encoding;
use serde_json::{Value, json};

use super::world::{Kind, Peer, Shop, TestNode};

/// A frame as an earlier version of the node sent it.
fn as_before(frame: &Value) -> Value {
    let mut frame = frame.clone();
    if frame.get("replay").is_some() || frame.get("gap").is_some() {
        frame.as_object_mut().expect("an object").remove("replyTo");
    }
    for body in ["replay", "gap"] {
        frame.get_mut(body).and_then(Value::as_object_mut).map(|body| body.remove("epoch"));
    }
    frame
}

/// The sequences that a `replay` brings.
fn sequences(frame: &Value) -> Vec<u64> {
    let events = frame["replay"]["events"].as_array().into_iter().flatten();
    events.map(|event| event["seq"].as_u64().expect("a sequence")).collect()
}

/// So large that a few of them fill a socket.
fn padded(number: u64) -> String {
    format!("{{\"number\":{number},\"padding\":\"{}\"}}", "x".repeat(16_000))
}

#[tokio::test]
async fn a_replay_that_a_later_request_cuts_short_is_told_apart_from_that_of_the_later_one() {
    const EVENTS: u64 = 400;
    for encoding in Encoding::OFFERED {
        let shop = Shop::open(Kind::Nats).await;
        for number in 1..=EVENTS {
            shop.inject("cart.u1", padded(number)).await;
        }
        shop.until_followed().await;
        let mut client = Peer::connect(shop.node.address, encoding, json!({})).await;
        client.expect("welcome").await;
        client.send(json!({"id": 2, "subscribe": {"subject": "cart.*"}})).await;
        let at = client.expect("subscribed").await["subscribed"]["positions"][0].clone();
        let after = |seq: u64| json!([{"stream": "SHOP", "epoch": at["epoch"], "seq": seq}]);
        client.send(json!({"id": 3, "subscribe": {"subject": "cart.>", "after": after(0)}})).await;
        for _ in 0..3 {
            assert_eq!(client.expect("replay").await["replyTo"], 3);
        }
        client.send(json!({"id": 4, "subscribe": {"subject": "cart.>", "after": after(100)}})).await;
        let frames = client.until(|frame| frame.get("subscribed").is_some()).await;
        let (subscribed, replays) = frames.split_last().expect("an answer");
        // The first request has no answer.
        assert_eq!(subscribed["replyTo"], 4);
        let begun = replays.iter().position(|frame| frame["replyTo"] == 4).expect("a replay of the second");
        let (first, second) = replays.split_at(begun);
        assert!(first.iter().all(|frame| frame["replyTo"] == 3), "{encoding:?}");
        assert!(second.iter().all(|frame| frame["replyTo"] == 4), "{encoding:?}");
        let second: Vec<u64> = second.iter().flat_map(sequences).collect();
        assert_eq!(second, (101..=EVENTS).collect::<Vec<_>>());
        // Without the number nothing says where the second one begins.
        assert!(replays.iter().map(as_before).all(|frame| {
            frame.as_object().expect("an object").len() == 1 && frame["replay"]["subject"] == "cart.>"
        }));
    }
}

#[tokio::test]
async fn each_entry_of_connect_is_answered_under_its_own_number() {
    let shop = Shop::with(Kind::Nats, |config| config.limits.subscriptions = 7).await;
    shop.publish("price.a", [1]).await;
    shop.until_followed().await;
    for encoding in Encoding::OFFERED {
        let entries = json!([
            {"id": 11, "subject": "news.*"},
            {"id": 12, "subject": "a..b"},
            {"id": 13, "subject": "$SYS.>"},
            {"id": 14, "subject": "price.a"},
            {"id": 15, "subject": "cart.>", "after": [{"stream": "SHOP", "epoch": "1", "seq": 9}]},
            {"subject": "chat.*"},
            {"id": 17, "subject": "order.1", "after": [{"stream": "SHOP", "epoch": "1", "seq": 1_u64 << 53}]},
            {"id": 18, "subject": "too.many"},
            {"subject": "far.too.many"},
        ]);
        let mut client = Peer::connect(shop.node.address, encoding, json!({"subscriptions": entries})).await;
        client.expect("welcome").await;
        let mut answers = Vec::new();
        // Seven entries, one above the limit that has a number, one error for those above it; a replay and a gap.
        for _ in 0..11 {
            let frame = client.next().await;
            let body = ["subscribed", "replay", "gap", "error"].into_iter().find(|body| frame.get(*body).is_some());
            let body = body.unwrap_or_else(|| panic!("{frame}"));
            let what = if body == "error" { &frame["error"]["code"] } else { &frame[body]["subject"] };
            answers.push((frame["replyTo"].as_u64().unwrap_or(0), body, what.as_str().expect("text").to_owned()));
        }
        answers.sort();
        let expected = [
            (0, "subscribed", "chat.*"),
            (1, "error", "subscription_limit"),
            (11, "subscribed", "news.*"),
            (12, "error", "bad_subject"),
            (13, "error", "forbidden"),
            (14, "replay", "price.a"),
            (14, "subscribed", "price.a"),
            (15, "gap", "cart.>"),
            (15, "subscribed", "cart.>"),
            (17, "error", "bad_request"),
            (18, "error", "subscription_limit"),
        ];
        assert_eq!(answers, expected.map(|(id, body, what)| (id, body, what.to_owned())), "{encoding:?}");
    }
}

#[tokio::test]
async fn a_gap_of_what_is_live_names_the_request_that_holds_now() {
    let shop = Shop::open(Kind::Nats).await;
    let settings = shop.nats().api("STREAM.INFO.SHOP", &Value::Null).await["config"].clone();
    for encoding in Encoding::OFFERED {
        let connect = json!({"subscriptions": [{"id": 2, "subject": "cart.*"}, {"id": 3, "subject": "cart.u1"}]});
        let mut client = Peer::connect(shop.node.address, encoding, connect).await;
        client.expect("welcome").await;
        for _ in 0..2 {
            client.expect("subscribed").await;
        }
        // It is confirmed as it stands, and belongs to the later request from then on.
        client.send(json!({"id": 4, "subscribe": {"subject": "cart.u1"}})).await;
        assert_eq!(client.expect("subscribed").await["replyTo"], 4);
        shop.delete_stream().await;
        shop.nats().api("STREAM.CREATE.SHOP", &settings).await;
        let mut gaps = [client.expect("gap").await, client.expect("gap").await];
        gaps.sort_by_key(|gap| gap["replyTo"].as_u64());
        for (gap, (id, subject)) in gaps.iter().zip([(2, "cart.*"), (4, "cart.u1")]) {
            assert_eq!((&gap["replyTo"], &gap["gap"]["subject"]), (&json!(id), &json!(subject)), "{encoding:?}: {gap}");
        }
        // The epoch that the subscriptions go on in.
        let (_, _, subscribed) = shop.resume("cart.u7", &json!([])).await;
        assert!(gaps.iter().all(|gap| gap["gap"]["epoch"] == subscribed["positions"][0]["epoch"]), "{gaps:?}");
    }
}

#[tokio::test]
async fn what_is_given_up_and_asked_for_again_is_told_by_the_number_alone() {
    let node = TestNode::memory().await;
    for encoding in Encoding::OFFERED {
        let mut client = Peer::connect(node.address, encoding, json!({})).await;
        client.expect("welcome").await;
        let frames = [
            json!({"id": 4, "subscribe": {"subject": "a"}}),
            json!({"id": 5, "unsubscribe": {"subject": "a"}}),
            json!({"id": 6, "subscribe": {"subject": "a"}}),
        ];
        client.send_lines(&frames.map(|frame| frame.to_string())).await;
        let frames = client.until(|frame| frame["replyTo"] == 6).await;
        let told: Vec<_> = frames.iter().map(|frame| frame["replyTo"].as_u64()).collect();
        assert!(told == [Some(4), Some(5), Some(6)] || told == [Some(5), Some(6)], "{frames:?}");
    }
}
