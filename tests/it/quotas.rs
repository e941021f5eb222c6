//! What one user may do on a node, over all connections and both ways.

use std::time::Instant;

use notifier::config::{Config, Size};
use serde_json::{Value, json};

use super::world::{Kind, Shop, TestNode, Ws, tokens};

/// A shop whose clients have tokens.
async fn shop(change: impl FnOnce(&mut Config)) -> Shop {
    Shop::with(Kind::Memory, |config| {
        tokens::with_secret(config);
        change(config);
    })
    .await
}

/// Publishes over HTTP: the status, the code of a refusal, and when to come again.
async fn post(node: &TestNode, token: &str, path: &str, data: String) -> (u16, Value, Option<String>) {
    let bearer = format!("Bearer {token}");
    let answer = node.post(path, &[("authorization", &bearer)], data.into()).await;
    let after = answer.headers().get("retry-after").map(|value| value.to_str().expect("text").to_owned());
    let body: Value = serde_json::from_slice(answer.body()).expect("JSON");
    (answer.status().as_u16(), body["error"]["code"].clone(), after)
}

/// What is answered to a frame of a connection that stays.
async fn told(client: &mut Ws, frame: Value) -> Value {
    client.send(frame).await;
    let answer = client.next().await;
    assert_eq!(answer["replyTo"], 7, "{answer}");
    answer
}

/// The first refusal: a little comes back all the time.
async fn until_refused(client: &mut Ws, frame: &Value) -> Value {
    loop {
        let mut answer = told(client, frame.clone()).await;
        if answer.get("error").is_some() {
            return answer["error"].take();
        }
    }
}

fn publish(subject: &str, data: &str) -> Value {
    json!({"id": 7, "publish": {"subject": subject, "event": {"data": data}}})
}

#[tokio::test]
async fn events_of_a_user_are_counted_over_all_connections_and_both_ways() {
    let shop = shop(|config| {
        (config.limits.user_publishes_per_second, config.limits.user_publishes_burst) = (1, 100);
    })
    .await;
    let node = &shop.node;
    let [token, other] = ["u1", "u2"].map(|user| tokens::token_of(user, &[]));
    let mut pages = [Ws::with_token(node.address, &token).await, Ws::with_token(node.address, &token).await];
    let start = Instant::now();
    let (mut passed, mut refused) = (0, 0);
    for number in 0..70 {
        let page = &mut pages[number % 2];
        // Live and stored alike.
        let answer = told(page, publish(if number % 3 == 0 { "chat.a" } else { "cart.u1" }, "x")).await;
        passed += usize::from(answer.get("published").is_some());
        let (status, ..) = post(node, &token, "/v1/publish/cart.u1", "x".into()).await;
        passed += usize::from(status == 200);
        refused += usize::from(status == 429);
    }
    // One a second comes back meanwhile.
    let most = 102 + start.elapsed().as_secs() as usize;
    assert!((100..=most).contains(&passed) && refused > 0, "{passed} passed, {refused} were refused");
    let error = until_refused(&mut pages[0], &publish("cart.u1", "x")).await;
    assert_eq!(
        (&error["code"], &error["retryable"], &error["subject"]),
        (&json!("rate_limited"), &json!(true), &json!("cart.u1"))
    );
    assert!(error["message"].as_str().expect("a message").contains("limits.user_publishes_per_second"), "{error}");
    assert!((1..=1_000).contains(&error["retryAfterMs"].as_u64().expect("a time")), "{error}");
    // Questions to services are sent as events are.
    let (status, after) = loop {
        match post(node, &token, "/v1/request/ask.a", "x".into()).await {
            (status, code, after) if code == "rate_limited" => break (status, after),
            (_, code, _) => assert_eq!(code, "no_responders"),
        }
    };
    assert_eq!((status, after.as_deref()), (429, Some("1")));
    let asks = json!({"id": 7, "request": {"subject": "ask.a"}});
    while until_refused(&mut pages[1], &asks).await["code"] != "rate_limited" {}
    // What is refused for another reason is told that, and everybody else goes on.
    assert_eq!(post(node, &token, "/v1/publish/a..b", "x".into()).await.1, "bad_subject");
    assert_eq!(post(node, &other, "/v1/publish/cart.u2", "x".into()).await.0, 200);
    assert!(node.metric("notifier_errors_total{code=\"rate_limited\"}").await >= f64::from(refused as u32));
}

#[tokio::test]
async fn bytes_of_a_user_are_counted_whatever_they_are() {
    let shop = shop(|config| {
        config.limits.user_publish_bytes_per_second = Size::from(100);
        config.limits.user_publish_bytes_burst = Size::kib(100);
    })
    .await;
    let node = &shop.node;
    let [token, other] = ["u1", "u2"].map(|user| tokens::token_of(user, &[]));
    let mut page = Ws::with_token(node.address, &token).await;
    assert_eq!(post(node, &token, "/v1/publish/cart.u1", "x".repeat(60_000)).await.0, 200);
    let (status, code, after) = post(node, &token, "/v1/publish/cart.u1", "x".repeat(60_000)).await;
    assert_eq!((status, code), (429, json!("rate_limited")));
    // Some 18,000 are too many, at a hundred a second.
    let after: u64 = after.and_then(|after| after.parse().ok()).expect("a time");
    assert!((100..=200).contains(&after), "{after}");
    assert!(told(&mut page, publish("chat.a", &"x".repeat(30_000))).await.get("published").is_some());
    let headers: Value = (0..60).map(|number| (format!("x-{number}"), json!("y".repeat(100)))).collect();
    let mut large = json!({"id": 7, "publish": {"subject": "chat.a", "event": {"headers": headers}}});
    assert!(told(&mut page, large.clone()).await.get("published").is_some());
    let error = told(&mut page, large.take()).await["error"].take();
    assert!(error["message"].as_str().expect("a message").contains("limits.user_publish_bytes_per_second"), "{error}");
    assert_eq!(post(node, &other, "/v1/publish/cart.u2", "x".repeat(60_000)).await.0, 200);
}

#[tokio::test]
async fn who_has_read_much_is_refused_questions_and_resumes_later() {
    let shop = shop(|config| {
        (config.limits.user_reads_per_second, config.limits.user_reads_burst) = (50, 200);
    })
    .await;
    let node = &shop.node;
    for number in 1..=50 {
        shop.inject("cart.u1", number.to_string()).await;
    }
    shop.node.until_metric("notifier_stream_lag", |lag| lag == 0.0).await;
    let [token, other] = ["u1", "u2"].map(|user| tokens::token_of(user, &[]));
    let fetch = json!({"id": 7, "fetch": {"subject": "cart.u1"}});
    let mut page = Ws::with_token(node.address, &token).await;
    let first = told(&mut page, fetch.clone()).await["fetched"].take();
    assert_eq!(first["events"].as_array().map(Vec::len), Some(50));
    let error = until_refused(&mut page, &fetch).await;
    assert_eq!((&error["code"], &error["retryable"]), (&json!("rate_limited"), &json!(true)));
    assert!(error["message"].as_str().expect("a message").contains("limits.user_reads_per_second"), "{error}");
    assert!(error["retryAfterMs"].as_u64() > Some(0), "{error}");
    // All of these at once come to more than there is for seconds. None is refused.
    let mut start = first["positions"].clone();
    start[0]["seq"] = 0.into();
    let subjects: Vec<String> =
        (0..5).map(|number| format!("cart.{}", ["u1", "*", ">", "u1.>", "*.*"][number])).collect();
    for subject in &subjects {
        page.send(json!({"subscribe": {"subject": subject, "after": start}})).await;
    }
    let (mut live, mut replayed) = (0, 0);
    while live < subjects.len() {
        let frame = page.next().await;
        assert!(frame.get("error").is_none(), "{frame}");
        live += usize::from(frame.get("subscribed").is_some());
        replayed += frame["replay"]["events"].as_array().map_or(0, Vec::len);
    }
    assert_eq!(replayed, 150);
    // Another user notices nothing, over HTTP either.
    let get = |token: &str| {
        let request =
            hyper::Request::get("/v1/fetch?subject=cart.u1").header("authorization", format!("Bearer {token}"));
        super::world::node::ask(node.address, request.body(Default::default()).expect("a request"))
    };
    assert_eq!(get(&other).await.status(), 200);
    let refused = loop {
        let answer = get(&token).await;
        if answer.status() != 200 {
            break answer;
        }
    };
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key("retry-after")), (429, true));
}

#[tokio::test]
async fn a_page_that_mounts_and_one_that_reconnects_stay_within_the_defaults() {
    let shop = shop(|_| {}).await;
    let node = &shop.node;
    for number in 0..200 {
        shop.inject(&format!("cart.u{number}"), "1".into()).await;
    }
    shop.node.until_metric("notifier_stream_lag", |lag| lag == 0.0).await;
    let token = tokens::token_of("u1", &[]);
    let mut page = Ws::with_token(node.address, &token).await;
    let mut positions = Value::Null;
    for number in 0..200 {
        let answer = told(&mut page, json!({"id": 7, "fetch": {"subject": format!("cart.u{number}")}})).await;
        assert_eq!(answer["fetched"]["events"].as_array().map(Vec::len), Some(1), "{answer}");
        positions = answer["fetched"]["positions"].clone();
    }
    positions[0]["seq"] = 0.into();
    let mut again = Ws::open(node.address).await;
    let subscriptions: Vec<Value> =
        (0..512).map(|number| json!({"subject": format!("cart.u{number}"), "after": positions})).collect();
    again.send(json!({"id": 1, "connect": {"token": token, "subscriptions": subscriptions}})).await;
    let (mut live, mut replayed) = (0, 0);
    while live < 512 {
        let frame = again.next().await;
        assert!(frame.get("error").is_none(), "{frame}");
        live += usize::from(frame.get("subscribed").is_some());
        replayed += frame["replay"]["events"].as_array().map_or(0, Vec::len);
    }
    assert_eq!(replayed, 200);
    assert_eq!(node.metric("notifier_errors_total{code=\"rate_limited\"}").await, 0.0);
}
