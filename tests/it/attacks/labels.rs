//! What clients choose freely becomes no label, and no place in memory that stays.

use super::Witness;
use crate::{
    handshake::raw::{Raw, head},
    world::TestNode,
};

/// Different values of each kind.
const VALUES: usize = 10_000;

/// Requests that are sent before their answers are read.
const AHEAD: usize = 100;

async fn series(node: &TestNode) -> usize {
    let text = node.internal("/metrics").await.1;
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count()
}

#[tokio::test]
async fn ten_thousand_addresses_tokens_subjects_and_paths_add_no_series() {
    let limits =
        "[limits]\naddress_connections = 5\naddress_requests_per_second = 1000\naddress_requests_burst = 10000\n";
    let environment = [("NOTIFIER_SERVER__TRUSTED_PROXIES", "127.0.0.1"), ("NOTIFIER_SERVER__ALLOWED_ORIGINS", "*")];
    let node = TestNode::alone_with(&environment, limits).await;
    let mut raw = Raw::open(node.address).await;
    let lines = ["POST /v1/publish/a HTTP/1.1", "Host: a", "X-Forwarded-For: 203.0.113.1", "Content-Length: 1"];
    raw.send(&[head(&lines), b"1".into()].concat()).await.expect("the node reads");
    assert_eq!(raw.answer().await.status, 200);
    let mut witness = Witness::of(&node).await;
    let before = series(&node).await;
    let attack = async {
        for round in 0..VALUES / AHEAD {
            let mut requests = Vec::new();
            for number in round * AHEAD..(round + 1) * AHEAD {
                let [high, low] = (number as u16).to_be_bytes();
                let (method, path) = match number % 4 {
                    0 => ("POST", format!("/v1/publish/subject.{number}")),
                    1 => ("GET", format!("/v1/last/subject.{number}")),
                    2 => ("GET", format!("/v1/fetch?subject=subject.{number}&p{number}=1")),
                    _ => ("GET", format!("/path/{number}")),
                };
                requests.extend(head(&[
                    &format!("{method} {path} HTTP/1.1"),
                    "Host: a",
                    &format!("Origin: https://{number}.example"),
                    &format!("User-Agent: agent/{number}"),
                    &format!("Authorization: Bearer token-{number}"),
                    &format!("X-Forwarded-For: 198.18.{high}.{low}"),
                    &format!("Nats-Msg-Id: id-{number}"),
                    &format!("Content-Length: {}", if method == "POST" { 1 } else { 0 }),
                ]));
                if method == "POST" {
                    requests.push(b'1');
                }
            }
            raw.send(&requests).await.expect("the node reads");
            for _ in 0..AHEAD {
                let status = raw.answer().await.status;
                assert!([200, 400, 404].contains(&status), "{status}");
            }
        }
    };
    witness.sees("labels", attack).await;
    assert_eq!(series(&node).await, before);
}
