//! The least that nodes need at NATS, with the very lines of docs/security.md:
//! everything works with them, and the server refuses everything else.

use std::{path::Path, time::Duration};

use http_body_util::Full;
use hyper::Request;
use notifier::config::{AuthMode, BrokerKind, Config, Secret, SettingsFile, load};
use serde_json::{Value, json};

use super::world::{
    NatsServer, TestNode, Ws, eventually,
    node::{ask, config as test_config},
    soon,
};

/// The first block of this kind in the page.
fn block(language: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/security.md");
    let page = std::fs::read_to_string(page).expect("docs/security.md");
    let (_, rest) = page.split_once(&format!("```{language}\n")).expect("a block");
    rest.split_once("\n```").expect("its end").0.to_owned()
}

fn settings() -> String {
    block("conf").replace("$NOTIFIER_PASSWORD", "n").replace("$CART_PASSWORD", "c")
}

/// The node of the page, at this server.
fn config(server: &NatsServer, change: impl FnOnce(&mut Config)) -> Config {
    let password = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(password.path(), "n").expect("room");
    let text = block("toml").replace("/run/secrets/nats-password", &password.path().display().to_string());
    let source = SettingsFile { origin: "docs/security.md".into(), text };
    let documented = load(Some(&source), [], &Default::default()).expect("it parses");
    let mut config = Config { broker: documented.broker, ..test_config() };
    (config.streams, config.subjects) = (documented.streams, documented.subjects);
    config.broker.kind = BrokerKind::Nats;
    config.broker.nats.urls = vec![server.url().into()];
    config.auth.mode = Some(AuthMode::Anonymous);
    change(&mut config);
    config
}

async fn node(server: &NatsServer, change: impl FnOnce(&mut Config)) -> TestNode {
    let node = TestNode::start(config(server, change)).await;
    node.until_ready().await;
    node
}

/// The service of the page.
async fn cart(server: &NatsServer) -> async_nats::Client {
    let options = async_nats::ConnectOptions::with_user_and_password("cart".into(), "c".into());
    options.custom_inbox_prefix("_CART_INBOX").connect(server.url()).await.expect("it gets in")
}

const VIOLATIONS: &str = "notifier_broker_events_total{event=\"server_error\"}";

#[tokio::test]
async fn what_the_page_allows_is_enough_for_everything() {
    let server = NatsServer::jetstream_with(&settings()).await;
    // What is stored is read from the stream, not from memory.
    let node = node(&server, |config| config.streams[0].window.bytes = "1B".parse().expect("a size")).await;
    let service = cart(&server).await;
    let mut client = node.client().await;

    // Live, and stored, each by a service.
    client.subscribe("shop.live.*").await;
    service.publish("shop.live.a", "1".into()).await.expect("published");
    assert_eq!(client.event().await, ("shop.live.a".into(), json!(1)));
    for subject in ["shop.cart.u42.changed", "shop.order.17", "shop.price.mug"] {
        client.subscribe(subject).await;
        let stored = soon("an acknowledgement", service.request(subject, "2".into())).await.expect("stored");
        assert!(serde_json::from_slice::<Value>(&stored.payload).expect("JSON")["seq"].is_u64());
        assert_eq!(client.event().await, (subject.into(), json!(2)));
    }
    // By a client; it is acknowledged by the stream.
    client.send(json!({"id": 1, "publish": {"subject": "shop.cart.u42.seen", "event": {"data": 3}}})).await;
    assert_eq!(client.expect("published").await["published"], json!({"stream": "SHOP", "seq": 3}));
    // What was before: out of the last values, once the node has heard of all of it, and by Direct Get.
    eventually("everything", || async {
        let fetched = node.get("/v1/fetch?subject=shop.%3E").await;
        let fetched: Value = serde_json::from_slice(fetched.body()).expect("JSON");
        fetched["fetched"]["events"].as_array().map(Vec::len) == Some(4)
    })
    .await;
    let (before, _) = node.client().await.resume("shop.cart.>", json!({"snapshot": true})).await;
    assert_eq!(before.len(), 2);

    // A service is asked, and answers without a right to the nodes' inbox.
    let mut asked = service.subscribe("ask.cart.*").await.expect("subscribed");
    client.send(json!({"id": 5, "request": {"subject": "ask.cart.u42", "event": {"data": 4}}})).await;
    let answering = async {
        use futures_util::StreamExt as _;
        let question = soon("a question", asked.next()).await.expect("a question");
        service.publish(question.reply.expect("a reply"), "5".into()).await.expect("published");
    };
    // Until the server knows of the service, nobody is there.
    let asking = async {
        loop {
            let frame = client.next().await;
            if frame["error"]["code"] != "no_responders" {
                return frame;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            client.send(json!({"id": 5, "request": {"subject": "ask.cart.u42", "event": {"data": 4}}})).await;
        }
    };
    let (frame, ()) = tokio::join!(asking, answering);
    assert_eq!(frame["response"]["event"]["data"], 5, "{frame}");

    // Nodes tell each other what operators ask for.
    let other = self::node(&server, |_| {}).await;
    let mut elsewhere = Ws::open(other.address).await;
    elsewhere.send(json!({"connect": {}})).await;
    let name = elsewhere.expect("welcome").await["welcome"]["connection"].take();
    let order = Request::post("/admin/disconnect").header("content-type", "application/json");
    let order = order.body(Full::from(json!({"connection": name}).to_string())).expect("a request");
    let answer = ask(node.internal, order).await;
    let answer: Value = serde_json::from_slice(answer.body()).expect("JSON");
    assert_eq!((&answer["closed"], answer["nodes"].as_array().map(Vec::len)), (&json!(1), Some(2)), "{answer}");
    assert_eq!(elsewhere.closed().await.0, 4008);

    for node in [node, other] {
        node.until_metric("notifier_stream_lag", |lag| lag == 0.0).await;
        assert_eq!(node.metric(VIOLATIONS).await, 0.0);
    }
}

#[tokio::test]
async fn what_the_page_does_not_allow_the_server_refuses() {
    let server = NatsServer::jetstream_with(&settings()).await;
    let _node = node(&server, |_| {}).await;
    let rows: [(&str, &[&str], &[&str]); 2] = [
        (
            "notifier",
            // Others' events, the streams themselves, the system.
            &[
                "ntf.SHOP.shop.cart.u42",
                "ntf.x",
                "shop.order.17",
                "shop.cart.u42.changed",
                "other",
                "$JS.API.STREAM.DELETE.SHOP",
                "$JS.API.STREAM.PURGE.SHOP",
                "$JS.API.STREAM.MSG.DELETE.SHOP",
                "$JS.API.STREAM.INFO.OTHER",
                "$JS.API.CONSUMER.CREATE.SHOP",
                "$SYS.REQ.SERVER.PING",
                "_INBOX.a",
                "_NTF_INBOX.a",
            ],
            &[">", "ask.>", "ntf.>", "$SYS.>", "$JS.>", "_INBOX.>", "_CART_INBOX.>", "other"],
        ),
        (
            "cart",
            &[
                "ntf.SHOP.shop.cart.u42",
                "_ntf.control",
                "_ntf.control.a",
                "ask.cart.u42",
                "_NTF_INBOX.notifier.a.b",
                "$JS.API.STREAM.INFO.SHOP",
                "$JS.API.DIRECT.GET.SHOP",
            ],
            &[">", "shop.>", "ntf.SHOP.>", "_NTF_INBOX.>", "_ntf.control", "ask.>"],
        ),
    ];
    for (user, publishes, subscribes) in rows {
        let mut line = server.user(user, &user[..1]).await;
        for subject in publishes {
            let said = line.refused(&format!("PUB {subject} 1\r\n1\r\n")).await;
            assert!(
                said.iter().any(|line| line.contains("Permissions Violation for Publish")),
                "{user} {subject} {said:?}"
            );
        }
        for subject in subscribes {
            let said = line.refused(&format!("SUB {subject} 7\r\n")).await;
            assert!(
                said.iter().any(|line| line.contains("Permissions Violation for Subscription")),
                "{user} {subject} {said:?}"
            );
        }
        assert_eq!(line.refused("").await, [""; 0], "{user}");
    }
}

/// A server on which a node may read these subjects.
fn may_read(subjects: &str) -> String {
    format!(
        "authorization {{ users: [
          {{ user: node, password: p, permissions: {{
             subscribe: [{subjects}, \"_ntf.control\", \"_ntf.control.*\"], publish: [\"_ntf.control\"] }} }}
          {{ user: service, password: p }} ] }}"
    )
}

/// The node, and a service that may do everything.
async fn restricted(server: &NatsServer) -> (TestNode, async_nats::Client) {
    let node = TestNode::nats_with(server, |config| {
        config.broker.nats.user = Some("node".into());
        config.broker.nats.password = Some(Secret::from("p".to_owned()));
    })
    .await;
    let options = async_nats::ConnectOptions::with_user_and_password("service".into(), "p".into());
    (node, options.connect(server.url()).await.expect("it gets in"))
}

#[tokio::test]
async fn a_pattern_that_nats_takes_back_leaves_its_events_to_a_later_one_of_the_same_connection() {
    let mut server = NatsServer::with(&may_read("\"news.>\"")).await;
    let (node, service) = restricted(&server).await;
    let mut client = node.client().await;
    client.subscribe("news.*").await;
    client.subscribe("news.a").await;
    let publish = async |number: u64| service.publish("news.a", number.to_string().into()).await.expect("published");
    publish(1).await;
    assert_eq!(client.event().await.1, json!(1));

    server.reload(&may_read("\"news.a\""));
    assert_eq!(client.expect("error").await["error"]["subject"], "news.*");
    // Nothing tells when the node is subscribed to the narrow subject at NATS.
    let (mut number, mut heard) = (1, Vec::new());
    while heard.last() != Some(&number) {
        number += 1;
        publish(number).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        heard.extend(client.events_until_now().await.iter().filter_map(|(_, data)| data.as_u64()));
    }
    assert!(heard.is_sorted_by(|one, next| one < next), "each once: {heard:?}");

    server.reload(&may_read("\"news.>\""));
    assert_eq!(client.expect("subscribed").await["subscribed"]["subject"], "news.*");
    publish(1_000).await;
    assert_eq!(client.event().await.1, json!(1_000));
    assert_eq!(client.events_until_now().await, []);
}

/// Row 20 of what may go wrong: NATS takes a permission back while nodes run.
#[tokio::test]
async fn a_permission_that_is_taken_away_is_told_to_those_whom_it_concerns_until_it_is_back() {
    let with = may_read;
    let mut server = NatsServer::with(&with("\"shop.>\", \"news.>\"")).await;
    let (node, service) = restricted(&server).await;
    let (mut reader, mut neighbour) = (node.client().await, node.client().await);
    reader.subscribe("news.a").await;
    neighbour.subscribe("shop.a").await;
    let publish = async |number: u64| {
        for subject in ["news.a", "shop.a"] {
            service.publish(subject, number.to_string().into()).await.expect("published");
        }
    };
    publish(1).await;
    assert_eq!(reader.event().await.1, json!(1));
    assert_eq!(neighbour.event().await.1, json!(1));
    assert_eq!(node.metric(VIOLATIONS).await, 0.0);

    server.reload(&with("\"shop.>\""));
    node.until_metric(VIOLATIONS, |count| count >= 1.0).await;
    let told = reader.expect("error").await;
    assert_eq!((&told["error"]["code"], &told["error"]["subject"]), (&json!("broker_refused"), &json!("news.a")));
    assert_eq!((&told["error"]["retryable"], &told["replyTo"]), (&json!(true), &Value::Null));
    publish(2).await;
    assert_eq!(neighbour.event().await.1, json!(2));
    assert_eq!(reader.events_until_now().await, []);
    // Nobody was disconnected, neither the node nor its clients.
    assert_eq!(node.metric("notifier_broker_events_total{event=\"disconnected\"}").await, 0.0);
    assert_eq!(node.metric("notifier_connections").await, 2.0);
    assert_eq!(node.internal("/readyz").await.0, 200);

    server.reload(&with("\"shop.>\", \"news.>\""));
    let told = reader.expect("subscribed").await;
    assert_eq!(told, json!({"subscribed": {"subject": "news.a", "delivery": "live"}}));
    publish(3).await;
    assert_eq!(reader.event().await.1, json!(3));
    assert_eq!(neighbour.event().await.1, json!(3));
}

/// What the tail does not bring and the stream does not give at first is found again with each attempt to read it.
#[tokio::test]
async fn a_gap_that_cannot_be_read_at_first_is_one_gap_all_the_same() {
    let silent = settings().replace("\"ntf.SHOP.>\", ", "");
    let blind = ["DIRECT.GET", "STREAM.MSG.GET"]
        .iter()
        .fold(silent.clone(), |settings, question| settings.replace(&format!("\"$JS.API.{question}.SHOP\", "), ""));
    let mut server = NatsServer::jetstream_with(&silent).await;
    let node = TestNode::start(config(&server, |_| {})).await;
    // It reads what it may not follow, and says that this is not well.
    let follows = async || node.internal_json("/readyz").await["reasons"].clone();
    eventually("all but one", || async {
        follows().await == json!(["NATS refuses the node what a stream republishes"])
    })
    .await;
    assert_eq!(node.internal_json("/readyz").await["broker"]["refused"]["streams"], json!(["SHOP"]));
    let refused = node.metric(VIOLATIONS).await;
    let service = cart(&server).await;
    let store = server.store();
    let with = |settings: &str| format!("jetstream {{ store_dir: {store:?} }}\n{settings}");
    server.reload(&with(&blind));
    soon("an acknowledgement", service.request("shop.order.17", "1".into())).await.expect("stored");
    // Its copy, its leader, and the leader again.
    node.until_metric(VIOLATIONS, |count| count >= refused + 3.0).await;
    server.reload(&with(&silent));
    node.until_metric("notifier_gaps_healed_total", |count| count == 1.0).await;
    assert_eq!(node.metric("notifier_gaps_detected_total").await, 1.0);
}
