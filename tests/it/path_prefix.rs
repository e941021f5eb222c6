//! A node that serves everything below a path of the site.

use serde_json::{Value, json};
use tokio::process::Command;

use super::{
    browsers::{asked, header},
    frames::text,
    handshake::raw::{Raw, UPGRADE, head},
    world::{TestNode, soon},
};

const PREFIX: &str = "/live/notifier";

async fn node() -> TestNode {
    TestNode::with(|config| {
        config.server.path_prefix = PREFIX.into();
        config.server.live_page = true;
        config.server.public_probes = true;
    })
    .await
}

fn json_of(body: &[u8]) -> Value {
    serde_json::from_slice(body).expect("JSON")
}

#[tokio::test]
async fn everything_is_below_the_prefix_and_nothing_beside_it() {
    let node = node().await;
    node.until_ready().await;
    let rows = [
        ("GET", "/v1/ws", 400),
        ("POST", "/v1/publish/a", 200),
        ("POST", "/v1/fetch", 405),
        ("GET", "/v1/last/a", 404),
        ("GET", "/client/v1/notifier.js", 200),
        ("GET", "/livez", 200),
        ("GET", "/readyz", 200),
        ("GET", "/", 200),
    ];
    for (method, path, status) in rows {
        let below = asked(&node, method, &format!("{PREFIX}{path}"), &[]).await;
        assert_eq!(below.status(), status, "{path}");
        for beside in [path.to_owned(), format!("{PREFIX}x{path}"), format!("/live{path}"), format!("{PREFIX}/{path}")]
        {
            let answer = asked(&node, method, &beside, &[]).await;
            assert_eq!(answer.status(), 404, "{beside}");
            let told = json_of(answer.body());
            assert_eq!(told["error"]["code"], "not_found", "{beside}");
            assert!(
                told["error"]["message"].as_str().is_some_and(|text| text.contains("/live/notifier/v1/ws")),
                "{told}"
            );
        }
    }
    // The page is also found by those who leave the slash out.
    for root in [PREFIX.to_owned(), format!("{PREFIX}/")] {
        assert_eq!(header(&node.get(&root).await, "content-type"), Some("text/html; charset=utf-8"), "{root}");
    }
}

#[tokio::test]
async fn a_client_connects_and_hears_events_below_the_prefix() {
    let node = node().await;
    let line = format!("GET {PREFIX}/v1/ws HTTP/1.1");
    let lines: Vec<&str> = [line.as_str()].into_iter().chain(UPGRADE.into_iter().skip(1)).collect();
    let mut raw = Raw::open(node.address).await;
    raw.send(&head(&lines)).await.expect("the node reads");
    assert_eq!(raw.answer().await.status, 101);
    raw.send(&text(&json!({"connect": {"subscriptions": [{"subject": "a"}]}}))).await.expect("the node reads");
    let mut told = Vec::new();
    while !told.iter().any(|frame: &Value| frame["subscribed"].is_object()) {
        told.extend(raw.frame().await.expect("a frame").lines());
    }
    // The command line takes the prefix as the path of the node.
    for address in [format!("ws://{}{PREFIX}", node.address), format!("ws://{}{PREFIX}/v1/ws", node.address)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_notifier"));
        command.args(["pub", "a", "1", "--node", &address]);
        let output = soon("an end", command.output()).await.expect("it runs");
        assert!(output.status.success(), "{output:?}");
        assert_eq!(raw.frame().await.expect("a frame").lines()[0]["event"]["data"], 1, "{address}");
    }
}

#[tokio::test]
async fn a_wrong_subject_is_told_with_the_path_that_was_meant() {
    let node = node().await;
    let answer = asked(&node, "POST", &format!("{PREFIX}/v1/publish/shop/cart"), &[]).await;
    let told = json_of(answer.body());
    assert_eq!((answer.status().as_u16(), &told["error"]["code"]), (400, &json!("bad_subject")));
    let message = told["error"]["message"].as_str().expect("text");
    assert!(message.contains("\"/live/notifier/v1/publish/shop.cart\""), "{message}");
}
