//! Clients learn the epoch of a stream with its first events, and the class of each stream
//! that a pattern reaches.

use notifier::codec::Encoding;
use serde_json::{Value, json};

use super::world::{Kind, Peer, Shop};

/// Values of so many subjects, of 16 kB each.
const VALUES: u64 = 200;

#[tokio::test]
async fn a_first_snapshot_that_is_cut_off_is_resumed_where_it_ended() {
    for encoding in Encoding::OFFERED {
        let shop = Shop::open(Kind::Nats).await;
        for number in 1..=VALUES {
            shop.node.inject(&format!("price.p{number}"), format!("\"{number}{}\"", "x".repeat(16_000))).await;
        }
        let connect = json!({"subscriptions": [{"subject": "price.*"}]});
        let mut first = Peer::connect(shop.node.address, encoding, connect).await;
        first.expect("welcome").await;
        let replay = first.expect("replay").await["replay"].take();
        assert_eq!(replay["snapshot"], true);
        let (seen, last) = seen(&replay);
        // It ends before `subscribed` has told a position.
        drop(first);
        assert!(seen.len() < VALUES as usize / 2, "{}", seen.len());
        let epoch = replay["epoch"].as_str().expect("an epoch");

        let after = json!([{"stream": "PRICES", "epoch": epoch, "seq": last}]);
        let connect = json!({"subscriptions": [{"subject": "price.*", "after": after}]});
        let mut second = Peer::connect(shop.node.address, encoding, connect).await;
        second.expect("welcome").await;
        let frames = second.until(|frame| frame.get("subscribed").is_some()).await;
        let (subscribed, replays) = frames.split_last().expect("an answer");
        assert_eq!(subscribed["subscribed"]["recovered"], true, "{encoding:?}");
        assert_eq!(subscribed["subscribed"]["positions"][0]["epoch"], epoch);
        // The first frame names the epoch, and the others have no need to.
        let named: Vec<_> = replays.iter().map(|frame| frame["replay"].get("epoch").is_some()).collect();
        assert!(named.iter().enumerate().all(|(index, named)| *named == (index == 0)), "{named:?}");
        let rest = replays.iter().flat_map(|frame| self::seen(&frame["replay"]).0);
        let all: Vec<u64> = seen.iter().copied().chain(rest).collect();
        assert_eq!(all, (1..=VALUES).collect::<Vec<_>>(), "each value once");
    }
}

/// The sequences of a replay's events, and the last of them.
fn seen(replay: &Value) -> (Vec<u64>, u64) {
    let events = replay["events"].as_array().expect("events");
    let seen: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().expect("a sequence")).collect();
    let last = *seen.last().expect("an event");
    (seen, last)
}

#[tokio::test]
async fn a_reset_tells_the_new_epoch_and_so_does_the_replay_behind_it() {
    for (kind, encoding) in [Kind::Memory, Kind::Nats].into_iter().zip(Encoding::OFFERED) {
        let shop = Shop::open(kind).await;
        shop.publish("cart.u1", 1..=3).await;
        shop.until_followed().await;
        let after = json!([{"stream": "SHOP", "epoch": "1", "seq": 2}]);
        let mut client = Peer::connect(shop.node.address, encoding, json!({})).await;
        client.expect("welcome").await;
        client.send(json!({"id": 2, "subscribe": {"subject": "cart.*", "after": after}})).await;
        let gap = client.expect("gap").await;
        assert_eq!((&gap["replyTo"], &gap["gap"]["reason"]), (&json!(2), &json!("reset")));
        let replay = client.expect("replay").await;
        assert_eq!((&replay["replyTo"], seen(&replay["replay"]).0), (&json!(2), vec![1, 2, 3]));
        let subscribed = client.expect("subscribed").await["subscribed"].take();
        let epoch = &subscribed["positions"][0]["epoch"];
        assert_eq!((&gap["gap"]["epoch"], &replay["replay"]["epoch"]), (epoch, epoch));
        // The same for who only reads.
        client.send(json!({"id": 3, "fetch": {"subject": "cart.*", "after": after}})).await;
        let fetched = client.expect("fetched").await["fetched"].take();
        assert_eq!((&fetched["gaps"][0]["reason"], &fetched["gaps"][0]["epoch"]), (&json!("reset"), epoch));
        // Only a new epoch is worth telling.
        let after = json!([{"stream": "SHOP", "epoch": epoch, "seq": 3}]);
        client.send(json!({"id": 4, "subscribe": {"subject": "cart.*", "after": after}})).await;
        assert_eq!(client.expect("subscribed").await["subscribed"]["recovered"], true);
    }
}

#[tokio::test]
async fn subscribed_tells_the_class_of_each_stream_that_a_pattern_reaches() {
    for (kind, encoding) in [Kind::Memory, Kind::Nats].into_iter().zip(Encoding::OFFERED) {
        let shop = Shop::open(kind).await;
        let entries = [">", "cart.u1", "price.*", "news.>"].map(|subject| json!({"subject": subject}));
        let mut client = Peer::connect(shop.node.address, encoding, json!({"subscriptions": entries})).await;
        client.expect("welcome").await;
        let mut told = Vec::new();
        for _ in 0..entries.len() {
            let subscribed = client.expect("subscribed").await["subscribed"].take();
            let positions = subscribed["positions"].as_array().into_iter().flatten();
            let classes: Vec<_> = positions.map(|at| json!([at["stream"], at["delivery"]])).collect();
            told.push(json!([subscribed["subject"], subscribed["delivery"], classes]));
        }
        told.sort_by_key(Value::to_string);
        let expected = [
            json!([">", "durable", [["SHOP", "durable"], ["PRICES", "latest"]]]),
            json!(["cart.u1", "durable", [["SHOP", "durable"]]]),
            json!(["news.>", "live", []]),
            json!(["price.*", "latest", [["PRICES", "latest"]]]),
        ];
        assert_eq!(told, expected, "{kind:?}");
        // A position that is sent back as it was told is one like any other.
        client.send(json!({"id": 2, "subscribe": {"subject": "cart.u1"}})).await;
        let positions = client.expect("subscribed").await["subscribed"]["positions"].take();
        assert_eq!(positions[0]["delivery"], "durable");
        client.send(json!({"id": 3, "subscribe": {"subject": "cart.u1", "after": positions}})).await;
        assert_eq!(client.expect("subscribed").await["subscribed"]["recovered"], true);
    }
}
