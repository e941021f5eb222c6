//! What clients begin to send and do not end.

use super::{KIB, Row, crowd, patient};
use crate::{
    frames::{FIN, JSON, TEXT, connected, frame},
    handshake::raw::{Raw, head},
};

#[tokio::test]
async fn messages_that_do_not_end() {
    const COUNT: usize = 384;
    let node = patient("[limits]\nmessage_bytes = \"64KiB\"\n").await;
    let mut crowd = crowd(COUNT, |_| connected(&node, JSON)).await;
    let row = Row::of("arriving messages", &node);
    let before = node.metric("notifier_received_bytes_total").await;
    for (who, raw) in crowd.iter_mut().enumerate() {
        // Some just above a size to which memory is rounded.
        let length = if who % 2 == 0 { 64 * KIB } else { 33 * KIB } as usize;
        let message = frame(FIN | TEXT, &vec![b' '; 64 * KIB as usize]);
        raw.send(&message[..length]).await.expect("the node reads");
    }
    let sent = COUNT as f64 / 2.0 * 97.0 * KIB as f64;
    node.until_metric("notifier_received_bytes_total", |bytes| bytes >= before + sent).await;
    row.is_full(COUNT as u64 * 64 * KIB);
}

#[tokio::test]
async fn requests_that_do_not_end() {
    const COUNT: usize = 64;
    const BODY: usize = 256 * 1024;
    let node = patient(&format!("[limits]\nevent_bytes = \"{BODY}B\"\n")).await;
    let row = Row::of("arriving requests", &node);
    let _crowd = crowd(COUNT, |who| {
        let node = &node;
        async move {
            let mut raw = Raw::open(node.address).await;
            let post = ["POST /v1/publish/a HTTP/1.1", "Host: a"];
            let (length, body) = match who % 32 {
                // The smallest pieces that there are.
                0 => ("Transfer-Encoding: chunked".to_owned(), b"1\r\n1\r\n".repeat(BODY / 16)),
                _ => (format!("Content-Length: {BODY}"), vec![b'1'; BODY - 1]),
            };
            raw.send(&head(&[post[0], post[1], &length])).await.expect("the node reads");
            raw.send(&body).await.expect("the node reads");
            raw
        }
    })
    .await;
    node.until_all_is_read().await;
    // Their buffers grow by doubling: the half of each is there twice for a moment.
    row.is_full(COUNT as u64 * (BODY as u64 * 3 / 2 + 2 * 16 * KIB));
}

#[tokio::test]
async fn heads_that_do_not_end() {
    const COUNT: usize = 600;
    let node = patient("[limits]\nheader_bytes = \"16KiB\"\n").await;
    let row = Row::of("arriving heads", &node);
    let _crowd = crowd(COUNT, |_| {
        let node = &node;
        async move {
            let mut raw = Raw::open(node.address).await;
            let mut bytes = head(&["GET /v1/ws HTTP/1.1", "Host: a", &format!("Cookie: {}", "c".repeat(16_000))]);
            bytes.truncate(16_000);
            raw.send(&bytes).await.expect("the node reads");
            raw
        }
    })
    .await;
    node.until_all_is_read().await;
    // Its buffer grows by doubling.
    row.is_full(COUNT as u64 * 2 * 16 * KIB);
}
