//! What browsers are refused and told, over real sockets: pages of other
//! origins, CORS, security headers.

use hyper::{Request, Response};
use notifier::config::{Config, Grant};
use serde_json::Value;

use super::{
    frames::text,
    handshake::raw::{Frame, Neighbour, Raw, UPGRADE, head},
    world::{TestNode, node::ask, tokens},
};

const REFUSED: &str = "notifier_errors_total{code=\"origin_refused\"}";

/// A node that serves the pages of these origins.
async fn node(origins: &[&str]) -> TestNode {
    let allow = |config: &mut Config| config.server.allowed_origins = origins.iter().map(|o| (*o).to_owned()).collect();
    TestNode::with(allow).await
}

/// The status of an upgrade that a page asks for.
async fn upgraded(node: &TestNode, lines: &[&str]) -> u16 {
    let mut raw = Raw::open(node.address).await;
    let lines: Vec<&str> = UPGRADE.into_iter().chain(lines.iter().copied()).collect();
    raw.send(&head(&lines)).await.expect("the node reads");
    let answer = raw.answer().await;
    if answer.status == 403 {
        let body: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!(body["error"]["code"], "origin_refused");
        assert!(body["error"]["message"].as_str().expect("text").contains("server.allowed_origins"), "{body}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    answer.status
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused_before_the_upgrade() {
    let node = node(&["https://shop.example", "https://*.shop.example"]).await;
    let mut neighbour = Neighbour::of(&node).await;
    let rows: &[(&[&str], u16)] = &[
        (&[], 101),
        (&["Origin: https://shop.example"], 101),
        (&["Origin: https://SHOP.example:443"], 101),
        (&["Origin: https://a.b.shop.example"], 101),
        (&["Origin: http://shop.example"], 403),
        (&["Origin: https://shop.example:8443"], 403),
        (&["Origin: https://evil-shop.example"], 403),
        (&["Origin: https://shop.example.evil"], 403),
        (&["Origin: https://evil.example"], 403),
        (&["Origin: null"], 403),
        (&["Origin:"], 403),
        (&["Origin: https://shop.example, https://shop.example"], 403),
        (&["Origin: https://shop.example", "Origin: https://shop.example"], 403),
        (&["Origin: https://evil.example", "Origin: https://shop.example"], 403),
        (&["Origin: https://shop.example https://evil.example"], 403),
        (&["Origin: https://node.test"], 403),
        (&["Origin: https://b\u{fc}cher.example"], 403),
        (&["oRiGiN: https://evil.example"], 403),
    ];
    for (lines, status) in rows {
        let before = node.metric(REFUSED).await;
        assert_eq!(upgraded(&node, lines).await, *status, "{lines:?}");
        assert_eq!(node.metric(REFUSED).await - before, f64::from(u8::from(*status == 403)), "{lines:?}");
        neighbour.is_served_by(&node).await;
    }
    // What is shown of it is bounded, and stays within its string.
    let long = format!("Origin: https://\x1b\"{}.example", "x".repeat(8_000));
    let mut raw = Raw::open(node.address).await;
    let lines: Vec<&str> = UPGRADE.into_iter().chain([long.as_str()]).collect();
    raw.send(&head(&lines)).await.expect("the node reads");
    if let Some(answer) = raw.try_answer().await {
        assert!(answer.body.len() < 1_000, "{answer:?}");
    }
}

#[tokio::test]
async fn without_a_list_a_node_serves_its_own_pages_and_whoever_is_no_browser() {
    let node = node(&[]).await;
    // Host is node.test, whichever way TLS ends in front of the node.
    let rows: &[(&[&str], u16)] = &[
        (&[], 101),
        (&["Origin: http://node.test"], 101),
        (&["Origin: https://node.test"], 101),
        (&["Origin: http://node.test:8080"], 403),
        (&["Origin: https://evil.example"], 403),
        (&["Origin: null"], 403),
    ];
    for (lines, status) in rows {
        assert_eq!(upgraded(&node, lines).await, *status, "{lines:?}");
    }
}

#[tokio::test]
async fn a_list_can_let_in_everybody_or_those_without_an_origin() {
    let everybody = node(&["*"]).await;
    for origin in ["Origin: https://evil.example", "Origin: null", "Origin: http://127.0.0.1:3000"] {
        assert_eq!(upgraded(&everybody, &[origin]).await, 101, "{origin}");
    }
    let files = node(&["null"]).await;
    assert_eq!(upgraded(&files, &["Origin: null"]).await, 101);
    assert_eq!(upgraded(&files, &["Origin: https://node.test"]).await, 403);
}

pub async fn asked(node: &TestNode, method: &str, path: &str, headers: &[(&str, &str)]) -> Response<bytes::Bytes> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    ask(node.address, request.body("{}".into()).expect("a request")).await
}

pub fn header<'r>(response: &'r Response<bytes::Bytes>, name: &str) -> Option<&'r str> {
    response.headers().get(name).map(|value| value.to_str().expect("text"))
}

#[tokio::test]
async fn pages_of_listed_origins_read_answers_over_http_and_others_do_nothing() {
    const SHOP: (&str, &str) = ("origin", "https://shop.example");
    const EVIL: (&str, &str) = ("origin", "https://evil.example");
    let node = node(&["https://shop.example"]).await;
    let mut client = node.client().await;
    client.subscribe("a").await;

    let evil = asked(&node, "POST", "/v1/publish/a", &[EVIL, ("content-type", "text/plain")]).await;
    assert_eq!((evil.status().as_u16(), header(&evil, "access-control-allow-origin")), (403, None));
    assert_eq!(client.events_until_now().await, []);

    for (method, path, status) in [
        ("POST", "/v1/publish/a", 200),
        ("GET", "/v1/fetch?subject=a", 404),
        ("GET", "/v1/last/a", 404),
        ("GET", "/nowhere", 404),
    ] {
        let answer = asked(&node, method, path, &[SHOP]).await;
        assert_eq!(answer.status().as_u16(), status, "{path}");
        assert_eq!(header(&answer, "access-control-allow-origin"), Some("https://shop.example"), "{path}");
        assert_eq!(header(&answer, "access-control-expose-headers"), Some("retry-after"), "{path}");
        assert_eq!(header(&answer, "access-control-allow-credentials"), None, "{path}");
        assert_eq!(header(&answer, "vary"), Some("origin"), "{path}");
    }
    client.event().await;

    const PREFLIGHT: (&str, &str) = ("access-control-request-method", "POST");
    let answer = asked(&node, "OPTIONS", "/v1/publish/a", &[SHOP, PREFLIGHT]).await;
    assert_eq!(answer.status(), 204);
    assert_eq!(header(&answer, "access-control-allow-origin"), Some("https://shop.example"));
    assert_eq!(header(&answer, "access-control-allow-methods"), Some("POST"));
    let evil = asked(&node, "OPTIONS", "/v1/publish/a", &[EVIL, PREFLIGHT]).await;
    assert_eq!((evil.status().as_u16(), header(&evil, "access-control-allow-methods")), (403, None));
    // One that is no preflight.
    assert_eq!(header(&asked(&node, "OPTIONS", "/v1/publish/a", &[SHOP]).await, "allow"), Some("POST"));
}

#[tokio::test]
async fn a_preflight_names_the_headers_that_are_taken() {
    let node = node(&["https://shop.example"]).await;
    let rows = [
        ("content-type", "content-type"),
        (
            "Authorization, CE-Type,nats-msg-id , kv-operation,x-other,traceparent",
            "Authorization, CE-Type, nats-msg-id, kv-operation, traceparent",
        ),
        ("x-other", ""),
        ("notifier-user,nats-expected-stream", ""),
    ];
    for (asks, taken) in rows {
        let headers = [
            ("origin", "https://shop.example"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", asks),
        ];
        let answer = asked(&node, "OPTIONS", "/v1/publish/a", &headers).await;
        assert_eq!(header(&answer, "access-control-allow-headers"), Some(taken), "{asks}");
    }
}

#[tokio::test]
async fn every_answer_says_what_browsers_must_not_do_with_it() {
    let node = TestNode::with(|config| config.server.live_page = true).await;
    for path in ["/", "/v1/last/a", "/nowhere", "/v1/ws"] {
        let answer = asked(&node, "GET", path, &[]).await;
        assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(header(&answer, "referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(header(&answer, "cross-origin-resource-policy"), Some("same-origin"), "{path}");
        assert_eq!(header(&answer, "strict-transport-security"), None, "{path}");
        let policy = header(&answer, "content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(policy.contains("script-src"), path == "/", "{path}");
    }
}

/// A node that takes tokens from the cookie `session`, of pages of one origin.
async fn cookie_node() -> TestNode {
    TestNode::with(|config| {
        tokens::with_secret(config);
        let all = || vec![">".to_owned()];
        config.grants = vec![Grant { role: "*".into(), subscribe: all(), publish: all(), ..Grant::default() }];
        config.auth.cookie = Some("session".into());
        config.server.allowed_origins = vec!["https://shop.example".into()];
    })
    .await
}

/// What a page is told that upgrades with these headers and connects without a token.
async fn connected(node: &TestNode, lines: &[&str]) -> Frame {
    let mut raw = Raw::open(node.address).await;
    let lines: Vec<&str> = UPGRADE.into_iter().chain(lines.iter().copied()).collect();
    raw.send(&head(&lines)).await.expect("the node reads");
    assert_eq!(raw.answer().await.status, 101, "{lines:?}");
    raw.send(&text(&serde_json::json!({"connect": {}}))).await.expect("the node reads");
    raw.frame().await.expect("a frame")
}

#[tokio::test]
async fn a_cookie_admits_pages_of_listed_origins_and_nobody_else() {
    const SHOP: &str = "Origin: https://shop.example";
    let node = cookie_node().await;
    let token = tokens::token_of("u42", &[]);
    let cookie = format!("Cookie: theme=dark; session={token}");
    let welcome = connected(&node, &[SHOP, &cookie]).await.lines();
    assert_eq!(welcome[0]["welcome"]["user"], "u42");
    // Not a browser, with the user's own cookie.
    assert_eq!(connected(&node, &[&cookie]).await.lines()[0]["welcome"]["user"], "u42");
    assert_eq!(upgraded(&node, &["Origin: https://evil.example", &cookie]).await, 403);
    assert_eq!(upgraded(&node, &["Origin: null", &cookie]).await, 403);
    for lines in [&[SHOP][..], &[SHOP, &format!("{cookie}; session=b")], &[SHOP, "Cookie: session=a.b.c"]] {
        assert_eq!(connected(&node, lines).await.lines()[0]["error"]["code"], "unauthorized", "{lines:?}");
    }

    let cookie = ("cookie", cookie.strip_prefix("Cookie: ").expect("a prefix"));
    let (shop, evil) = (("origin", "https://shop.example"), ("origin", "https://evil.example"));
    let (cross, same) = (("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-origin"));
    type Headers<'a> = &'a [(&'a str, &'a str)];
    let rows: [(&str, &str, Headers<'_>, u16); 8] = [
        ("POST", "/v1/publish/a", &[cookie, shop], 200),
        ("POST", "/v1/publish/a", &[cookie, evil], 403),
        // A form of an old browser, which tells no origin.
        ("POST", "/v1/publish/a", &[cookie], 401),
        ("POST", "/v1/publish/a", &[shop], 401),
        ("GET", "/v1/last/a", &[cookie, same], 404),
        ("GET", "/v1/last/a", &[cookie], 404),
        // An image or a script of any page.
        ("GET", "/v1/last/a", &[cookie, cross], 401),
        ("GET", "/v1/last/a", &[cookie, shop, cross], 404),
    ];
    for (method, path, headers, status) in rows {
        let answer = asked(&node, method, path, headers).await;
        assert_eq!(answer.status().as_u16(), status, "{method} {headers:?}");
        let credentials = headers.contains(&shop).then_some("true");
        assert_eq!(header(&answer, "access-control-allow-credentials"), credentials, "{headers:?}");
    }
}
