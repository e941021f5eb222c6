//! `connect` brings everything that a page subscribes to, in one message.

use notifier::codec::Encoding;
use serde_json::{Value, json};

use super::world::{Kind, Peer, Shop, TestNode};

/// A position of a stream.
fn at(stream: &str, epoch: &Value, seq: u64) -> Value {
    json!({"stream": stream, "epoch": epoch, "seq": seq})
}

/// The epochs of `SHOP` and `PRICES`.
async fn epochs(shop: &Shop) -> [Value; 2] {
    let (_, _, subscribed) = shop.resume(">", &json!([])).await;
    [0, 1].map(|place: usize| subscribed["positions"][place]["epoch"].clone())
}

#[tokio::test]
async fn the_first_message_may_have_64_kib_whatever_the_limit_of_the_others_is() {
    let node = TestNode::with(|config| {
        config.limits.message_bytes = 1_000.into();
        config.limits.bytes_per_second = 1_000.into();
        config.limits.bytes_burst = 2_000.into();
    })
    .await;
    for encoding in Encoding::OFFERED {
        let connect = |bytes: usize| json!({"client": {"name": "n".repeat(bytes)}});
        let mut client = Peer::connect(node.address, encoding, connect(65_000)).await;
        let limits = client.expect("welcome").await["welcome"]["limits"].take();
        assert_eq!((&limits["messageBytes"], &limits["connectBytes"]), (&json!(1_000), &json!(65_536)));
        // What it took does not count, and from here on the limits do.
        client.send(json!({"id": 2, "subscribe": {"subject": "a"}})).await;
        assert_eq!(client.expect("subscribed").await["replyTo"], 2);
        client.send(json!({"id": 3, "subscribe": {"subject": "a".repeat(1_000)}})).await;
        assert_eq!(client.closed().await.0, 4011, "{encoding:?}");

        let mut client = Peer::connect(node.address, encoding, connect(66_000)).await;
        assert_eq!(client.closed().await.0, 4011, "{encoding:?}");
    }
}

#[tokio::test]
async fn positions_in_connect_hold_for_each_entry_that_has_none_of_its_own() {
    for encoding in Encoding::OFFERED {
        let shop = Shop::open(Kind::Nats).await;
        let [stored, prices] = epochs(&shop).await;
        shop.publish("cart.u1", 1..=3).await;
        shop.publish("order.1", 4..=6).await;
        shop.publish("price.a", [7]).await;
        shop.publish("price.b", [8]).await;
        shop.until_followed().await;
        let connect = json!({
            "after": [at("SHOP", &stored, 2), at("PRICES", &prices, 1)],
            "subscriptions": [
                {"id": 2, "subject": "cart.*"},
                {"id": 3, "subject": "order.>", "after": [at("SHOP", &stored, 5)]},
                {"id": 4, "subject": "price.*"},
                {"id": 5, "subject": "cart.u1", "snapshot": true},
                {"id": 6, "subject": "news.*"},
            ],
        });
        let mut client = Peer::connect(shop.node.address, encoding, connect).await;
        client.expect("welcome").await;
        let (mut replayed, mut recovered) = (Vec::new(), Vec::new());
        while recovered.len() < 5 {
            let frame = client.next().await;
            let id = frame["replyTo"].as_u64().expect("a number");
            match frame.get("subscribed") {
                Some(subscribed) => recovered.push((id, subscribed["recovered"] == true)),
                None => {
                    let events = frame["replay"]["events"].as_array().expect("events");
                    replayed.extend(events.iter().map(|event| (id, event["data"].as_u64().expect("a number"))));
                }
            }
        }
        recovered.sort_unstable();
        replayed.sort_unstable();
        assert_eq!(recovered, [(2, true), (3, true), (4, true), (5, false), (6, false)], "{encoding:?}");
        assert_eq!(replayed, [(2, 3), (3, 6), (4, 8), (5, 3)], "{encoding:?}");
    }
}

#[tokio::test]
async fn a_page_that_holds_all_it_may_resumes_with_one_message() {
    let shop = Shop::open(Kind::Nats).await;
    let [epoch, _] = epochs(&shop).await;
    let position = json!([at("SHOP", &epoch, 0)]);
    let subject = |number: usize| format!("cart.{number:043}");
    let entry = |number, after: bool| match after {
        true => json!({"subject": subject(number), "after": position}),
        false => json!({"subject": subject(number)}),
    };
    let connect = |own: bool| {
        let entries: Vec<_> = (0..512).map(|number| entry(number, own)).collect();
        json!({"token": "t".repeat(1_500), "after": if own { json!([]) } else { position.clone() },
            "subscriptions": entries})
    };
    // With a position for each it is too large, and the client is not to send it again.
    assert!(connect(true).to_string().len() > 65_536);
    let mut client = Peer::connect(shop.node.address, Encoding::Json, connect(true)).await;
    assert_eq!(client.closed().await.0, 4011);

    assert!(connect(false).to_string().len() < 40_000);
    let mut client = Peer::connect(shop.node.address, Encoding::Json, connect(false)).await;
    client.expect("welcome").await;
    for _ in 0..512 {
        assert_eq!(client.expect("subscribed").await["subscribed"]["recovered"], true);
    }
}
