//! What is stored is read without subscribing, over WebSocket and HTTP alike.

use notifier::config::Config;
use serde_json::{Value, json};

use super::{super::world::Ws, Kind, Shop, numbers, on_every_broker};

on_every_broker!(
    pages_of_history_are_everything_once,
    newest_values_come_in_pages_too,
    a_void_position_is_told_on_whichever_page_it_comes,
    what_retention_has_dropped_is_told,
    the_newest_event_of_one_subject_has_a_path_of_its_own,
    a_question_that_is_wrong_is_told_what_is_wrong,
);

/// An answer over HTTP.
async fn get(shop: &Shop, path: &str) -> (u16, Value) {
    let answer = shop.node.get(path).await;
    (answer.status().as_u16(), serde_json::from_slice(answer.body()).expect("JSON"))
}

/// One page over both ways, which have to say the same.
async fn fetch(shop: &Shop, client: &mut Ws, question: &Value) -> Value {
    client.send(json!({ "id": 4, "fetch": question })).await;
    let fetched = client.expect("fetched").await["fetched"].take();
    let mut path =
        format!("/v1/fetch?subject={}", question["subject"].as_str().expect("a subject").replace('>', "%3E"));
    for place in question["after"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let [stream, epoch] = ["stream", "epoch"].map(|name| place[name].as_str().expect("text"));
        path += &format!("&after={stream}/{epoch}/{}", place["seq"].as_u64().unwrap_or(0));
    }
    for name in ["limit", "last"] {
        if !question[name].is_null() {
            path += &format!("&{name}={}", question[name]);
        }
    }
    let (status, mut answer) = get(shop, &path).await;
    assert_eq!((status, answer["fetched"].take()), (200, fetched.clone()), "{path}");
    fetched
}

/// All pages from a place on: events, gaps, and how many pages there were.
async fn all(shop: &Shop, mut question: Value) -> (Vec<Value>, Vec<Value>, usize) {
    let mut client = shop.node.client().await;
    let (mut events, mut gaps) = (Vec::new(), Vec::new());
    for page in 1..100 {
        let mut fetched = fetch(shop, &mut client, &question).await;
        let limit = question["limit"].as_u64().unwrap_or(u64::MAX);
        let some = fetched["events"].as_array_mut().map(std::mem::take).unwrap_or_default();
        assert!(some.len() as u64 <= limit);
        events.extend(some);
        gaps.extend(fetched["gaps"].as_array_mut().map(std::mem::take).unwrap_or_default());
        if fetched["more"] != true {
            return (events, gaps, page);
        }
        question["after"] = fetched["positions"].take();
    }
    panic!("no end: {question}");
}

fn forgetful(config: &mut Config) {
    config.streams[0].window.bytes = "1KiB".parse().expect("a size");
}

async fn pages_of_history_are_everything_once(kind: Kind) {
    for change in [forgetful as fn(&mut Config), |_| {}] {
        let shop = Shop::with(kind, change).await;
        for number in 0..60 {
            shop.publish(&format!("cart.u{}", number % 3), [number]).await;
        }
        shop.publish("price.a", [60]).await;
        shop.until_followed().await;
        for limit in [1, 7, 60, 1_000] {
            for (pattern, expected) in [
                ("cart.u1", (0..60).filter(|number| number % 3 == 1).collect::<Vec<_>>()),
                ("cart.*", (0..60).collect()),
                ("cart.>", (0..60).collect()),
                (">", (0..=60).collect()),
                ("order.*", vec![]),
            ] {
                let (events, gaps, pages) = all(&shop, json!({"subject": pattern, "limit": limit})).await;
                assert_eq!(numbers(&events), expected, "{pattern}, {limit} at once");
                assert!(gaps.is_empty() && pages <= expected.len() / limit + 3, "{pattern}: {pages} pages of {limit}");
            }
        }
        shop.has_no_consumers().await;
    }
}

async fn newest_values_come_in_pages_too(kind: Kind) {
    for change in [forgetful as fn(&mut Config), |_| {}] {
        let shop = Shop::with(kind, change).await;
        for round in 0..4 {
            for user in 0..10 {
                shop.publish(&format!("cart.u{user}"), [round * 10 + user]).await;
            }
        }
        shop.until_followed().await;
        for limit in [1, 4, 100] {
            let (events, gaps, _) = all(&shop, json!({"subject": "cart.*", "last": true, "limit": limit})).await;
            assert_eq!(numbers(&events), (30..40).collect::<Vec<_>>(), "{limit} at once");
            assert!(gaps.is_empty());
        }
        // What has changed since.
        let mut client = shop.node.client().await;
        let now = fetch(&shop, &mut client, &json!({"subject": "cart.*", "last": true})).await["positions"].take();
        shop.publish("cart.u4", [40, 41]).await;
        shop.until_followed().await;
        let (events, ..) = all(&shop, json!({"subject": "cart.*", "last": true, "after": now})).await;
        assert_eq!(numbers(&events), [41]);
    }
}

async fn a_void_position_is_told_on_whichever_page_it_comes(kind: Kind) {
    let shop = Shop::open(kind).await;
    shop.publish("cart.u1", 1..=4).await;
    shop.publish("price.a", 5..=7).await;
    shop.until_followed().await;
    let void = |stream: &str| json!({"stream": stream, "epoch": "12", "seq": 3});
    for limit in [1, 2, 4, 100] {
        let question = json!({"subject": ">", "limit": limit, "after": [void("SHOP"), void("PRICES")]});
        let (events, gaps, _) = all(&shop, question).await;
        assert_eq!(numbers(&events), [1, 2, 3, 4, 7], "{limit} at once");
        let mut told: Vec<_> = gaps.iter().map(|gap| (gap["stream"].as_str(), gap["reason"].as_str())).collect();
        told.sort_unstable();
        assert_eq!(told, [(Some("PRICES"), Some("reset")), (Some("SHOP"), Some("reset"))], "{limit} at once");
    }
}

async fn what_retention_has_dropped_is_told(kind: Kind) {
    let shop = Shop::with(kind, |config| {
        config.streams[0].max_messages = Some(5);
        forgetful(config);
    })
    .await;
    let mut client = shop.node.client().await;
    let mut after = fetch(&shop, &mut client, &json!({"subject": "cart.*"})).await["positions"].take();
    shop.publish("cart.u1", 1..=20).await;
    shop.until_followed().await;
    after[0]["seq"] = 3.into();
    let (events, gaps, _) = all(&shop, json!({"subject": "cart.*", "after": after, "limit": 2})).await;
    let gap = json!({"subject": "cart.*", "stream": "SHOP", "fromSeq": 4, "toSeq": 15, "reason": "expired"});
    assert_eq!((numbers(&events), gaps), ((16..=20).collect(), vec![gap]));
    // Who asks from the beginning asks for what there is.
    let (events, gaps, _) = all(&shop, json!({"subject": "cart.*"})).await;
    assert_eq!((numbers(&events), gaps), ((16..=20).collect(), vec![]));
}

async fn the_newest_event_of_one_subject_has_a_path_of_its_own(kind: Kind) {
    let shop = Shop::open(kind).await;
    shop.publish("cart.u1", 1..=3).await;
    shop.publish("price.a", 4..=6).await;
    shop.until_followed().await;
    for (subject, expected) in [("cart.u1", 3), ("price.a", 6)] {
        let (status, answer) = get(&shop, &format!("/v1/last/{subject}")).await;
        assert_eq!((status, &answer["event"]["data"]), (200, &json!(expected)));
        assert_eq!(answer["event"]["subject"], subject);
    }
    for (subject, status, code) in [
        ("cart.u2", 404, "not_found"),
        ("price.b", 404, "not_found"),
        ("chat.a", 404, "not_stored"),
        ("cart.*", 400, "bad_subject"),
        ("cart..u1", 400, "bad_subject"),
        ("$SYS.a", 403, "forbidden"),
        ("_INBOX.a", 403, "forbidden"),
        ("ntf.SHOP.cart.u1", 403, "forbidden"),
    ] {
        let (got, answer) = get(&shop, &format!("/v1/last/{subject}")).await;
        assert_eq!((got, &answer["error"]["code"]), (status, &json!(code)), "{subject}");
    }
    let answer = shop.node.post("/v1/last/cart.u1", &[], "1".into()).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["allow"].as_bytes()), (405, &b"GET, HEAD"[..]));
}

async fn a_question_that_is_wrong_is_told_what_is_wrong(kind: Kind) {
    let shop = Shop::open(kind).await;
    for (query, status, code, named) in [
        ("", 400, "bad_subject", "subject"),
        ("subject=cart..a", 400, "bad_subject", "cart..a"),
        ("subject=cart.*&after=42", 400, "bad_request", "after=42"),
        ("subject=cart.*&after=SHOP/1/x", 400, "bad_request", "after=SHOP/1/x"),
        ("subject=cart.*&after=SHOP/1/9007199254740992", 400, "bad_request", "after=SHOP/1/9007199254740992"),
        ("subject=cart.*&limit=many", 400, "bad_request", "limit=many"),
        ("subject=cart.*&limit=-1", 400, "bad_request", "limit=-1"),
        ("subject=cart.*&last=yes", 400, "bad_request", "last=yes"),
        ("subject=cart.*&since=1", 400, "bad_request", "since"),
        ("subject=chat.a", 404, "not_stored", "chat.a"),
        ("subject=$SYS.%3E", 403, "forbidden", "$SYS.>"),
        ("subject=_INBOX.%3E", 403, "forbidden", "_INBOX.>"),
        ("subject=ntf.SHOP.%3E", 403, "forbidden", "ntf.SHOP.>"),
    ] {
        let (got, answer) = get(&shop, &format!("/v1/fetch?{query}")).await;
        assert_eq!((got, &answer["error"]["code"]), (status, &json!(code)), "{query}");
        assert!(answer.to_string().contains(named), "{query}: {answer}");
    }
    let answer = shop.node.post("/v1/fetch?subject=cart.*", &[], "1".into()).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["allow"].as_bytes()), (405, &b"GET, HEAD"[..]));
    // The same by frame; the connection stays.
    let mut client = shop.node.client().await;
    for (subject, code) in [
        ("cart..a", "bad_subject"),
        ("chat.a", "not_stored"),
        ("$SYS.>", "forbidden"),
        ("ntf.SHOP.cart.u1", "forbidden"),
    ] {
        client.send(json!({"id": 6, "fetch": {"subject": subject}})).await;
        let error = client.expect("error").await;
        assert_eq!((&error["replyTo"], &error["error"]["code"]), (&json!(6), &json!(code)), "{subject}");
    }
    assert!(client.events_until_now().await.is_empty());
}
