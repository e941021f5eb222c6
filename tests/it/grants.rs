//! Who may do what, as clients see it: what is refused, and that nothing of
//! what is denied ever reaches a client. Every test runs on both brokers where
//! they could differ.

mod explaining;
mod regrant;

use notifier::config::{Config, Grant, SettingsFile, load};
use serde_json::{Value, json};

use super::{
    durable::on_every_broker,
    world::{Kind, NatsServer, Shop, TestNode, Ws, node::config},
};

on_every_broker!(
    denied_events_are_left_out_of_wider_subscriptions,
    several_patterns_bring_what_is_not_denied_once,
    what_is_replayed_leaves_out_what_is_denied,
    what_is_read_leaves_out_what_is_denied,
    who_catches_up_gets_nothing_that_is_denied,
);

/// Grants as an operator writes them.
pub fn grants(text: &str) -> Vec<Grant> {
    let source = SettingsFile { origin: "test".into(), text: text.into() };
    load(Some(&source), [], &Default::default()).expect("it parses").grants
}

/// Everything, but for some of each class.
const FENCED: &str = r#"
    [[grants]]
    role = "*"
    subscribe = [">"]
    deny = ["cart.secret.>", "chat.hidden.*", "price.cost"]
"#;

async fn fenced(kind: Kind, change: impl FnOnce(&mut Config)) -> Shop {
    Shop::with(kind, |config| {
        config.grants = grants(FENCED);
        change(config);
    })
    .await
}

fn denied() -> &'static str {
    "notifier_undelivered_total{reason=\"denied\"}"
}

/// The data of events.
fn data(events: &[Value]) -> Vec<Value> {
    events.iter().map(|event| event["data"].clone()).collect()
}

async fn denied_events_are_left_out_of_wider_subscriptions(kind: Kind) {
    let shop = fenced(kind, |_| {}).await;
    let node = &shop.node;
    let (mut client, _, _) = shop.resume(">", &json!([])).await;
    // Nothing of this one's is denied.
    let (mut beside, _, _) = shop.resume("chat.a", &json!([])).await;
    for (number, subject) in (0..).zip(["chat.hidden.x", "chat.a", "cart.secret.1", "cart.u1", "price.cost", "price.a"])
    {
        node.inject(subject, number.to_string()).await;
    }
    let mut got: Vec<_> = [client.event().await, client.event().await, client.event().await].into();
    got.sort_by(|one, other| one.0.cmp(&other.0));
    let expected = [("cart.u1", 3), ("chat.a", 1), ("price.a", 5)];
    assert_eq!(got, expected.map(|(subject, number)| (subject.to_owned(), json!(number))));
    assert_eq!(beside.event().await, ("chat.a".to_owned(), json!(1)));
    node.until_metric(denied(), |denied| denied == 3.0).await;
    assert_eq!(client.events_until_now().await, []);
    assert_eq!(beside.events_until_now().await, []);
    node.balanced().await;
}

async fn several_patterns_bring_what_is_not_denied_once(kind: Kind) {
    let shop = fenced(kind, |_| {}).await;
    let node = &shop.node;
    let mut client = node.client().await;
    for pattern in ["chat.*.*", "chat.>", "*.*.a", "cart.*.*", "cart.>", "cart.u1.a"] {
        client.resume(pattern, json!({})).await;
    }
    for round in 0..10 {
        node.inject("chat.hidden.a", "\"leak\"").await;
        node.inject("cart.secret.a", "\"leak\"").await;
        node.inject("chat.open.a", format!("{round}")).await;
        node.inject("cart.u1.a", format!("{round}")).await;
    }
    let mut got: Vec<(String, Value)> = Vec::new();
    while got.len() < 20 {
        got.push(client.event().await);
    }
    node.until_metric(denied(), |denied| denied == 20.0).await;
    got.extend(client.events_until_now().await);
    for subject in ["chat.open.a", "cart.u1.a"] {
        let of_it: Vec<_> = got.iter().filter(|event| event.0 == subject).map(|event| event.1.clone()).collect();
        assert_eq!(of_it, (0..10).map(|number| json!(number)).collect::<Vec<_>>(), "{subject}");
    }
    assert_eq!(got.len(), 20);
    node.balanced().await;
}

async fn what_is_replayed_leaves_out_what_is_denied(kind: Kind) {
    // From memory, and from the stream.
    for bytes in ["64MiB", "1B"] {
        let shop = fenced(kind, |config| config.streams[0].window.bytes = bytes.parse().expect("a size")).await;
        let node = &shop.node;
        let (client, _, subscribed) = shop.resume("cart.>", &json!([])).await;
        client.close().await;
        let mut last = 0;
        for number in 0..150 {
            let subject = if number % 3 == 0 { "cart.u1" } else { "cart.secret.x" };
            last = shop.inject(subject, number.to_string()).await;
        }
        shop.until_followed().await;
        let (mut client, replayed, again) = shop.resume("cart.>", &subscribed["positions"]).await;
        assert_eq!(data(&replayed), (0..50).map(|number| json!(number * 3)).collect::<Vec<_>>(), "{bytes}");
        assert_eq!(again["recovered"], true);
        // What was passed over is behind the client all the same.
        assert_eq!(again["positions"][0]["seq"], last);
        assert_eq!(client.events_until_now().await, []);
        let (_, replayed, _) = shop.resume("cart.>", &again["positions"]).await;
        assert_eq!(data(&replayed), Vec::<Value>::new());

        let mut client = node.client().await;
        let (newest, _) = client.resume("cart.>", json!({"snapshot": true})).await;
        assert_eq!(data(&newest), [json!(147)], "{bytes}");
        client.resume("price.a", json!({})).await;
        node.inject("price.cost", "1").await;
        node.inject("price.a", "2").await;
        assert_eq!(client.stored().await["data"], 2);
        let (newest, _) = client.resume("price.*", json!({})).await;
        assert_eq!(data(&newest), [json!(2)]);
        node.balanced().await;
    }
}

async fn what_is_read_leaves_out_what_is_denied(kind: Kind) {
    let shop = fenced(kind, |_| {}).await;
    let node = &shop.node;
    for number in 0..60 {
        let subject = if number % 6 == 0 { "cart.u1".to_owned() } else { format!("cart.secret.s{number}") };
        shop.inject(&subject, number.to_string()).await;
    }
    shop.until_followed().await;
    let mut client = node.client().await;
    for last in [false, true] {
        let mut question = json!({"subject": "cart.>", "limit": 7, "last": last});
        let (mut events, mut pages) = (Vec::new(), 0);
        loop {
            client.send(json!({"id": 4, "fetch": question})).await;
            let mut fetched = client.expect("fetched").await["fetched"].take();
            events.extend(fetched["events"].as_array_mut().map(std::mem::take).unwrap_or_default());
            pages += 1;
            if fetched["more"] != true {
                break;
            }
            question["after"] = fetched["positions"].take();
        }
        let expected: Vec<u64> = if last { vec![54] } else { (0..10).map(|number| number * 6).collect() };
        assert_eq!(data(&events), expected.into_iter().map(|number| json!(number)).collect::<Vec<_>>());
        // One answer never reads more than it may hold.
        assert!(pages >= 51 / 7, "{pages}");
    }
    let answer = node.get("/v1/last/cart.secret.s1").await;
    assert_eq!(answer.status(), 403, "{:?}", answer.body());
    let answer = node.get("/v1/fetch?subject=cart.secret.%3E").await;
    assert_eq!(answer.status(), 403, "{:?}", answer.body());
}

async fn who_catches_up_gets_nothing_that_is_denied(kind: Kind) {
    let narrow = |config: &mut Config| {
        config.limits.outbox_bytes = "64KiB".parse().expect("a size");
        config.limits.send_buffer = "8KiB".parse().expect("a size");
        config.streams[0].window.bytes = "256KiB".parse().expect("a size");
    };
    let shop = fenced(kind, narrow).await;
    let node = &shop.node;
    let (mut slow, _, _) = shop.resume("cart.>", &json!([])).await;
    let (mut both, _, _) = shop.resume("cart.*", &json!([])).await;
    both.resume("cart.>", json!({})).await;
    let padding = "x".repeat(16_000);
    for number in 0..600 {
        let subject = if number % 2 == 0 { "cart.u1" } else { "cart.secret.x" };
        node.inject(subject, format!("{{\"number\":{number},\"padding\":\"{padding}\"}}")).await;
    }
    assert!(node.metric("notifier_lagging").await >= 1.0);
    for client in [&mut slow, &mut both] {
        for number in 0..300 {
            let event = client.stored().await;
            assert_eq!((&event["subject"], &event["data"]["number"]), (&json!("cart.u1"), &json!(number * 2)));
        }
    }
    node.until_metric("notifier_lagging", |lagging| lagging == 0.0).await;
    node.inject("cart.secret.x", "1").await;
    node.inject("cart.u1", "2").await;
    assert_eq!(slow.stored().await["data"], 2);
    assert_eq!(both.stored().await["data"], 2);
    node.until_metric(denied(), |denied| denied == 2.0 * 301.0).await;
    assert_eq!(node.metric("notifier_pending").await, 0.0);
    node.balanced().await;
}

/// What an anonymous client may do there.
const SHOP: &str = r#"
    [[grants]]
    role = "*"
    subscribe = ["shop.price.*", "shop.cart.*", "shop.cart.*.>"]
    subscribe_literal = ["shop.order.>"]
    publish = ["shop.chat.*"]
    deny = ["shop.price.cost"]
    [[grants]]
    role = "customer"
    subscribe = [">"]
    publish = [">"]
"#;

/// What is asked for, and the code of the refusal or nothing.
const ASKED: &[(&str, &str)] = &[
    ("shop.price.a", ""),
    ("shop.price.*", ""),
    ("shop.cart.>", ""),
    ("shop.cart.u1.>", ""),
    ("shop.order.1", ""),
    ("shop.order.1.a", ""),
    ("shop.order.*", "forbidden"),
    ("shop.order.>", "forbidden"),
    ("shop.price.cost", "forbidden"),
    ("shop.price.>", "forbidden"),
    ("shop.>", "forbidden"),
    ("shop.*", "forbidden"),
    (">", "forbidden"),
    ("*", "forbidden"),
    ("*.>", "forbidden"),
    ("*.price.*", "forbidden"),
    ("other", "forbidden"),
    ("$JS.API.>", "forbidden"),
    ("$SYS.>", "forbidden"),
    ("$KV.a.>", "forbidden"),
    ("_INBOX.>", "forbidden"),
    ("", "bad_subject"),
    ("shop.price.a ", "bad_subject"),
    ("shop.price.\t", "bad_subject"),
    ("shop.price.a\r\nSUB > 1", "bad_subject"),
    ("shop.price.\0", "bad_subject"),
    ("shop.price.\u{7f}", "bad_subject"),
    ("shop..price", "bad_subject"),
    (".shop", "bad_subject"),
    ("shop.>.a", "bad_subject"),
    ("shop.price.a*", "bad_subject"),
    ("shop.price.\u{202e}", "bad_subject"),
];

#[tokio::test]
async fn what_is_not_granted_is_refused_and_ends_nothing() {
    let nats = NatsServer::start().await;
    let with_grants = |config: &mut Config| config.grants = grants(SHOP);
    for node in [TestNode::nats_with(&nats, with_grants).await, TestNode::with(with_grants).await] {
        let mut client = node.client().await;
        let mut expected = 0.0;
        for (subject, code) in ASKED {
            client.send(json!({"id": 5, "subscribe": {"subject": subject}})).await;
            if code.is_empty() {
                assert_eq!(client.expect("subscribed").await["subscribed"]["subject"], *subject);
            } else {
                let error = client.expect("error").await["error"].take();
                assert_eq!((&error["code"], error.get("retryable")), (&json!(code), None), "{subject:?} {error}");
                let message = error["message"].as_str().expect("a message");
                assert!(!message.contains("shop.cart.*") && !message.contains("customer"), "{message}");
                expected += f64::from(u8::from(*code == "forbidden"));
            }
        }
        assert_eq!(node.metric("notifier_errors_total{code=\"forbidden\"}").await, expected);
        for (subject, status) in [
            ("shop.chat.a", 200),
            ("shop.chat.a.b", 403),
            ("shop.price.a", 403),
            ("shop.price.cost", 403),
            ("$JS.API.STREAM.DELETE.SHOP", 403),
            ("_INBOX.a", 403),
            ("shop.chat.*", 400),
        ] {
            let answer = node.post(&format!("/v1/publish/{subject}"), &[], "1".into()).await;
            assert_eq!(answer.status(), status, "{subject} {:?}", answer.body());
        }
        // It is there as before.
        node.inject("shop.order.1", "1").await;
        assert_eq!(client.event().await, ("shop.order.1".to_owned(), json!(1)));
    }
}

#[tokio::test]
async fn a_wildcard_is_told_to_be_one_where_only_concrete_subjects_are_granted() {
    let node = TestNode::with(|config| config.grants = grants(SHOP)).await;
    let mut client = Ws::open(node.address).await;
    let asked = ["shop.order.>", "shop.price.cost", "shop.order.7"].map(|subject| json!({"subject": subject}));
    client.send(json!({"connect": {"subscriptions": asked}})).await;
    client.expect("welcome").await;
    for part in ["only concrete subjects are granted", "is denied"] {
        let error = client.expect("error").await;
        assert!(error["error"]["message"].as_str().expect("a message").contains(part), "{error}");
    }
    assert_eq!(client.expect("subscribed").await["subscribed"]["subject"], "shop.order.7");
}

#[tokio::test]
async fn a_node_with_grants_that_do_not_hold_does_not_start() {
    let mut config = config();
    config.grants = grants("[[grants]]\nrole = \"*\"\nsubscribe = [\"$SYS.>\"]");
    let error = notifier::node::Node::bind(config).await.expect_err("refused").to_string();
    assert!(error.contains("grants[*].subscribe") && error.contains("$SYS.>"), "{error}");
}
