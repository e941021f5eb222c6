//! NATS goes away and comes back: nobody loses what was stored, nobody waits
//! in vain, and a node that cannot work says why.

use std::time::Duration;

use notifier::config::Config;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::process::Command;

use super::{
    super::world::{NatsServer, TestNode, Ws, free_address, shop::STREAMS, soon},
    Kind, Shop, numbers, positions,
};

fn forgetful(config: &mut Config) {
    config.streams[0].window.bytes = "1KiB".parse().expect("a size");
}

/// NATS is gone, and the client has heard of it.
async fn kill(shop: &mut Shop, client: &mut Ws) {
    shop.nats.as_mut().expect("it runs on NATS").kill();
    while client.ping().await["broker"] != "down" {}
}

async fn restart(shop: &mut Shop, client: &mut Ws) {
    shop.nats.as_mut().expect("it runs on NATS").restart().await;
    while client.ping().await["broker"] != "ok" {}
}

/// Where JetStream says that it has stored something, if it says so.
fn stored(answer: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Value>(answer).ok()?["seq"].as_u64()
}

/// Publishes until the stream takes it: it has to recover first.
async fn publish(shop: &Shop, number: u64) {
    soon("a stored event", async {
        let id = number.to_string();
        while shop.node.post("/v1/publish/cart.u1", &[("Nats-Msg-Id", &id)], id.clone().into()).await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_restart_of_nats_loses_nothing_and_repeats_nothing() {
    let mut shop = Shop::open(Kind::Nats).await;
    let (mut client, _, _) = shop.resume("cart.*", &json!([])).await;
    for round in 1..=3 {
        publish(&shop, round * 10).await;
        assert_eq!(client.stored().await["data"], round * 10);
        kill(&mut shop, &mut client).await;
        client.send(json!({"id": 3, "publish": {"subject": "cart.u1", "event": {"data": 1}}})).await;
        let error = client.expect("error").await["error"].take();
        assert_eq!((&error["code"], &error["retryable"]), (&json!("broker_unavailable"), &json!(true)));
        assert_eq!(shop.node.post("/v1/publish/cart.u1", &[], "1".into()).await.status(), 503);
        shop.nats.as_mut().expect("it runs on NATS").restart().await;
        // Stored before this node is back: it has to find out by itself.
        let nats = shop.nats().client().await;
        let seq = soon("a stored event", async {
            loop {
                let answer = nats.request("cart.u1", (round * 10 + 1).to_string().into()).await;
                // It also answers that it cannot store yet.
                if let Some(seq) = answer.ok().and_then(|answer| stored(&answer.payload)) {
                    return seq;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        while client.ping().await["broker"] != "ok" {}
        publish(&shop, round * 10 + 2).await;
        for (number, seq) in [(1, seq), (2, seq + 1)] {
            let event = client.stored().await;
            assert_eq!((&event["data"], &event["seq"]), (&json!(round * 10 + number), &json!(seq)));
        }
        assert!(client.events_until_now().await.is_empty());
    }
    assert_eq!(shop.node.metric("notifier_connections_opened_total").await, 1.0);
    assert_eq!(shop.node.metric("notifier_gaps_reported_total").await, 0.0);
}

#[tokio::test]
async fn what_is_in_memory_is_replayed_while_nats_is_away() {
    let mut shop = Shop::open(Kind::Nats).await;
    let (mut client, _, subscribed) = shop.resume("cart.*", &json!([])).await;
    shop.publish("cart.u1", 1..=10).await;
    shop.until_followed().await;
    for _ in 0..10 {
        client.stored().await;
    }
    kill(&mut shop, &mut client).await;
    for pattern in ["cart.u1", "cart.*", "cart.>"] {
        let (_, replayed, again) = shop.resume(pattern, &positions(&subscribed)).await;
        assert_eq!((numbers(&replayed), &again["recovered"]), ((1..=10).collect(), &json!(true)), "{pattern}");
    }
    restart(&mut shop, &mut client).await;
    publish(&shop, 11).await;
    assert_eq!(client.stored().await["data"], 11);
}

#[tokio::test]
async fn what_is_older_waits_for_nats_and_ends_in_an_error_that_can_be_tried_again() {
    let mut shop = Shop::with(Kind::Nats, forgetful).await;
    let (mut client, _, subscribed) = shop.resume("cart.*", &json!([])).await;
    let after = positions(&subscribed);
    shop.publish("cart.u1", 1..=50).await;
    shop.publish("order.1", [0]).await;
    shop.until_followed().await;
    for _ in 0..50 {
        client.stored().await;
    }
    kill(&mut shop, &mut client).await;
    // One that is patient long enough.
    let mut early = shop.node.client().await;
    early.send(json!({"id": 1, "subscribe": {"subject": "cart.u1", "after": after}})).await;
    let error = early.expect("error").await;
    assert_eq!((&error["replyTo"], &error["error"]["subject"]), (&json!(1), &json!("cart.u1")));
    assert_eq!((&error["error"]["code"], &error["error"]["retryable"]), (&json!("broker_unavailable"), &json!(true)));
    // And one that comes shortly before NATS is back.
    let mut late = shop.node.client().await;
    late.send(json!({"id": 1, "subscribe": {"subject": "cart.*", "after": after}})).await;
    late.send(json!({"id": 2, "unsubscribe": {"subject": "nothing"}})).await;
    assert_eq!(late.next().await["replyTo"], 2, "it waits");
    restart(&mut shop, &mut client).await;
    let mut replayed = Vec::new();
    loop {
        let mut frame = late.next().await;
        match frame.get_mut("replay") {
            Some(replay) => replayed.append(replay["events"].as_array_mut().expect("events")),
            None => {
                assert_eq!(frame["subscribed"]["recovered"], true, "{frame}");
                break;
            }
        }
    }
    assert_eq!(numbers(&replayed), (1..=50).collect::<Vec<_>>());
    // The refused one is not subscribed, and may ask again.
    publish(&shop, 51).await;
    assert_eq!(late.stored().await["data"], 51);
    assert!(early.events_until_now().await.is_empty());
    let (replayed, again) = early.resume("cart.u1", json!({ "after": after })).await;
    assert_eq!((numbers(&replayed), &again["recovered"]), ((1..=51).collect(), &json!(true)));
    shop.has_no_consumers().await;
}

#[tokio::test]
async fn a_node_that_starts_without_nats_is_ready_when_its_streams_are() {
    let mut nats = NatsServer::jetstream().await;
    nats.kill();
    let node = TestNode::start(Shop::config(Some(&nats), |_| {})).await;
    let (status, body) = node.internal("/readyz").await;
    assert_eq!(status, 503, "{body}");
    assert_eq!(node.internal("/livez").await.0, 200);
    // Who comes now is served as soon as that is possible.
    let mut client = node.client().await;
    client.send(json!({"id": 1, "subscribe": {"subject": "cart.*"}})).await;
    let mut other = node.client().await;
    let after = json!([{"stream": "SHOP", "epoch": "12", "seq": 3}]);
    other.send(json!({"id": 1, "subscribe": {"subject": "cart.*", "after": after}})).await;
    nats.restart().await;
    client.expect("subscribed").await;
    assert_eq!(other.expect("gap").await["gap"]["reason"], "reset");
    other.expect("subscribed").await;
    node.until_ready().await;
    let answer = node.post("/v1/publish/cart.u1", &[], "1".into()).await;
    assert_eq!(answer.status(), 200, "{:?}", answer.body());
    for client in [&mut client, &mut other] {
        assert_eq!(client.stored().await["data"], 1);
    }
}

/// Runs a node that has to end by itself: its exit code, and what it says.
async fn ends(nats: &NatsServer, streams: &str) -> (Option<i32>, String) {
    let file = NamedTempFile::new().expect("a file");
    let settings = format!(
        "[server]\nlisten = \"{}\"\ninternal_listen = \"{}\"\n[broker.nats]\nurls = [\"{}\"]\n\
         [auth]\nmode = \"anonymous\"\n{streams}",
        free_address(),
        free_address(),
        nats.url()
    );
    std::fs::write(file.path(), settings).expect("room");
    let mut command = Command::new(env!("CARGO_BIN_EXE_notifier"));
    command.args(["serve", "--config"]).arg(file.path()).kill_on_drop(true);
    let output = soon("the end of the process", command.output()).await.expect("the binary runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).expect("UTF-8"))
}

#[tokio::test]
async fn a_stream_that_does_not_fit_ends_a_node_that_may_not_change_it() {
    let nats = NatsServer::jetstream().await;
    let streams = STREAMS.replace("name = \"SHOP\"", "name = \"SHOP\"\nmanage = false\nmax_age = \"2h\"");
    let (code, said) = ends(&nats, &streams).await;
    assert!(code.is_some_and(|code| code != 0), "{code:?}");
    assert!(said.contains("SHOP") && said.contains("the stream does not exist"), "{said}");
    assert!(said.contains("notifier streams apply --config FILE"), "{said}");
    let theirs = json!({
        "name": "SHOP", "subjects": ["cart.>", "order.>"], "storage": "file", "retention": "limits",
        "max_age": 3_600_000_000_000_u64, "allow_direct": true, "republish": {"src": ">", "dest": "ntf.SHOP.>"},
    });
    nats.api("STREAM.CREATE.SHOP", &theirs).await;
    let (code, said) = ends(&nats, &streams).await;
    assert!(code.is_some_and(|code| code != 0), "{code:?}");
    assert!(said.contains("max_age: is 1h, has to be 2h"), "{said}");
    assert!(said.contains("notifier streams apply --config FILE"), "{said}");
    let kept = nats.api("STREAM.INFO.SHOP", &Value::Null).await;
    assert_eq!(kept["config"]["max_age"], theirs["max_age"], "nothing was changed");
}
