//! Slow readers of stored subjects: they lag, lose nothing, and hurt nobody.

use serde_json::json;

use super::{super::world::eventually, Kind, Shop, numbers, on_every_broker};

on_every_broker!(
    a_slow_reader_lags_and_gets_everything_once,
    a_slow_reader_of_latest_values_gets_the_newest,
    who_reads_nothing_at_all_is_closed,
    live_events_are_dropped_and_told_where_that_is_wanted,
);

#[tokio::test]
async fn a_slow_reader_of_a_stream_that_begins_anew_is_told_where_it_stands() {
    let seldom = |config: &mut notifier::config::Config| {
        narrow(config);
        config.server.heartbeat = "1h".parse().expect("a time");
    };
    let shop = Shop::with(Kind::Nats, seldom).await;
    let (mut slow, _, subscribed) = shop.resume("cart.*", &json!([])).await;
    for number in 0..600 {
        shop.store("cart.u1", &[], &padded(number)).await;
    }
    assert_eq!(shop.node.metric("notifier_lagging").await, 1.0);
    shop.delete_stream().await;
    let frame = loop {
        let frame = slow.next().await;
        if frame.get("event").is_none() {
            break frame;
        }
    };
    assert_eq!(frame["gap"]["reason"], "reset");
    // Not with the next heartbeat: what it had is void.
    let position = slow.ping().await["positions"][0].take();
    assert_eq!((&position["stream"], position.get("seq")), (&json!("SHOP"), None));
    assert_ne!(position["epoch"], subscribed["positions"][0]["epoch"]);
}

/// Every event that a connection was to get was delivered, or its end is known.
async fn balanced(shop: &Shop) {
    let series = |name: &'static str| shop.node.metric(name);
    let reason =
        async |reason: &str| shop.node.metric(&format!("notifier_undelivered_total{{reason=\"{reason}\"}}")).await;
    eventually("a balance", || async {
        let mut known = series("notifier_deliveries_total").await + series("notifier_pending").await;
        for why in ["closed", "overflow", "expired", "conflated", "given_up"] {
            known += reason(why).await;
        }
        series("notifier_owed_total").await == known
    })
    .await;
}

/// So large that few of them fill a socket.
fn padded(number: u64) -> String {
    format!("{{\"number\":{number},\"padding\":\"{}\"}}", "x".repeat(16_000))
}

fn narrow(config: &mut notifier::config::Config) {
    config.limits.outbox_bytes = "64KiB".parse().expect("a size");
    config.limits.send_buffer = "8KiB".parse().expect("a size");
    config.streams[0].window.bytes = "256KiB".parse().expect("a size");
}

async fn a_slow_reader_lags_and_gets_everything_once(kind: Kind) {
    let shop = Shop::with(kind, narrow).await;
    let (mut slow, _, _) = shop.resume("cart.*", &json!([])).await;
    // Another one with two patterns, of which one brings what the other does.
    let (mut both, _, _) = shop.resume("cart.u1", &json!([])).await;
    both.resume(">", json!({})).await;
    for number in 0..600 {
        shop.store("cart.u1", &[], &padded(number)).await;
    }
    assert!(shop.node.metric("notifier_lagging").await >= 1.0);
    for client in [&mut slow, &mut both] {
        for number in 0..600 {
            assert_eq!(client.stored().await["data"]["number"], number);
        }
    }
    shop.node.until_metric("notifier_lagging", |lagging| lagging == 0.0).await;
    shop.publish("cart.u1", [1]).await;
    assert_eq!(slow.stored().await["data"], 1);
    assert_eq!(both.stored().await["data"], 1);
    shop.has_no_consumers().await;
    assert_eq!(shop.node.metric("notifier_deliveries_total").await, 2.0 * 601.0);
    assert_eq!(shop.node.metric("notifier_pending").await, 0.0);
    balanced(&shop).await;
}

async fn a_slow_reader_of_latest_values_gets_the_newest(kind: Kind) {
    let shop = Shop::with(kind, narrow).await;
    let (mut slow, _, _) = shop.resume("price.*", &json!([])).await;
    for number in 0..600 {
        shop.store(&format!("price.p{}", number % 3), &[], &padded(number)).await;
    }
    let mut received = Vec::new();
    let mut newest = [0; 3];
    while newest != [597, 598, 599] {
        let number = slow.stored().await["data"]["number"].as_u64().expect("a number");
        assert!(number >= newest[number as usize % 3], "never back to an older value");
        newest[number as usize % 3] = number;
        received.push(number);
    }
    assert!(received.len() < 590, "{} of 600", received.len());
    shop.node.until_metric("notifier_lagging", |lagging| lagging == 0.0).await;
    shop.publish("price.p0", [1]).await;
    assert_eq!(slow.stored().await["data"], 1);
    let conflated = shop.node.metric("notifier_undelivered_total{reason=\"conflated\"}").await;
    // What was superseded before it was handed out was owed to nobody.
    assert!(conflated > 0.0 && conflated <= (600 - received.len()) as f64, "{conflated}");
    balanced(&shop).await;
}

async fn who_reads_nothing_at_all_is_closed(kind: Kind) {
    let short = |config: &mut notifier::config::Config| {
        narrow(config);
        config.limits.stall_time = "2s".parse().expect("a time");
    };
    let shop = Shop::with(kind, short).await;
    let (stalled, _, _) = shop.resume("cart.*", &json!([])).await;
    let (mut reader, _, _) = shop.resume("cart.*", &json!([])).await;
    let reading = async {
        let mut events = Vec::new();
        for _ in 0..600 {
            let mut event = reader.stored().await;
            event["data"] = event["data"]["number"].take();
            events.push(event);
        }
        assert_eq!(numbers(&events), (0..600).collect::<Vec<_>>());
    };
    let publishing = async {
        for number in 0..600 {
            shop.store("cart.u1", &[], &padded(number)).await;
        }
    };
    tokio::join!(reading, publishing);
    let closed = "notifier_connections_closed_total{reason=\"slow_consumer\"}";
    shop.node.until_metric(closed, |closed| closed == 1.0).await;
    balanced(&shop).await;
    drop(stalled);
}

async fn live_events_are_dropped_and_told_where_that_is_wanted(kind: Kind) {
    let dropping = |config: &mut notifier::config::Config| {
        narrow(config);
        config.limits.live_overflow = notifier::config::Overflow::Drop;
    };
    let shop = Shop::with(kind, dropping).await;
    let mut slow = shop.node.client().await;
    slow.subscribe("chat.*").await;
    for number in 0..600 {
        shop.store("chat.a", &[], &padded(number)).await;
    }
    shop.node.until_metric("notifier_undelivered_total{reason=\"overflow\"}", |dropped| dropped > 0.0).await;
    let dropped = async || shop.node.metric("notifier_undelivered_total{reason=\"overflow\"}").await;
    let (mut received, mut gaps, mut last) = (0_u32, 0, 0);
    while gaps == 0 || f64::from(received) + dropped().await < 600.0 {
        let frame = slow.next().await;
        if frame.get("gap").is_some() {
            assert_eq!(frame, json!({"replyTo": 1, "gap": {"subject": "chat.*", "reason": "overflow"}}));
            gaps += 1;
        } else {
            let number = frame["event"]["data"]["number"].as_u64().expect("a number");
            assert!(received == 0 || number > last, "in order");
            assert!(gaps > 0 || number == u64::from(received), "nothing is missing before it is told");
            (received, last) = (received + 1, number);
        }
    }
    shop.publish("chat.a", [1]).await;
    let mut frame = slow.next().await;
    while frame.get("gap").is_some() {
        frame = slow.next().await;
    }
    assert_eq!(frame["event"]["data"], 1);
    assert_eq!(dropped().await, 600.0 - f64::from(received));
    balanced(&shop).await;
}
