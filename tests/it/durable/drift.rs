//! Streams that somebody changes while a node runs.

use serde_json::{Value, json};

use super::{super::world::eventually, Kind, Shop, positions};

const UNFIT: &str = "notifier_streams_unfit";

async fn settings(shop: &Shop) -> Value {
    shop.nats().api("STREAM.INFO.SHOP", &Value::Null).await["config"].take()
}

/// Changes some settings, or takes those away that are null.
async fn change(shop: &Shop, changes: Value) {
    let mut settings = settings(shop).await;
    let all = settings.as_object_mut().expect("settings");
    all.extend(changes.as_object().expect("settings").clone());
    all.retain(|_, value| !value.is_null());
    shop.nats().api("STREAM.UPDATE.SHOP", &settings).await;
}

/// What `/readyz` says is wrong with the stream; it is well all the same.
async fn wrong(shop: &Shop) -> Vec<String> {
    assert_eq!(shop.node.internal("/readyz").await.0, 200);
    let wrong = shop.node.internal_json("/readyz").await["broker"]["unfit"]["SHOP"].take();
    serde_json::from_value(wrong).unwrap_or_default()
}

#[tokio::test]
async fn a_node_puts_back_what_a_stream_needs() {
    let shop = Shop::open(Kind::Nats).await;
    let (mut client, _, _) = shop.resume("cart.*", &json!([])).await;
    let before = settings(&shop).await;
    change(&shop, json!({"republish": null, "allow_direct": false, "subjects": ["cart.>"]})).await;
    shop.node.until_metric("notifier_stream_drifts_total", |count| count >= 1.0).await;
    shop.node.until_metric(UNFIT, |count| count == 0.0).await;
    let now = settings(&shop).await;
    for setting in ["republish", "allow_direct", "subjects"] {
        assert_eq!(now[setting], before[setting], "{setting}");
    }
    assert_eq!(wrong(&shop).await, [""; 0]);
    shop.publish("cart.u1", [1]).await;
    assert_eq!(client.stored().await["data"], 1);

    // What somebody else may rely on is told, and left to people.
    change(&shop, json!({"republish": {"src": ">", "dest": "theirs.>"}})).await;
    shop.node.until_metric(UNFIT, |count| count == 1.0).await;
    let wrong = wrong(&shop).await;
    assert!(wrong.len() == 1 && wrong[0].starts_with("republish: is `>` to `theirs.>`, has to be"), "{wrong:?}");
    assert_eq!(settings(&shop).await["republish"]["dest"], "theirs.>");
    // It comes late, and it comes.
    shop.publish("cart.u1", [2]).await;
    assert_eq!(client.stored().await["data"], 2);
}

#[tokio::test]
async fn a_node_that_may_not_change_a_stream_says_what_is_wrong_with_it() {
    let shop = Shop::unmanaged().await;
    let (mut client, _, subscribed) = shop.resume("cart.*", &json!([])).await;
    let before = settings(&shop).await;
    change(&shop, json!({"republish": null})).await;
    shop.node.until_metric(UNFIT, |count| count == 1.0).await;
    let said = wrong(&shop).await;
    let expected = "republish: is not set, has to be `>` to `ntf.SHOP.>`; run `notifier streams apply --config FILE`";
    assert_eq!(said, [expected]);
    shop.publish("cart.u1", [1]).await;
    assert_eq!(client.stored().await["data"], 1);
    assert_eq!(settings(&shop).await["republish"], Value::Null);
    // Another change is told as another one.
    change(&shop, json!({"allow_direct": false})).await;
    shop.node.until_metric("notifier_stream_drifts_total", |count| count == 2.0).await;
    assert_eq!(wrong(&shop).await.len(), 2);
    shop.nats().api("STREAM.UPDATE.SHOP", &before).await;
    eventually("a stream that fits", || async { wrong(&shop).await.is_empty() }).await;
    assert_eq!(shop.node.metric(UNFIT).await, 0.0);
    shop.publish("cart.u1", [2]).await;
    assert_eq!(client.stored().await["data"], 2);
    let (_, replayed, _) = shop.resume("cart.*", &positions(&subscribed)).await;
    assert_eq!(replayed.len(), 2);
}

#[tokio::test]
async fn a_transform_that_takes_events_away_is_told_while_a_node_runs() {
    let shop = Shop::open(Kind::Nats).await;
    let (mut client, _, _) = shop.resume("cart.*", &json!([])).await;
    change(&shop, json!({"subject_transform": {"src": "cart.>", "dest": "archive.>"}})).await;
    shop.node.until_metric(UNFIT, |count| count == 1.0).await;
    let said = wrong(&shop).await;
    assert!(said.len() == 1 && said[0].starts_with("subject_transform: is `cart.>` to `archive.>`"), "{said:?}");
    // It is acknowledged and stored, and counted as what nobody gets.
    shop.publish("cart.u1", [1]).await;
    shop.node.until_metric("notifier_unserved_total", |count| count >= 1.0).await;
    change(&shop, json!({"subject_transform": null})).await;
    shop.node.until_metric(UNFIT, |count| count == 0.0).await;
    shop.publish("cart.u1", [2]).await;
    assert_eq!(client.stored().await["data"], 2);
}

#[tokio::test]
async fn a_transform_within_the_subjects_is_served_by_what_is_stored() {
    let shop = Shop::open(Kind::Nats).await;
    let subjects = [settings(&shop).await["subjects"].take(), json!(["in.*"])].map(|list| list.as_array().cloned());
    let subjects: Vec<Value> = subjects.into_iter().flatten().flatten().collect();
    change(&shop, json!({"subjects": subjects, "subject_transform": {"src": "in.*", "dest": "cart.{{wildcard(1)}}"}}))
        .await;
    let (mut client, _, _) = shop.resume("cart.*", &json!([])).await;
    shop.nats().client().await.request("in.u7", "7".into()).await.expect("an acknowledgement");
    let event = client.stored().await;
    assert_eq!((&event["subject"], &event["data"]), (&json!("cart.u7"), &json!(7)));
    assert_eq!(wrong(&shop).await, [""; 0]);
}
