//! Too much of something that is allowed.

use futures_util::future::join_all;
use serde_json::json;

use super::{Witness, errors};
use crate::{
    frames::{
        CONTINUATION, End, FIN, JSON, PING, RATE_LIMITED, TEXT, TOO_BIG, close_payload, connected, frame, frames,
    },
    frames::{payload, series, text},
    handshake::raw::{Frame, Raw, UPGRADE, head},
    world::{NatsServer, TestNode, eventually},
};

/// How many do the same at the same time.
const ATTACKERS: usize = 6;

/// What one of the attackers sends.
type Flood = Box<dyn Fn(usize) -> Vec<u8>>;

/// Frames of the protocol in one write.
fn many(count: usize, each: impl Fn(usize) -> serde_json::Value) -> Vec<u8> {
    (0..count).flat_map(|number| text(&each(number))).collect()
}

#[tokio::test]
async fn a_flood_ends_in_its_code_and_harms_nobody_else() {
    // So low that a node on a busy machine reads faster than that.
    let node = TestNode::alone("[limits]\nbytes_per_second = \"64KiB\"\nbytes_burst = \"1MiB\"\n").await;
    let mut witness = Witness::of(&node).await;
    let large = "x".repeat(60_000);
    let rows: Vec<(&str, End, Flood)> = vec![
        ("pings", RATE_LIMITED, Box::new(|_| frame(FIN | PING, &[b'x'; 125]).repeat(5_000))),
        (
            "fragments",
            RATE_LIMITED,
            Box::new(|_| [frame(TEXT, b" "), frame(CONTINUATION, b" ").repeat(50_000)].concat()),
        ),
        (
            "subjects",
            RATE_LIMITED,
            Box::new(|who| many(4_000, |number| json!({"subscribe": {"subject": format!("flood.{who}.{number}")}}))),
        ),
        (
            "wide patterns",
            RATE_LIMITED,
            Box::new(|who| many(3_000, |number| json!({"subscribe": {"subject": format!("*.{who}.*.{number}.>")}}))),
        ),
        (
            "subscribing and unsubscribing",
            RATE_LIMITED,
            Box::new(|who| {
                many(4_000, |number| match number % 2 {
                    0 => json!({"subscribe": {"subject": format!("churn.{who}")}}),
                    _ => json!({"unsubscribe": {"subject": format!("churn.{who}")}}),
                })
            }),
        ),
        ("refusals", RATE_LIMITED, Box::new(|_| many(4_000, |_| json!({"id": 1, "subscribe": {"subject": "a..b"}})))),
        (
            "large messages",
            RATE_LIMITED,
            Box::new(move |_| {
                many(60, |_| json!({"publish": {"subject": "nobody.listens", "event": {"data": large}}}))
            }),
        ),
        (
            "one endless message",
            TOO_BIG,
            Box::new(|_| {
                frame(TEXT, &[b' '; 16 * 1024])
                    .into_iter()
                    .chain(frame(CONTINUATION, &[b' '; 16 * 1024]).repeat(300))
                    .collect()
            }),
        ),
    ];
    for (name, end, bytes) in rows {
        let before = node.metric(&series(end)).await;
        // Made before: who is busy with that sends nothing.
        let floods: Vec<Vec<u8>> = (0..ATTACKERS).map(bytes).collect();
        let attack = async {
            join_all(floods.iter().map(async |flood| {
                let mut raw = connected(&node, JSON).await;
                // The node may close before it has read everything.
                let _ = raw.send(flood).await;
                assert_eq!(close_payload(&mut raw).await, payload(end), "{name}");
            }))
            .await
        };
        witness.sees(name, attack).await;
        node.until_metric(&series(end), |count| count == before + ATTACKERS as f64).await;
        node.until_metric("notifier_subscriptions", |count| count == 1.0).await;
        node.until_metric("notifier_topics", |count| count == 1.0).await;
    }
    assert!(node.metric(&errors("subscription_limit")).await > 0.0);
}

#[tokio::test]
async fn a_header_bomb_is_refused_and_harms_nobody_else() {
    let node = TestNode::alone("").await;
    let mut witness = Witness::of(&node).await;
    let bombs = [
        ("one header of 16 MiB", format!("Cookie: {}", "x".repeat(16 << 20))),
        ("a million headers", vec!["X: y"; 1_000_000].join("\r\n")),
    ];
    for (name, bomb) in bombs {
        let bytes = head(&UPGRADE.into_iter().chain([bomb.as_str()]).collect::<Vec<_>>());
        let before = node.metric(&super::accepts_failed("bad_head")).await;
        let attack = join_all((0..ATTACKERS).map(async |_| {
            let mut raw = Raw::open(node.address).await;
            let _ = raw.send(&bytes).await;
            // Whoever still sends when it is refused may find the connection reset instead.
            let status = raw.try_answer().await.map(|answer| answer.status);
            assert!(matches!(status, Some(431) | None), "{name}: {status:?}");
        }));
        witness.sees(name, attack).await;
        node.until_metric(&super::accepts_failed("bad_head"), |count| count == before + ATTACKERS as f64).await;
    }
}

#[tokio::test]
async fn nats_sees_no_more_subscriptions_than_a_connection_may_have_and_none_that_was_given_up() {
    let nats = NatsServer::with("http: \"127.0.0.1:-1\"\n").await;
    let node = TestNode::nats_with(&nats, |config| config.limits.subscriptions = 50).await;
    let own = nats.subscriptions_of_nodes().await.concat().len();
    let mut flood = node.client().await;
    let subscribe = |number| json!({"subscribe": {"subject": format!("flood.{number}")}}).to_string();
    flood.send_text(&(0..900).map(subscribe).collect::<Vec<_>>().join("\n")).await;
    let (mut live, mut refused) = (0, 0);
    while live + refused < 900 {
        let frame = flood.next().await;
        live += usize::from(frame.get("subscribed").is_some());
        refused += usize::from(frame["error"]["code"] == "subscription_limit");
    }
    assert_eq!((live, refused), (50, 850));
    assert_eq!(nats.subscriptions_of_nodes().await.concat().len(), own + 50);
    let mut churn = node.client().await;
    let turn = |number: usize| match number % 2 {
        0 => json!({"subscribe": {"subject": format!("churn.{}", number / 2)}}).to_string(),
        _ => json!({"unsubscribe": {"subject": format!("churn.{}", number / 2)}}).to_string(),
    };
    churn.send_text(&(0..900).map(turn).collect::<Vec<_>>().join("\n")).await;
    churn.send(json!({"id": 99, "unsubscribe": {"subject": "the.last.one"}})).await;
    // Some were live for a moment, and were told so.
    while churn.next().await["replyTo"] != 99 {}
    eventually("nothing of the churn is left", || async {
        nats.subscriptions_of_nodes().await.concat().len() == own + 50
    })
    .await;
}

#[tokio::test]
async fn bytes_are_counted_whatever_they_are_sent_as() {
    let node = TestNode::with(|config| {
        config.limits.message_bytes = notifier::config::Size::kib(1);
        config.limits.bytes_per_second = notifier::config::Size::kib(1);
        config.limits.bytes_burst = notifier::config::Size::kib(8);
    })
    .await;
    let spaces = [b' '; 900];
    for (name, piece) in [("messages", frame(FIN | TEXT, &spaces)), ("pings", frame(FIN | PING, &[b'x'; 100]))] {
        let mut within = connected(&node, JSON).await;
        within.send(&piece.repeat(5_000 / piece.len())).await.expect("the node reads");
        within.send(&text(&json!({"id": 7, "subscribe": {"subject": "a"}}))).await.expect("the node reads");
        let answered = async |raw: &mut Raw| loop {
            match raw.frame().await {
                Some(Frame { opcode: Frame::PONG, .. }) => {}
                Some(frame) => return frame.lines()[0]["replyTo"] == 7,
                None => return false,
            }
        };
        assert!(answered(&mut within).await, "{name}: within the limit");
        let mut above = connected(&node, JSON).await;
        let _ = above.send(&piece.repeat(12_000 / piece.len())).await;
        let last = frames(&mut above).await.pop().expect("a frame");
        assert_eq!(last, Frame { opcode: Frame::CLOSE, payload: payload(RATE_LIMITED) }, "{name}");
    }
}
