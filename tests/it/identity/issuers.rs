//! Two issuers side by side: each has users, roles and tokens of its own, and
//! what one of them writes into a token does nothing to the other's.

use futures_util::StreamExt as _;
use notifier::config::{Algorithm, Config};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    grants::grants,
    revocation::admin,
    world::{NatsServer, Shop, TestNode, Ws, node::config, soon, tokens},
};

const PARTNER: &str = "https://partner.example";
const SECRET: &str = "partner-partner-partner-partner-";

/// Carts are ours; partners have subjects of their own, and all read the news.
const GRANTS: &str = r#"
    [[grants]]
    role = "customer"
    issuers = ["https://login.example"]
    subscribe = ["shop.cart.{sub}.>"]
    publish = ["shop.cart.{sub}.seen"]
    [[grants]]
    role = "admin"
    issuers = ["https://login.example"]
    subscribe = ["shop.>"]
    [[grants]]
    role = "customer"
    issuers = ["https://partner.example"]
    subscribe = ["partner.{sub}.>"]
    publish = ["partner.{sub}.seen", "cart.all"]
    [[grants]]
    role = "anonymous"
    subscribe = ["public.>"]
    [[grants]]
    role = "*"
    issuers = ["*"]
    subscribe = ["news.>"]
"#;

fn two(config: &mut Config) {
    tokens::with_secret(config);
    let mut partner = tokens::issuer(&[Algorithm::HS256]);
    partner.issuer = PARTNER.into();
    partner.secret = Some(SECRET.to_owned().into());
    tokens::with_issuer(config, partner);
    config.grants = grants(GRANTS);
    config.auth.allow_anonymous = true;
}

fn ours(user: &str, roles: &[&str]) -> String {
    tokens::token_of(user, roles)
}

fn theirs(user: &str, roles: &[&str]) -> String {
    let mut claims = tokens::claims(user, roles);
    claims["iss"] = PARTNER.into();
    let signer = notifier::access::auth::Signer::secret(SECRET.as_bytes(), Algorithm::HS256).expect("for secrets");
    signer.mint(claims.as_object().expect("an object")).expect("a token")
}

/// The code with which a subscription is refused; nothing when it holds.
async fn asks(client: &mut Ws, subject: &str) -> Option<String> {
    client.send(json!({"id": 5, "subscribe": {"subject": subject}})).await;
    let frame = client.next().await;
    frame["error"]["code"].as_str().map(str::to_owned)
}

async fn clients(node: &TestNode) -> [Ws; 2] {
    let [our, their] = [ours("u1", &["customer"]), theirs("u1", &["customer"])];
    [Ws::with_token(node.address, &our).await, Ws::with_token(node.address, &their).await]
}

/// It is there as before.
async fn is_served(client: &mut Ws) {
    assert_eq!(asks(client, "news.a").await, None);
}

#[tokio::test]
async fn roles_and_names_are_each_issuers_own() {
    let node = TestNode::with(two).await;
    let rows = [
        (ours("u1", &["customer"]), "shop.cart.u1.>", None),
        (theirs("u1", &["customer"]), "shop.cart.u1.>", Some("forbidden")),
        (theirs("u1", &["customer"]), "shop.cart.u1.item", Some("forbidden")),
        (theirs("u1", &["customer"]), "partner.u1.>", None),
        (ours("u1", &["customer"]), "partner.u1.>", Some("forbidden")),
        (ours("a", &["admin"]), "shop.>", None),
        (theirs("a", &["admin"]), "shop.>", Some("forbidden")),
        (theirs("a", &["anonymous"]), "public.>", Some("forbidden")),
        (theirs("a", &[]), "news.>", None),
    ];
    for (token, subject, expected) in rows {
        let mut client = Ws::with_token(node.address, &token).await;
        assert_eq!(asks(&mut client, subject).await.as_deref(), expected, "{subject}");
    }
    let mut nobody = node.client().await;
    for (subject, expected) in [("public.>", None), ("news.>", None), ("shop.cart.u1.>", Some("forbidden"))] {
        assert_eq!(asks(&mut nobody, subject).await.as_deref(), expected, "{subject}");
    }
    // Over HTTP, too.
    for (token, status) in [(ours("u1", &["customer"]), 200), (theirs("u1", &["customer"]), 403)] {
        let bearer = format!("Bearer {token}");
        let answer = node.post("/v1/publish/shop.cart.u1.seen", &[("authorization", &bearer)], "1".into()).await;
        assert_eq!(answer.status(), status);
    }
}

#[tokio::test]
async fn a_node_with_two_issuers_whose_grants_name_none_does_not_start() {
    let mut config = config();
    two(&mut config);
    config.grants = grants("[[grants]]\nrole = \"customer\"\nsubscribe = [\"shop.cart.{sub}.>\"]");
    let error = notifier::node::Node::bind(config).await.expect_err("refused").to_string();
    assert!(error.contains("grants[customer].issuers") && error.contains(tokens::ISSUER), "{error}");
}

#[tokio::test]
async fn a_namesakes_connections_take_no_room() {
    let node = TestNode::with(|config| {
        two(config);
        config.limits.user_connections = 2;
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(Ws::with_token(node.address, &theirs("u1", &[])).await);
    }
    let mut refused = Ws::open(node.address).await;
    refused.send(json!({"connect": {"token": theirs("u1", &[])}})).await;
    assert_eq!(refused.closed().await.0, 4410);
    for _ in 0..2 {
        held.push(Ws::with_token(node.address, &ours("u1", &[])).await);
    }
    is_served(&mut held[3]).await;
}

#[tokio::test]
async fn a_connection_is_not_renewed_by_a_namesakes_token() {
    let node = TestNode::with(two).await;
    let [mut client, _other] = clients(&node).await;
    client.send(json!({"id": 7, "refresh": {"token": theirs("u1", &["customer"])}})).await;
    assert_eq!(client.expect("error").await["error"]["code"], "forbidden");
    assert_eq!(asks(&mut client, "shop.cart.u1.>").await, None);
}

#[tokio::test]
async fn what_operators_do_to_a_user_a_namesake_does_not_notice() {
    let nats = NatsServer::start().await;
    let (a, b) = (TestNode::nats_with(&nats, two).await, TestNode::nats_with(&nats, two).await);
    let [mut our, mut their] = clients(&b).await;
    let whom = |issuer: &str| json!({"user": "u1", "issuer": issuer});
    assert_eq!(admin(&a, "reevaluate", whom(tokens::ISSUER)).await.1["asked"], 1);
    our.expect("tokenExpiring").await;
    assert_eq!(admin(&a, "disconnect", whom(PARTNER)).await.1["closed"], 1);
    assert_eq!(their.closed().await.0, 4008);
    is_served(&mut our).await;
    // It was told no `tokenExpiring`, else that would have come before its end.
    let [_, mut their] = clients(&b).await;
    let mut revoke = whom(PARTNER);
    revoke["revoke"] = true.into();
    assert_eq!(admin(&a, "disconnect", revoke).await.1["closed"], 1);
    assert_eq!(their.closed().await.0, 4502);
    is_served(&mut our).await;
    let later = TestNode::nats_with(&nats, two).await;
    for node in [&a, &b, &later] {
        let mut refused = Ws::open(node.address).await;
        refused.send(json!({"connect": {"token": theirs("u1", &["customer"])}})).await;
        assert_eq!(refused.closed().await.0, 4501);
        is_served(&mut Ws::with_token(node.address, &ours("u1", &["customer"])).await).await;
    }
    // Names of tokens are the issuers', too.
    let mut named = Ws::with_token(a.address, &ours("u2", &[])).await;
    let token = json!({"tokenId": "u2-1", "issuer": PARTNER, "revoke": true});
    assert_eq!(admin(&b, "disconnect", token).await.1["closed"], 0);
    is_served(&mut named).await;
    let token = json!({"tokenId": "u2-1", "issuer": tokens::ISSUER, "revoke": true});
    assert_eq!(admin(&b, "disconnect", token).await.1["closed"], 1);
    assert_eq!(named.closed().await.0, 4502);
}

#[tokio::test]
async fn operators_have_to_say_whose_user_they_mean() {
    let node = TestNode::with(two).await;
    let [mut our, mut their] = clients(&node).await;
    for (verb, body, named) in [
        ("disconnect", json!({"user": "u1"}), "name the `issuer` too"),
        ("disconnect", json!({"tokenId": "u1-1", "revoke": true}), PARTNER),
        ("reevaluate", json!({"user": "u1"}), "name the `issuer` too"),
        ("disconnect", json!({"user": "u1", "issuer": "https://partner.example/"}), "none of auth.issuers"),
        ("disconnect", json!({"connection": "00000000000000aa", "issuer": PARTNER}), "leave `issuer` out"),
    ] {
        let (status, answer) = admin(&node, verb, body.clone()).await;
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(status == 400 && message.contains(named), "{body}: {status} {answer}");
    }
    is_served(&mut our).await;
    is_served(&mut their).await;
    let listed = node.internal_json("/admin/connections?user=u1").await;
    let mut issuers: Vec<_> =
        listed["listed"].as_array().expect("a list").iter().filter_map(|one| one["issuer"].as_str()).collect();
    issuers.sort_unstable();
    assert_eq!(issuers, [tokens::ISSUER, PARTNER]);
    let path = "/admin/connections?user=u1&issuer=https%3A%2F%2Fpartner.example";
    let listed = node.internal_json(path).await;
    assert_eq!((&listed["connections"], &listed["listed"][0]["issuer"]), (&json!(1), &json!(PARTNER)));
    assert_eq!(node.internal_json("/admin/connections?issuer=https://login.example").await["connections"], 1);
    assert_eq!(node.internal("/admin/connections?issuer=us").await.0, 400);
    let run = async |args: &[&str]| {
        let internal = node.internal.to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_notifier"));
        let output = command.arg("admin").args(args).args(["--internal", &internal]).output().await;
        output.expect("the binary runs").status.success()
    };
    assert!(!run(&["disconnect", "--user", "u1"]).await);
    assert!(run(&["connections", "--user", "u1", "--issuer", PARTNER]).await);
    assert!(run(&["reevaluate", "--user", "u1", "--issuer", tokens::ISSUER]).await);
    our.expect("tokenExpiring").await;
    assert!(run(&["disconnect", "--user", "u1", "--issuer", PARTNER]).await);
    assert_eq!(their.closed().await.0, 4008);
    is_served(&mut our).await;
}

/// A node that knows of no issuers says less, and means everybody of the name.
#[tokio::test]
async fn what_a_node_of_before_says_holds_for_every_issuer() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats_with(&nats, two).await;
    let [mut our, mut their] = clients(&node).await;
    let service = nats.client().await;
    let say = async |order: Value| {
        let message = json!({"from": "x", "order": order}).to_string();
        service.publish("_ntf.control", message.into()).await.expect("sent");
    };
    say(json!({"disconnect": {"user": "u1"}})).await;
    assert_eq!((our.closed().await.0, their.closed().await.0), (4008, 4008));
    let [mut our, mut their] = clients(&node).await;
    let now = tokens::now();
    say(json!({"revoke": [{"user": "u1", "at": now, "until": now + 600}]})).await;
    assert_eq!((our.closed().await.0, their.closed().await.0), (4502, 4502));
}

#[tokio::test]
async fn services_and_clients_learn_whose_user_it_is() {
    let nats = NatsServer::jetstream().await;
    let node = Shop::node(Some(&nats), two).await;
    let (_service, mut heard) = nats.listener("*.all").await;
    let mut client = Ws::open(node.address).await;
    client.send(json!({"connect": {"token": theirs("u1", &["customer"])}})).await;
    let welcome = client.expect("welcome").await["welcome"].take();
    assert_eq!((&welcome["user"], &welcome["issuer"]), (&json!("u1"), &json!(PARTNER)));
    client.send(json!({"id": 1, "publish": {"subject": "cart.all", "event": {"data": 1}}})).await;
    client.expect("published").await;
    let headers = soon("an event", heard.next()).await.expect("a message").headers.expect("headers");
    let value = |name: &str| headers.get(name).map(|value| value.as_str());
    assert_eq!((value("Notifier-User"), value("Notifier-Issuer")), (Some("u1"), Some(PARTNER)));
    let mut nobody = Ws::open(node.address).await;
    nobody.send(json!({"connect": {}})).await;
    assert_eq!(nobody.expect("welcome").await["welcome"].get("issuer"), None);
}

#[tokio::test]
async fn an_explanation_names_the_issuers_of_a_grant() {
    let node = TestNode::with(two).await;
    let ask = async |token: String| {
        let body = json!({"token": token, "verb": "subscribe", "subject": "shop.cart.u1.>"});
        admin(&node, "explain", body).await.1
    };
    let allowed = ask(ours("u1", &["customer"])).await;
    assert_eq!((&allowed["allowed"], &allowed["issuer"]), (&json!(true), &json!(tokens::ISSUER)));
    assert_eq!(allowed["rules"][0]["issuers"], json!([tokens::ISSUER]));
    assert_eq!(ask(theirs("u1", &["customer"])).await["allowed"], false);
}
