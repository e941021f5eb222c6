//! Sequences before a stream's first event that are no loss, and events that
//! are stored before they are due.

use std::time::{Duration, SystemTime};

use async_nats::HeaderMap;
use notifier::config::Config;
use serde_json::{Value, json};

use super::{super::world::eventually, Kind, NatsServer, Shop, numbers, on_every_broker, positions};

on_every_broker!(what_newer_events_of_its_subjects_have_replaced_is_no_loss);

/// A durable stream that keeps so many events of a subject.
fn keeps(most: u64) -> impl Fn(&mut Config) {
    move |config| config.streams[0].max_messages_per_subject = Some(most)
}

/// The events that are replayed, and the reasons of gaps before them.
fn parts(replayed: &[Value]) -> (Vec<u64>, Vec<&str>) {
    let (gaps, events): (Vec<_>, Vec<_>) = replayed.iter().partition(|part| part.get("gap").is_some());
    let reasons = gaps.iter().map(|gap| gap["gap"]["reason"].as_str().expect("a reason")).collect();
    (events.iter().map(|event| event["data"].as_u64().expect("a number")).collect(), reasons)
}

async fn what_newer_events_of_its_subjects_have_replaced_is_no_loss(kind: Kind) {
    let shop = Shop::with(kind, keeps(2)).await;
    let (_, _, subscribed) = shop.resume("cart.*", &json!([])).await;
    let beginning = positions(&subscribed);
    if kind == Kind::Nats {
        shop.publish("cart.once", [7]).await;
    }
    for number in 1..=4 {
        shop.publish("cart.often", [number]).await;
    }
    shop.publish("cart.rare", [4]).await;
    let mut unknown = vec![("cart.*", vec![3, 4, 4]), ("cart.rare", vec![4])];
    if let Some(nats) = &shop.nats {
        // Its only event, as by age.
        nats.api("STREAM.PURGE.SHOP", &json!({"filter": "cart.once"})).await;
        unknown.push(("cart.once", vec![]));
    }
    eventually("a stream that begins further on", || async {
        let (_, replayed, _) = shop.resume("cart.*", &beginning).await;
        !parts(&replayed).1.is_empty()
    })
    .await;
    // Nobody knows which subjects there were, or that one has lost nothing.
    for (pattern, left) in unknown {
        let (_, replayed, subscribed) = shop.resume(pattern, &beginning).await;
        assert_eq!((parts(&replayed), &subscribed["recovered"]), ((left, vec!["expired"]), &Value::Null), "{pattern}");
    }
    eventually("what is left of it", || async {
        let (_, replayed, _) = shop.resume("cart.often", &beginning).await;
        parts(&replayed).0 == [3, 4]
    })
    .await;
    let (_, replayed, subscribed) = shop.resume("cart.often", &beginning).await;
    assert_eq!((parts(&replayed), &subscribed["recovered"]), ((vec![3, 4], vec![]), &json!(true)));
}

#[tokio::test]
async fn a_stream_that_was_made_to_begin_further_on_has_lost_nothing() {
    let nats = NatsServer::jetstream().await;
    let begins = json!({"name": "SHOP", "subjects": ["cart.>", "order.>"], "first_seq": 1000, "max_bytes": 1 << 20});
    nats.api("STREAM.CREATE.SHOP", &begins).await;
    let node = Shop::node(Some(&nats), |_| {}).await;
    let shop = Shop::of(Some(nats), node);
    let (_, _, subscribed) = shop.resume("cart.*", &json!([])).await;
    let mut beginning = positions(&subscribed);
    assert_eq!(beginning[0]["seq"], 999);
    assert_eq!(shop.publish("cart.u1", [1, 2]).await, 1_001);
    // Who asks for all that there ever was, here and at a node that comes later.
    beginning[0].as_object_mut().expect("a position").remove("seq");
    let late = Shop::node(shop.nats.as_ref(), |_| {}).await;
    for node in [&shop.node, &late] {
        for pattern in ["cart.u1", "cart.*", "cart.>"] {
            let mut client = node.client().await;
            let (replayed, subscribed) = client.resume(pattern, json!({ "after": beginning })).await;
            assert_eq!((numbers(&replayed), &subscribed["recovered"]), (vec![1, 2], &json!(true)), "{pattern}");
        }
    }
    // What is dropped later is a loss as ever.
    shop.nats().api("STREAM.PURGE.SHOP", &json!({"seq": 1001})).await;
    eventually("a loss that is told", || async {
        let (_, replayed, _) = shop.resume("cart.*", &beginning).await;
        replayed[0]["gap"]["fromSeq"] == 1000 && replayed[0]["gap"]["toSeq"] == 1000
    })
    .await;
}

#[tokio::test]
async fn a_scheduled_event_comes_when_it_is_due() {
    let shop = Shop::open(Kind::Nats).await;
    let mut settings = shop.nats().api("STREAM.INFO.SHOP", &Value::Null).await["config"].take();
    settings["allow_msg_schedules"] = true.into();
    shop.nats().api("STREAM.UPDATE.SHOP", &settings).await;
    let (mut client, _, subscribed) = shop.resume("cart.>", &json!([])).await;
    let due = SystemTime::now() + Duration::from_secs(2);
    let at = humantime::format_rfc3339_seconds(due).to_string();
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Schedule", format!("@at {at}").as_str());
    headers.insert("Nats-Schedule-Target", "cart.u1");
    let service = shop.nats().client().await;
    service.publish_with_headers("cart.later", headers, "7".into()).await.expect("published");
    service.flush().await.expect("a connection");
    shop.publish("cart.u1", [1]).await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let event = client.stored().await;
        seen.push((event["subject"].clone(), event["data"].clone()));
    }
    assert_eq!(seen, [(json!("cart.u1"), json!(1)), (json!("cart.u1"), json!(7))]);
    let whole_second = due - Duration::from_secs(1);
    assert!(SystemTime::now() >= whole_second, "it came before it was due");
    // Who resumes gets it once as well.
    let (_, replayed, _) = shop.resume("cart.>", &positions(&subscribed)).await;
    assert_eq!(numbers(&replayed), [1, 7]);
}
