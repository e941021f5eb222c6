//! Answers over HTTP that nobody reads.

use std::net::Ipv4Addr;

use futures_util::future::join_all;
use notifier::config::{Config, Size};
use serde_json::Value;

use super::{Witness, errors};
use crate::{
    handshake::raw::{Raw, head},
    world::{Kind, Shop, TestNode, eventually, shop::STREAMS, tokens},
};

/// How many ask and do not read.
const DEAF: usize = 64;

/// Bytes of answers that clients have not taken.
const HELD: &str = "notifier_http_answer_bytes";

/// A question to which the answer has some 60 KB, and who asks.
fn question(token: Option<&str>) -> Vec<u8> {
    let bearer = token.map(|token| format!("Authorization: Bearer {token}"));
    let lines = ["GET /v1/fetch?subject=cart.%3E&limit=2 HTTP/1.1", "Host: a"];
    head(&lines.into_iter().chain(bearer.as_deref()).collect::<Vec<_>>())
}

/// Enough for one answer.
async fn fill(node: &TestNode, token: Option<&str>) {
    let data = format!("{:?}", "x".repeat(30_000));
    for _ in 0..2 {
        match token {
            None => node.publish("cart.u1", data.clone()).await,
            Some(token) => node.publish_as(token, "cart.u1", data.clone()).await,
        }
    }
}

fn code(body: &str) -> String {
    let body: Value = serde_json::from_str(body).expect("JSON");
    body["error"]["code"].as_str().expect("a code").to_owned()
}

async fn shop(change: impl FnOnce(&mut Config)) -> (Shop, String, String) {
    let shop = Shop::with(Kind::Memory, |config| {
        tokens::with_secret(config);
        // What the kernel takes for a client is not held by the node.
        config.limits.send_buffer = Size::kib(4);
        config.limits.event_bytes = Size::kib(64);
        config.limits.batch_bytes = Size::kib(64);
        config.limits.http_answer_bytes = Size::kib(8 * 1024);
        change(config);
    })
    .await;
    let [hostile, other] = ["u1", "u2"].map(|user| tokens::token_of(user, &[]));
    fill(&shop.node, Some(&other)).await;
    (shop, hostile, other)
}

#[tokio::test]
async fn unread_answers_of_one_user_are_bounded_and_harm_nobody_else() {
    let (shop, hostile, other) = shop(|_| {}).await;
    let node = &shop.node;
    let mut deaf = join_all((0..DEAF).map(async |_| {
        let mut raw = Raw::open_narrow(node.address).await;
        raw.send(&question(Some(&hostile))).await.expect("the node reads");
        raw
    }))
    .await;
    // An eighth of 8 MiB is some ten of them, and what is set aside for one more.
    node.until_metric(&errors("answer_limit"), |count| count >= (DEAF - 18) as f64).await;
    let held = node.metric(HELD).await;
    assert!((1e5..=f64::from(1 << 20)).contains(&held), "{held} bytes are held");
    // Whoever else comes from there is answered.
    let mut raw = Raw::open(node.address).await;
    raw.send(&question(Some(&other))).await.expect("the node reads");
    assert_eq!(raw.answer().await.status, 200);
    // Who reads at last, and who goes away, give back what they held.
    let reads = deaf.split_off(DEAF / 2);
    drop(deaf);
    let mut statuses = Vec::new();
    for mut raw in reads {
        let answer = raw.answer().await;
        if answer.status != 200 {
            let told = (answer.status, answer.header("retry-after"), code(&answer.body));
            assert_eq!(told, (429, Some("1"), "answer_limit".into()));
        }
        statuses.push(answer.status);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    node.until_metric(HELD, |held| held == 0.0).await;
    raw.send(&question(Some(&hostile))).await.expect("the node reads");
    assert_eq!(raw.answer().await.status, 200);
}

#[tokio::test]
async fn unread_answers_of_a_crowd_are_bounded_for_the_whole_node() {
    let node = TestNode::alone(&format!(
        "{STREAMS}\n[limits]\nhttp_answer_bytes = \"2MiB\"\nevent_bytes = \"64KiB\"\nbatch_bytes = \"64KiB\"\nsend_buffer = \"4KiB\"\n"
    ))
    .await;
    fill(&node, None).await;
    let mut witness = Witness::of(&node).await;
    let attack = async {
        let deaf = join_all((0..DEAF).map(async |number| {
            let mut raw = Raw::open_narrow_from(Ipv4Addr::new(127, 0, 1, number as u8 + 1), node.address).await;
            raw.send(&question(None)).await.expect("the node reads");
            raw
        }))
        .await;
        // Each has an answer in the making, or waiting for it to be read, or was refused.
        node.until_metric(&errors("overloaded"), |count| count >= (DEAF - 34) as f64).await;
        let held = node.metric(HELD).await;
        assert!((5e5..=f64::from(2 << 20)).contains(&held), "{held} bytes are held");
        // Short answers find room in any case.
        node.publish("cart.u1", "1").await;
        drop(deaf);
    };
    witness.sees("answers", attack).await;
    node.until_metric(HELD, |held| held == 0.0).await;
}

#[tokio::test]
async fn requests_count_as_connections_of_their_user_until_they_are_answered() {
    let (shop, hostile, other) = shop(|config| config.limits.user_connections = 2).await;
    let node = &shop.node;
    let mut deaf = Vec::new();
    for _ in 0..2 {
        let mut raw = Raw::open_narrow(node.address).await;
        raw.send(&question(Some(&hostile))).await.expect("the node reads");
        deaf.push(raw);
    }
    node.until_metric(HELD, |held| held > 1.1e5).await;
    // By one connection, as those of a proxy carry many users.
    let mut raw = Raw::open(node.address).await;
    for (token, status) in [(&other, 200), (&hostile, 429), (&other, 200), (&hostile, 429)] {
        raw.send(&question(Some(token))).await.expect("the node reads");
        let answer = raw.answer().await;
        assert_eq!(answer.status, status, "{}", &answer.body[..answer.body.len().min(200)]);
        assert!(status == 200 || code(&answer.body) == "user_full");
    }
    drop(deaf);
    eventually("room", || async {
        let answer = node.post("/v1/publish/a", &[("authorization", &format!("Bearer {hostile}"))], "1".into()).await;
        answer.status() == 200
    })
    .await;
}
