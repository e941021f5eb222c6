//! What operators ask one node for, all nodes do.

use std::{net::SocketAddr, time::Instant};

use futures_util::StreamExt as _;
use hyper::Request;
use notifier::config::{BrokerKind, Config};
use serde_json::{Value, json};
use tokio::process::Command;

use super::{
    lifetime::shop,
    world::{Cable, NatsServer, TestNode, Ws, eventually, free_address, node::ask, soon, tokens},
};

/// Asks a node for something.
pub async fn admin(node: &TestNode, verb: &str, body: Value) -> (u16, Value) {
    admin_at(node.internal, verb, body).await
}

/// A client, and what its connection is called.
async fn named(node: &TestNode) -> (Ws, String) {
    let mut client = Ws::open(node.address).await;
    client.send(json!({"connect": {}})).await;
    let welcome = client.expect("welcome").await;
    (client, welcome["welcome"]["connection"].as_str().expect("a name").to_owned())
}

#[tokio::test]
async fn a_connection_is_ended_by_whichever_node_is_asked() {
    let nats = NatsServer::start().await;
    let a = TestNode::nats_with(&nats, |config| config.node.name = "a".into()).await;
    let b = TestNode::nats_with(&nats, |config| config.node.name = "b".into()).await;
    a.until_metric("notifier_cluster_nodes", |nodes| nodes == 2.0).await;
    let (mut there, name) = named(&b).await;
    let (mut neighbour, _) = named(&b).await;
    let begun = Instant::now();
    let call = tokio::spawn(async move {
        let answer = admin(&a, "disconnect", json!({"connection": name, "reason": "a test"})).await;
        (a, answer)
    });
    let (code, reason, _) = there.closed().await;
    eprintln!("closed on the other node after {:?}", begun.elapsed());
    assert_eq!((code, reason.as_str()), (4008, "disconnected"));
    let (_a, (status, answer)) = call.await.expect("an answer");
    let nodes = json!([{"node": "a", "closed": 0}, {"node": "b", "closed": 1}]);
    assert_eq!((status, answer), (200, json!({"closed": 1, "nodes": nodes, "broker": "ok"})));
    neighbour.subscribe("a").await;
    drop(there);
    b.until_metric("notifier_connections_closed_total{reason=\"disconnected\"}", |count| count == 1.0).await;
}

#[tokio::test]
async fn what_operators_ask_for_wrongly_is_refused_with_the_remedy() {
    let node = TestNode::memory().await;
    for (verb, body, named) in [
        ("disconnect", json!({}), "name one of"),
        ("disconnect", json!({"user": "u", "tokenId": "t"}), "name one of"),
        ("disconnect", json!({"user": ""}), "1 to 128 bytes"),
        ("disconnect", json!({"user": "a\nb"}), "control characters"),
        ("disconnect", json!({"connection": "x"}), "16 hexadecimal digits"),
        ("disconnect", json!({"connection": "00000000000000aa", "revoke": true}), "revoke its `user`"),
        ("disconnect", json!({"user": "u", "revok": true}), "unknown field `revok`"),
        ("disconnect", json!({"user": "u", "revoke": "yes"}), "invalid type"),
        ("reevaluate", json!({}), "missing field `user`"),
        ("explain", json!({"verb": "look", "subject": "a"}), "neither `subscribe`"),
        ("explain", json!({"token": "t", "connection": "c", "verb": "publish", "subject": "a"}), "name `token` or"),
    ] {
        let (status, answer) = admin(&node, verb, body.clone()).await;
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(status == 400 && message.contains(named), "{body}: {status} {answer}");
    }
    assert_eq!(admin(&node, "disconnect", json!({"user": "u", "reason": "x".repeat(9_000)})).await.0, 413);
    assert_eq!(admin(&node, "explode", json!({})).await.0, 404);
    assert_eq!(node.internal("/admin/disconnect").await.0, 405);
    assert_eq!(node.internal("/admin/connections?usr=u").await.0, 400);
    // What another site's page could have a browser send.
    let request = Request::post("/admin/disconnect").header("content-type", "text/plain");
    let answer = ask(node.internal, request.body("{\"user\":\"u\"}".into()).expect("a request")).await;
    assert_eq!(answer.status(), 400);
    assert_eq!(admin(&node, "disconnect", json!({"user": "nobody"})).await.1["closed"], 0);
}

#[tokio::test]
async fn connections_are_listed_from_all_nodes_and_at_most_so_many() {
    let nats = NatsServer::start().await;
    let a = TestNode::nats_with(&nats, |config| config.node.name = "a".into()).await;
    let b = TestNode::nats_with(&nats, |config| config.node.name = "b".into()).await;
    a.until_metric("notifier_cluster_nodes", |nodes| nodes == 2.0).await;
    let mut clients = Vec::new();
    for _ in 0..60 {
        clients.push((named(&a).await, named(&b).await));
    }
    let answer = a.internal_json("/admin/connections").await;
    assert_eq!(answer["connections"], 120);
    assert_eq!(answer["nodes"], json!([{"node": "a", "connections": 60}, {"node": "b", "connections": 60}]));
    assert_eq!(answer["listed"].as_array().expect("a list").len(), 100);
    let first = &answer["listed"][0];
    assert!(first["node"] == "a" && clients.iter().any(|((_, name), _)| first["connection"] == name.as_str()));
    assert_eq!(a.internal_json("/admin/connections?user=u%2042").await["connections"], 0);
}

#[tokio::test]
async fn what_makes_no_sense_between_nodes_harms_nobody() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats(&nats).await;
    let (mut client, name) = named(&node).await;
    let service = nats.client().await;
    let order = json!({"from": "x", "order": {"disconnect": {"connection": name}}}).to_string();
    let mut too_long = vec![b' '; 600_000];
    too_long.extend(order.as_bytes());
    for bytes in [b"".to_vec(), b"\xff\xfe".to_vec(), b"{\"from\":\"x\",\"order\":{\"explode\":{}}}".to_vec(), too_long]
    {
        service.publish("_ntf.control", bytes.into()).await.expect("sent");
    }
    node.until_metric("notifier_control_messages_total{what=\"refused\"}", |count| count == 4.0).await;
    client.subscribe("a").await;
    // An answer goes to nobody but nodes.
    let mut elsewhere = service.subscribe("elsewhere").await.expect("subscribed");
    let mut below = service.subscribe("_ntf.control.me").await.expect("subscribed");
    service.publish_with_reply("_ntf.control", "elsewhere", order.clone().into()).await.expect("sent");
    assert_eq!(client.closed().await.0, 4008);
    service.publish_with_reply("_ntf.control", "_ntf.control.me", order.into()).await.expect("sent");
    let answer = soon("an answer", below.next()).await.expect("an answer");
    assert!(answer.payload.starts_with(b"{\"node\":"));
    service.publish("elsewhere", "end".into()).await.expect("sent");
    let first = soon("the end", elsewhere.next()).await.expect("a message");
    assert_eq!(first.payload, "end");
}

#[tokio::test]
async fn installations_with_other_subjects_do_not_hear_each_other() {
    let nats = NatsServer::start().await;
    let ours = TestNode::nats(&nats).await;
    let theirs =
        TestNode::nats_with(&nats, |config| config.broker.nats.control_subject = "_ntf.other.control".into()).await;
    let (mut client, name) = named(&theirs).await;
    let (_, answer) = admin(&ours, "disconnect", json!({"connection": name})).await;
    assert_eq!((&answer["closed"], answer["nodes"].as_array().map(Vec::len)), (&json!(0), Some(1)));
    client.subscribe("a").await;
}

/// A token of a user, issued some seconds ago, or in the future.
fn issued(user: &str, id: &str, when: i64) -> String {
    let mut claims = tokens::claims(user, &["customer"]);
    claims["iat"] = (tokens::now() as i64 + when).into();
    claims["jti"] = id.into();
    tokens::token(&claims)
}

/// A node whose users are the shop's.
async fn node(nats: &NatsServer, name: &str) -> TestNode {
    TestNode::nats_with(nats, |config| settings(config, name)).await
}

fn settings(config: &mut Config, name: &str) {
    shop(config);
    config.node.name = name.into();
}

/// A token lets nobody in there, neither by WebSocket nor by HTTP.
async fn is_refused(node: &TestNode, token: &str) {
    let mut client = Ws::open(node.address).await;
    client.send(json!({"connect": {"token": token}})).await;
    let (code, _, frames) = client.closed().await;
    let message = frames[0]["error"]["message"].as_str().expect("a message");
    assert!(code == 4501 && message.contains("revoked"), "{code} {frames:?}");
    let answer = node.post("/v1/publish/a", &[("authorization", &format!("Bearer {token}"))], "1".into()).await;
    assert_eq!(answer.status(), 401);
}

#[tokio::test]
async fn a_revoked_user_is_out_on_every_node_and_stays_out_also_of_one_that_starts_later() {
    let nats = NatsServer::start().await;
    let (a, b) = (node(&nats, "a").await, node(&nats, "b").await);
    let (old, other) = (issued("u42", "t1", -10), issued("u43", "t2", -10));
    let mut theirs = [Ws::with_token(a.address, &old).await, Ws::with_token(b.address, &old).await];
    let mut neighbour = Ws::with_token(b.address, &other).await;
    let begun = Instant::now();
    let call = tokio::spawn({
        let internal = a.internal;
        async move { admin_at(internal, "disconnect", json!({"user": "u42", "revoke": true})).await }
    });
    for client in theirs.iter_mut().rev() {
        let (code, reason, _) = client.closed().await;
        eprintln!("revoked and closed after {:?}", begun.elapsed());
        assert_eq!((code, reason.as_str()), (4502, "revoked"));
    }
    let nodes = json!([{"node": "a", "closed": 1}, {"node": "b", "closed": 1}]);
    assert_eq!(call.await.expect("an answer").1, json!({"closed": 2, "nodes": nodes, "broker": "ok"}));
    neighbour.subscribe("shop.a").await;
    let later = node(&nats, "later").await;
    let revoked = tokens::now();
    eventually("the second after the revocation", || async { tokens::now() > revoked }).await;
    for node in [&a, &b, &later] {
        is_refused(node, &old).await;
        assert_eq!(node.metric("notifier_revocations").await, 1.0);
        // Whoever signs in again gets in again.
        Ws::with_token(node.address, &issued("u42", "t3", 0)).await.subscribe("shop.a").await;
        Ws::with_token(node.address, &other).await;
    }
}

#[tokio::test]
async fn a_revoked_token_is_out_and_the_users_others_are_not() {
    let nats = NatsServer::start().await;
    let (a, b) = (node(&nats, "a").await, node(&nats, "b").await);
    let (stolen, own) = (issued("u42", "stolen", 0), issued("u42", "own", 0));
    let mut thief = Ws::with_token(b.address, &stolen).await;
    let mut user = Ws::with_token(b.address, &own).await;
    let listed = a.internal_json("/admin/connections?user=u42").await;
    let ids: Vec<&str> =
        listed["listed"].as_array().expect("a list").iter().filter_map(|one| one["tokenId"].as_str()).collect();
    assert!(listed["connections"] == 2 && ids.contains(&"stolen"), "{listed}");
    assert_eq!(listed["listed"][0]["user"], "u42");
    admin(&a, "disconnect", json!({"tokenId": "stolen", "revoke": true})).await;
    assert_eq!(thief.closed().await.0, 4502);
    user.subscribe("shop.a").await;
    is_refused(&a, &stolen).await;
    is_refused(&b, &stolen).await;
    // Nor does it hold where it comes as a new one.
    user.send(json!({"id": 7, "refresh": {"token": stolen}})).await;
    assert_eq!(user.expect("error").await["error"]["code"], "unauthorized");
    user.subscribe("shop.b").await;
}

#[tokio::test]
async fn whoever_is_only_disconnected_may_come_back() {
    let nats = NatsServer::start().await;
    let (a, b) = (node(&nats, "a").await, node(&nats, "b").await);
    let token = issued("u42", "t1", -10);
    let mut client = Ws::with_token(b.address, &token).await;
    assert_eq!(admin(&a, "disconnect", json!({"user": "u42"})).await.1["closed"], 1);
    assert_eq!(client.closed().await.0, 4008);
    let mut client = Ws::with_token(b.address, &token).await;
    assert_eq!(admin(&a, "disconnect", json!({"tokenId": "t1"})).await.1["closed"], 1);
    assert_eq!(client.closed().await.0, 4008);
    Ws::with_token(b.address, &token).await.subscribe("shop.a").await;
}

#[tokio::test]
async fn a_reevaluated_user_brings_a_new_token_or_goes() {
    let nats = NatsServer::start().await;
    let (a, b) = (node(&nats, "a").await, node(&nats, "b").await);
    let mut willing = Ws::with_token(b.address, &issued("u42", "t1", -10)).await;
    let mut deaf = Ws::with_token(b.address, &issued("u42", "t2", -10)).await;
    let mut neighbour = Ws::with_token(b.address, &issued("u43", "t3", -10)).await;
    willing.subscribe("shop.a").await;
    let (_, answer) = admin(&a, "reevaluate", json!({"user": "u42", "withinMs": 1500})).await;
    assert_eq!(answer["asked"], 2);
    assert_eq!(willing.expect("tokenExpiring").await["tokenExpiring"]["inMs"], 1500);
    // Its role has changed meanwhile.
    willing.send(json!({"id": 7, "refresh": {"token": tokens::token_of("u42", &[])}})).await;
    assert_eq!(willing.expect("unsubscribed").await["unsubscribed"]["subject"], "shop.a");
    willing.expect("refreshed").await;
    deaf.expect("tokenExpiring").await;
    assert_eq!(deaf.closed().await.0, 4007);
    willing.subscribe("news.>").await;
    neighbour.subscribe("shop.a").await;
}

#[tokio::test]
async fn a_node_that_was_cut_off_learns_of_revocations_when_it_is_back() {
    let nats = NatsServer::start().await;
    let a = node(&nats, "a").await;
    let cable = Cable::to(nats.url().trim_start_matches("nats://")).await;
    let mut config = super::world::node::config();
    settings(&mut config, "b");
    config.broker.kind = BrokerKind::Nats;
    config.broker.nats.urls = vec![format!("nats://{}", cable.address).into()];
    let b = TestNode::start(config).await;
    b.until_ready().await;
    let (one, two) = (issued("u42", "t1", -10), issued("u43", "t2", -10));
    let mut here = Ws::with_token(a.address, &one).await;
    let mut there = Ws::with_token(b.address, &two).await;
    cable.plugged.send_replace(false);
    b.until_metric("notifier_broker_connected", |connected| connected == 0.0).await;
    // Each of them hears what the other does not.
    assert_eq!(
        admin(&a, "disconnect", json!({"user": "u43", "revoke": true})).await.1["nodes"].as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(admin(&b, "disconnect", json!({"user": "u42", "revoke": true})).await.1["broker"], "down");
    // Nobody can tell it meanwhile.
    drop(Ws::with_token(b.address, &two).await);
    cable.plugged.send_replace(true);
    let begun = Instant::now();
    assert_eq!(there.closed().await.0, 4502);
    assert_eq!(here.closed().await.0, 4502);
    eprintln!("both nodes have learned {:?} after the cable was plugged in", begun.elapsed());
    for node in [&a, &b] {
        is_refused(node, &one).await;
        is_refused(node, &two).await;
        node.until_metric("notifier_revocations", |count| count == 2.0).await;
    }
}

#[tokio::test]
async fn a_node_that_cannot_know_what_is_revoked_lets_no_token_in() {
    let mut config = super::world::node::config();
    settings(&mut config, "alone");
    config.broker.kind = BrokerKind::Nats;
    config.broker.nats.urls = vec![format!("nats://{}", free_address()).into()];
    let node = TestNode::start(config).await;
    let bearer = format!("Bearer {}", issued("u42", "t1", -10));
    let answer = node.post("/v1/publish/shop.a", &[("authorization", &bearer)], "1".into()).await;
    assert_eq!(answer.status(), 503, "{answer:?}");
    assert!(node.internal("/readyz").await.1.contains("revoked"));
}

#[tokio::test]
async fn operators_are_told_by_which_grant_somebody_may_do_something() {
    let node = TestNode::with(shop).await;
    let token = issued("u42", "t1", 0);
    let mut client = Ws::open(node.address).await;
    client.send(json!({"connect": {"token": token}})).await;
    let name = client.expect("welcome").await["welcome"]["connection"].take();
    for whose in [json!({"token": token}), json!({"connection": name})] {
        let ask = async |verb: &str, subject: &str| {
            let mut body = whose.clone();
            (body["verb"], body["subject"]) = (verb.into(), subject.into());
            admin(&node, "explain", body).await.1
        };
        let allowed = ask("subscribe", "shop.*").await;
        assert!(allowed["allowed"] == true && allowed["rules"][0]["role"] == "customer", "{allowed}");
        let refused = ask("subscribe", "secret").await;
        assert!(refused["allowed"] == false && refused["code"] == "forbidden", "{refused}");
    }
    let unknown = json!({"connection": "00000000000000aa", "verb": "publish", "subject": "a"});
    assert_eq!(admin(&node, "explain", unknown).await.0, 404);
    let bad = json!({"token": "a.b.c", "verb": "publish", "subject": "a"});
    assert_eq!(admin(&node, "explain", bad).await.0, 401);
}

#[tokio::test]
async fn a_connection_whose_client_is_silent_tells_its_subscriptions() {
    let node = TestNode::with(shop).await;
    let mut client = Ws::open(node.address).await;
    client.send(json!({"connect": {"token": issued("u42", "t1", 0)}})).await;
    let name = client.expect("welcome").await["welcome"]["connection"].take();
    let ask = async |subject: &str| {
        let body = json!({"connection": name, "verb": "subscribe", "subject": subject});
        admin(&node, "explain", body).await.1["subscriptions"].take()
    };
    assert_eq!(ask("shop.a").await, json!([]));
    for pattern in ["shop.*", "shop.a", "shop.b"] {
        client.subscribe(pattern).await;
    }
    for _ in 0..3 {
        assert_eq!(ask("shop.a").await, json!(["shop.*", "shop.a"]));
    }
    assert_eq!(ask("shop.c").await, json!(["shop.*"]));
    assert_eq!(ask("other").await, json!([]));
}

#[tokio::test]
async fn the_command_line_asks_the_same() {
    let node = TestNode::with(shop).await;
    let mut client = Ws::with_token(node.address, &issued("u 42", "t1", -10)).await;
    let run = async |args: &[&str]| {
        let internal = node.internal.to_string();
        let output = Command::new(env!("CARGO_BIN_EXE_notifier"))
            .arg("admin")
            .args(args)
            .args(["--internal", &internal])
            .output()
            .await
            .expect("the binary runs");
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).expect("text"))
    };
    let (fine, told) = run(&["connections", "--user", "u 42"]).await;
    assert!(fine && told.contains("\"tokenId\":\"t1\""), "{told}");
    let (fine, told) = run(&["reevaluate", "--user", "u 42"]).await;
    assert!(fine && told.contains("\"asked\":1"), "{told}");
    client.expect("tokenExpiring").await;
    let (fine, told) = run(&["disconnect", "--user", "u 42", "--revoke", "--reason", "a test"]).await;
    assert!(fine && told.contains("\"closed\":1"), "{told}");
    assert_eq!(client.closed().await.0, 4502);
    let (fine, told) = run(&["disconnect", "--connection", "x"]).await;
    assert!(!fine && told.contains("16 hexadecimal digits"), "{told}");
    assert!(!run(&["disconnect"]).await.0);
}

/// What waits for a client that is revoked is dropped, and not sent behind it.
#[tokio::test]
async fn what_waits_for_a_revoked_client_never_reaches_it() {
    let nats = NatsServer::start().await;
    let a = node(&nats, "a").await;
    let b = TestNode::nats_with(&nats, |config| {
        settings(config, "b");
        config.limits.outbox_bytes = "64MiB".parse().expect("a size");
        config.limits.send_buffer = "8KiB".parse().expect("a size");
    })
    .await;
    let mut client = Ws::with_token(b.address, &issued("u42", "t1", -10)).await;
    client.subscribe("shop.load").await;
    let service = nats.client().await;
    let padding = "x".repeat(8_000);
    let mut sent = 0;
    while b.metric("notifier_outbox_bytes").await < 1_000_000.0 {
        for _ in 0..50 {
            let event = json!({"n": sent, "padding": padding}).to_string();
            service.publish("shop.load", event.into()).await.expect("published");
            sent += 1;
        }
    }
    admin(&a, "disconnect", json!({"user": "u42", "revoke": true})).await;
    let dropped = b.metric("notifier_drops_total{reason=\"revoked\"}").await;
    let (code, _, got) = client.closed().await;
    eprintln!("of {sent} events {} had been written, {dropped} were dropped", got.len());
    assert!(code == 4502 && dropped >= 100.0 && got.len() as f64 + dropped <= f64::from(sent));
}

/// Clients come and renew their tokens while the user is revoked: whoever is
/// first, none of them stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_slips_in_while_a_user_is_revoked() {
    let nats = NatsServer::start().await;
    let (a, b) = (node(&nats, "a").await, node(&nats, "b").await);
    for round in 0..5 {
        let user = format!("u{round}");
        let token = issued(&user, "t1", -10);
        let comers: Vec<_> = (0..40)
            .map(|_| {
                let (token, address) = (token.clone(), b.address);
                tokio::spawn(async move {
                    let mut client = Ws::open(address).await;
                    client.send(json!({"connect": {"token": token}})).await;
                    client.send(json!({"id": 7, "refresh": {"token": token}})).await;
                    client.send(json!({"id": 8, "refresh": {"token": token}})).await;
                    client.closed().await.0
                })
            })
            .collect();
        tokio::task::yield_now().await;
        admin(&a, "disconnect", json!({"user": user, "revoke": true})).await;
        for comer in comers {
            let code = comer.await.expect("it ends");
            assert!(code == 4501 || code == 4502, "{code}");
        }
        eventually("nobody", || async {
            a.internal_json(&format!("/admin/connections?user={user}")).await["connections"] == 0
        })
        .await;
    }
}

/// Asks an internal listener for something.
async fn admin_at(internal: SocketAddr, verb: &str, body: Value) -> (u16, Value) {
    let request = Request::post(format!("/admin/{verb}")).header("content-type", "application/json");
    let answer = ask(internal, request.body(body.to_string().into()).expect("a request")).await;
    (answer.status().as_u16(), serde_json::from_slice(answer.body()).expect("JSON"))
}

/// What clients can reach of what nodes say to each other: nothing, whatever is
/// granted.
#[tokio::test]
async fn clients_reach_nothing_of_what_nodes_say() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats(&nats).await;
    let (mut client, name) = named(&node).await;
    client.subscribe(">").await;
    let order = json!({"from": "x", "order": {"disconnect": {"connection": name}}});
    for subject in ["_ntf.control", "_ntf.>", "_ntf.control.1"] {
        client.send(json!({"id": 1, "subscribe": {"subject": subject}})).await;
        assert_eq!(client.expect("error").await["error"]["code"], "forbidden");
    }
    client.send(json!({"id": 1, "publish": {"subject": "_ntf.control", "event": {"data": order}}})).await;
    assert_eq!(client.expect("error").await["error"]["code"], "forbidden");
    let answer = node.post("/v1/publish/_ntf.control", &[], order.to_string().into()).await;
    assert_eq!(answer.status(), 403);
    // All nodes hear this, and no client does.
    admin(&node, "disconnect", json!({"user": "nobody"})).await;
    node.publish("end", "1").await;
    assert_eq!(client.event().await.0, "end");
}

#[tokio::test]
async fn a_node_that_may_not_hear_the_others_lets_no_token_in() {
    let nats = NatsServer::with(
        "authorization { users: [{ user: n, password: p, permissions: { publish: \">\", subscribe: { deny: \"_ntf.>\" } } }] }",
    )
    .await;
    let mut config = super::world::node::config();
    settings(&mut config, "deaf");
    config.broker.kind = BrokerKind::Nats;
    config.broker.nats.urls = vec![nats.url().into()];
    config.broker.nats.user = Some("n".into());
    config.broker.nats.password = Some("p".to_owned().into());
    let node = TestNode::start(config).await;
    node.until_metric("notifier_broker_connected", |connected| connected == 1.0).await;
    node.until_metric("notifier_control_messages_total{what=\"sent\"}", |count| count >= 1.0).await;
    let bearer = format!("Bearer {}", issued("u42", "t1", -10));
    let answer = node.post("/v1/publish/shop.a", &[("authorization", &bearer)], "1".into()).await;
    assert_eq!(answer.status(), 503, "{answer:?}");
}
