//! A token is found in the same places by every way in: by a WebSocket with
//! either subprotocol or none, and by a request over HTTP.

use hyper::Request;
use notifier::codec::Encoding;
use serde_json::json;

use super::{
    frames::{BINARY, FIN, JSON, PROTO, PROTO_CONNECT, frame, text},
    handshake::raw::{Raw, head},
    world::{TestNode, node::ask, tokens},
};

const SHOP: &str = "https://shop.example";
const EVIL: &str = "https://evil.example";

/// Takes tokens from the cookie `session` and from the query parameter `access_token`.
async fn node() -> TestNode {
    TestNode::with(|config| {
        tokens::with_secret(config);
        config.auth.cookie = Some("session".into());
        config.auth.query_parameter = Some("access_token".into());
        config.server.allowed_origins = vec![SHOP.into()];
    })
    .await
}

/// The user that a WebSocket is welcomed as, without a token in `connect`. None:
/// it is refused.
async fn over_websocket(node: &TestNode, offer: Option<&str>, query: &str, headers: &[(&str, &str)]) -> Option<String> {
    let mut lines = vec![
        format!("GET /v1/ws?{query} HTTP/1.1"),
        "Host: node.test".into(),
        "Upgrade: websocket".into(),
        "Connection: Upgrade".into(),
        "Sec-WebSocket-Version: 13".into(),
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==".into(),
    ];
    lines.extend(offer.map(|offer| format!("Sec-WebSocket-Protocol: {offer}")));
    lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    let mut raw = Raw::open(node.address).await;
    raw.send(&head(&lines.iter().map(String::as_str).collect::<Vec<_>>())).await.expect("the node reads");
    assert_eq!(raw.answer().await.status, 101, "{lines:?}");
    let encoding = if offer == Some(PROTO) { Encoding::Proto } else { Encoding::Json };
    let connect = match encoding {
        Encoding::Proto => frame(FIN | BINARY, &PROTO_CONNECT),
        Encoding::Json | Encoding::EventStream(_) => text(&json!({"connect": {}})),
    };
    raw.send(&connect).await.expect("the node reads");
    let message = raw.frame().await.expect("a frame").payload;
    let first = encoding.read_server(&message).expect("a frame of the protocol").remove(0);
    let frame = serde_json::to_value(first).expect("JSON");
    let code = &frame["error"]["code"];
    assert!(frame["welcome"].is_object() || *code == "unauthorized", "{frame}");
    frame["welcome"]["user"].as_str().map(str::to_owned)
}

/// Whether a request over HTTP is admitted.
async fn over_http(node: &TestNode, query: &str, headers: &[(&str, &str)]) -> bool {
    let mut request = Request::get(format!("/v1/fetch?subject=a&{query}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let status = ask(node.address, request.body(Default::default()).expect("a request")).await.status().as_u16();
    // Nothing stores the subject, which only those hear who may ask.
    assert!([401, 404].contains(&status), "{status}");
    status == 404
}

#[tokio::test]
async fn a_token_is_found_in_the_same_places_by_every_way_in() {
    let node = node().await;
    let [header, cookie, query] = ["header", "cookie", "query"].map(|user| tokens::token_of(user, &[]));
    let (bearer, cookie) = (format!("Bearer {header}"), format!("theme=dark; session={cookie}"));
    let (bearer, cookie) = (("Authorization", bearer.as_str()), ("Cookie", cookie.as_str()));
    let query = format!("access_token={query}");
    let (shop, basic) = (("Origin", SHOP), ("Authorization", "Basic dTpw"));
    let (cross, wrong) = (("Sec-Fetch-Site", "cross-site"), ("Authorization", "Bearer a.b.c"));
    type Row<'r> = (&'r str, &'r [(&'r str, &'r str)], Option<&'r str>);
    let rows: [Row<'_>; 12] = [
        ("", &[], None),
        ("", &[bearer], Some("header")),
        ("", &[cookie], Some("cookie")),
        (&query, &[], Some("query")),
        (&query, &[cookie, bearer], Some("header")),
        (&query, &[shop, cookie], Some("cookie")),
        // The page may not use the cookie, which leaves the query.
        (&query, &[cookie, cross], Some("query")),
        ("", &[cookie, cross], None),
        ("", &[cookie, basic], None),
        (&query, &[cookie, basic], Some("query")),
        // The first token that is found is the one that is judged.
        (&query, &[cookie, wrong], None),
        ("", &[("Cookie", "session=a.b.c")], None),
    ];
    for (query, headers, user) in rows {
        for offer in [None, Some(JSON), Some(PROTO)] {
            let welcomed = over_websocket(&node, offer, query, headers).await;
            assert_eq!(welcomed.as_deref(), user, "{offer:?} {query} {headers:?}");
        }
        assert_eq!(over_http(&node, query, headers).await, user.is_some(), "{query} {headers:?}");
    }
}

#[tokio::test]
async fn a_token_in_any_place_does_not_admit_a_page_of_a_refused_origin() {
    let node = node().await;
    let token = tokens::token_of("u42", &[]);
    let (bearer, cookie) = (format!("Bearer {token}"), format!("session={token}"));
    for headers in [[("authorization", bearer.as_str())], [("cookie", cookie.as_str())]] {
        let mut request = Request::get(format!("/v1/fetch?subject=a&access_token={token}")).header("origin", EVIL);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = ask(node.address, request.body(Default::default()).expect("a request")).await;
        assert_eq!(answer.status(), 403, "{headers:?}");
    }
}
