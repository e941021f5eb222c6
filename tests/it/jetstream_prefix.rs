//! Streams that are not where the node connects: in the domain of a leaf node's
//! hub, or in an account that exports its JetStream.

use notifier::{
    broker::Streams,
    config::{BrokerKind, Config},
};
use serde_json::{Value, json};

use super::{
    durable::positions,
    world::{NatsServer, Shop, eventually, free_address},
};

/// Events that are stored.
const LAST: u64 = 20;

/// Everything that a node asks JetStream for: streams made and checked, events
/// acknowledged, followed, read from the window, and by one who comes later.
async fn is_served(settings: impl Fn(&mut Config)) {
    let shop = Shop::of(None, Shop::node(None, &settings).await);
    let (mut client, _, subscribed) = shop.resume("cart.*", &json!([])).await;
    assert_eq!(shop.publish("cart.u1", 0..LAST).await, LAST);
    for number in 0..LAST {
        let event = client.stored().await;
        assert_eq!((&event["data"], &event["seq"]), (&json!(number), &json!(number + 1)));
    }
    // One that has nothing in memory reads all of it from the stream.
    let late = Shop::node(None, |config| {
        settings(config);
        config.streams[0].window.bytes = "1B".parse().expect("a size");
    })
    .await;
    let mut newcomer = late.client().await;
    let (replayed, told) = newcomer.resume("cart.u1", json!({"after": positions(&subscribed)})).await;
    assert_eq!((replayed.len(), &told["recovered"]), (LAST as usize, &json!(true)));
    let streams = Streams::connect(&Shop::config(None, settings)).await.expect("a connection");
    assert!(streams.check().await.iter().all(|(_, result)| result.is_ok()));
    assert_eq!(streams.state("SHOP").await.expect("a stream").last, LAST);
}

#[tokio::test]
async fn a_node_at_a_leaf_node_uses_the_streams_of_its_hub() {
    let listen = free_address();
    let hub = NatsServer::domain("hub", &format!("server_name: hub\nleafnodes {{ listen: \"{listen}\" }}")).await;
    let remote = format!("leafnodes {{ remotes: [{{ url: \"nats://{listen}\" }}] }}");
    // It has a JetStream of its own, which must stay empty.
    let leaf = NatsServer::domain("edge", &format!("server_name: leaf\n{remote}")).await;
    let names = || async { leaf.client().await.request("$JS.hub.API.STREAM.NAMES", "".into()).await.is_ok() };
    eventually("the hub behind the leaf node", names).await;
    is_served(|config| {
        config.broker.kind = BrokerKind::Nats;
        config.broker.nats.urls = vec![leaf.url().into()];
        config.broker.nats.jetstream_domain = Some("hub".into());
    })
    .await;
    assert_eq!(hub.api("STREAM.NAMES", &Value::Null).await["total"], 2);
    assert_eq!(leaf.api("STREAM.NAMES", &Value::Null).await["total"], 0);
}

#[tokio::test]
async fn a_node_in_one_account_uses_the_streams_of_another() {
    let server = NatsServer::jetstream_with(
        r#"
        accounts {
          HUB { jetstream: enabled, users: [{ user: hub, password: p }], exports: [
            { service: "$JS.API.>", response_type: stream }
            { service: "cart.>" }
            { stream: "ntf.>" }
          ] }
          APP { users: [{ user: app, password: p }], imports: [
            { service: { account: HUB, subject: "$JS.API.>" }, to: "hub.JS.API.>" }
            { service: { account: HUB, subject: "cart.>" } }
            { stream: { account: HUB, subject: "ntf.>" } }
          ] }
        }
        "#,
    )
    .await;
    is_served(|config| {
        config.broker.kind = BrokerKind::Nats;
        config.broker.nats.urls = vec![server.url().into()];
        config.broker.nats.user = Some("app".into());
        config.broker.nats.password = Some("p".to_owned().into());
        config.broker.nats.jetstream_api_prefix = Some("hub.JS.API".into());
    })
    .await;
}
