//! Too little of what was begun: each stage of a connection has a deadline.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::sleep;

use super::{Witness, accepts_failed, errors};
use crate::{
    frames::{
        CONNECT_TIMEOUT, FIN, JSON, MESSAGE_TIMEOUT, TEXT, close_payload, connected, frame, payload, series, text,
    },
    handshake::raw::{Raw, UPGRADE, head},
    world::{TestNode, eventually, soon},
};

/// How many do the same at the same time.
const ATTACKERS: usize = 100;

/// Short deadlines at each stage.
const SHORT: &str =
    "[limits]\nhandshake_time = \"1s\"\nconnect_time = \"1s\"\nmessage_time = \"2s\"\nanswer_time = \"2s\"\n";

/// Sends a byte now and then until the node ends the connection, or all are sent.
async fn drip(raw: &mut Raw, bytes: &[u8]) {
    for byte in bytes {
        if raw.send(&[*byte]).await.is_err() {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn until_only_the_witness_is_there(node: &TestNode) {
    eventually("the end of all others", || async { node.internal_json("/debug/state").await["connections"] == 1 })
        .await;
}

#[tokio::test]
async fn a_crowd_that_drips_is_cut_off_at_each_stage_and_harms_nobody_else() {
    let node = TestNode::alone(SHORT).await;
    let mut witness = Witness::of(&node).await;

    let heads = join_all((0..ATTACKERS).map(async |_| {
        let mut raw = Raw::open(node.address).await;
        drip(&mut raw, &head(&UPGRADE)).await;
        assert_eq!(raw.try_answer().await.map(|answer| answer.status), None);
    }));
    witness.sees("a head", heads).await;
    node.until_metric(&accepts_failed("handshake_time"), |count| count == ATTACKERS as f64).await;

    let connects = join_all((0..ATTACKERS).map(async |_| {
        let mut raw = Raw::upgraded(node.address, JSON).await;
        let _ = drip(&mut raw, &text(&json!({"connect": {"client": {"name": "x".repeat(100)}}}))[..30]).await;
        assert_eq!(close_payload(&mut raw).await, payload(CONNECT_TIMEOUT));
    }));
    witness.sees("a connect", connects).await;
    node.until_metric(&series(CONNECT_TIMEOUT), |count| count == ATTACKERS as f64).await;

    let messages = join_all((0..ATTACKERS).map(async |_| {
        let mut raw = connected(&node, JSON).await;
        drip(&mut raw, &frame(FIN | TEXT, &[b' '; 200])[..40]).await;
        assert_eq!(close_payload(&mut raw).await, payload(MESSAGE_TIMEOUT));
    }));
    witness.sees("a message", messages).await;
    node.until_metric(&series(MESSAGE_TIMEOUT), |count| count == ATTACKERS as f64).await;

    let bodies = join_all((0..ATTACKERS).map(async |_| {
        let mut raw = Raw::open(node.address).await;
        let lines = ["POST /v1/publish/a HTTP/1.1", "Host: a", "Content-Length: 1000000"];
        raw.send(&head(&lines)).await.expect("the node reads");
        drip(&mut raw, &[b' '; 25]).await;
        assert_eq!(raw.answer().await.status, 504);
    }));
    witness.sees("a body", bodies).await;
    node.until_metric(&errors("timeout"), |count| count == ATTACKERS as f64).await;
    until_only_the_witness_is_there(&node).await;
}

#[tokio::test]
async fn who_asks_and_does_not_read_the_answers_is_cut_off() {
    let node = TestNode::alone(SHORT).await;
    let mut witness = Witness::of(&node).await;
    let request = head(&["GET /nowhere HTTP/1.1", "Host: a"]);
    let attack = async {
        let mut deaf = Vec::new();
        for _ in 0..20 {
            let mut raw = Raw::open_narrow(node.address).await;
            raw.send(&request).await.expect("the node reads");
            deaf.push(raw);
        }
        // More and more, as far as the kernels take it.
        let given_up = async {
            while node.metric("notifier_answers_given_up_total").await < 20.0 {
                for raw in &mut deaf {
                    raw.try_send(&request.repeat(1_000));
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        soon("the end of those who do not read", given_up).await;
    };
    witness.sees("deaf", attack).await;
    until_only_the_witness_is_there(&node).await;
}

/// Values that nobody would keep but for those who do not take them.
const PRICES: &str = r#"
    [limits]
    stall_time = "10m"
    [[streams]]
    name = "PRICES"
    subjects = ["price.*"]
    max_messages_per_subject = 1
    [[subjects]]
    pattern = "price.*"
    delivery = "latest"
    stream = "PRICES"
"#;

#[tokio::test]
async fn a_crowd_that_does_not_take_its_values_keeps_none_of_those_that_are_superseded() {
    let node = TestNode::alone(PRICES).await;
    let mut witness = Witness::of(&node).await;
    let publish = async |round: usize| {
        for number in 0..20 {
            let body = format!("\"{round}{}\"", "x".repeat(1_000_000));
            assert_eq!(node.post(&format!("/v1/publish/price.{number}"), &[], body.into()).await.status(), 200);
        }
    };
    publish(0).await;
    publish(1).await;
    let before = node.most_memory();
    let attack = async {
        let mut crowd = Vec::new();
        for round in 2..10 {
            let mut raw = Raw::open_narrow(node.address).await.upgrade(JSON).await;
            let connect = json!({"connect": {"subscriptions": [{"subject": "price.*"}]}});
            raw.send(&text(&connect)).await.expect("the node reads");
            crowd.push(raw);
            node.until_metric("notifier_outboxes_waiting", |count| count == crowd.len() as f64).await;
            publish(round).await;
        }
        crowd
    };
    let crowd = witness.sees("values that nobody takes", attack).await;
    let grown = node.most_memory().saturating_sub(before);
    // 20 MB for each of them before.
    assert!(grown < 60_000_000, "{grown} bytes more for {} readers", crowd.len());
}
