//! The routes of the clients' listener as their callers see them: methods,
//! paths, preflights, and which pages may use which.

use serde_json::{Value, json};

use super::{
    browsers::{asked, header},
    world::{TestNode, tokens},
};

const SHOP: (&str, &str) = ("origin", "https://shop.example");
const EVIL: (&str, &str) = ("origin", "https://evil.example");

/// A path of each route, with `Allow`.
const ROUTES: [(&str, &str); 8] = [
    ("/", "GET, HEAD"),
    ("/v1/ws", "GET"),
    // Without a subject: a stream would have no end.
    ("/v1/events", "GET, QUERY, POST"),
    ("/v1/poll", "GET, QUERY, POST"),
    ("/v1/publish/a", "POST"),
    ("/v1/request/a", "POST"),
    ("/v1/last/a", "GET, HEAD"),
    ("/v1/fetch?subject=a", "GET, HEAD"),
];

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY", "get"];

/// All routes, for pages of one origin.
async fn node() -> TestNode {
    TestNode::with(|config| {
        config.server.live_page = true;
        config.server.allowed_origins = vec![SHOP.1.into()];
    })
    .await
}

fn code(body: &[u8]) -> Value {
    serde_json::from_slice::<Value>(body).expect("JSON")["error"]["code"].take()
}

#[tokio::test]
async fn a_method_that_a_route_does_not_take_is_answered_with_those_that_it_does() {
    let node = node().await;
    for (path, allow) in ROUTES {
        for method in METHODS {
            let answer = asked(&node, method, path, &[]).await;
            let taken = allow.split(", ").any(|allowed| allowed == method);
            assert_eq!(answer.status() != 405, taken, "{method} {path}");
            if !taken {
                assert_eq!(header(&answer, "allow"), Some(allow), "{method} {path}");
                assert_eq!(header(&answer, "cache-control"), Some("no-store"), "{method} {path}");
                if method != "HEAD" {
                    assert_eq!(code(answer.body()), "method_not_allowed", "{method} {path}");
                }
            }
        }
        let answer = asked(&node, "OPTIONS", path, &[]).await;
        assert_eq!((answer.status().as_u16(), header(&answer, "allow")), (204, Some(allow)), "{path}");
    }
}

#[tokio::test]
async fn a_path_that_is_none_of_the_routes_is_not_found_whatever_the_method() {
    let node = node().await;
    let paths = [
        "/v1/ws/",
        "/v1/ws/a",
        "//v1/ws",
        "/V1/ws",
        "/v1",
        "/v1/",
        "/v1/publish",
        "/v1/last",
        "/v1/fetch/",
        "/v1/fetch/a",
        "/v1/../v1/fetch",
        "/%76%31/fetch",
        "/index.html",
        "/livez",
        "/readyz",
        "/metrics",
        "/admin/disconnect",
    ];
    for path in paths {
        for method in ["GET", "HEAD", "POST", "OPTIONS", "QUERY"] {
            let answer = asked(&node, method, path, &[]).await;
            assert_eq!((answer.status().as_u16(), header(&answer, "allow")), (404, None), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_head_is_answered_like_a_get_without_the_body() {
    let node = node().await;
    for (path, _) in ROUTES.iter().filter(|(_, allow)| allow.contains("HEAD")) {
        let (get, head) = (asked(&node, "GET", path, &[]).await, asked(&node, "HEAD", path, &[]).await);
        assert_eq!(get.status(), head.status(), "{path}");
        assert_eq!((head.body().len(), get.body().is_empty()), (0, false), "{path}");
        let length = get.body().len().to_string();
        assert_eq!(header(&head, "content-length"), Some(length.as_str()), "{path}");
        assert_eq!(header(&head, "content-type"), header(&get, "content-type"), "{path}");
    }
}

#[tokio::test]
async fn a_preflight_names_the_methods_of_its_route() {
    let node = node().await;
    // Where nothing is, the request itself is let through, so that the page can read the 404.
    for (path, methods) in ROUTES.into_iter().chain([("/nowhere", "GET, POST")]) {
        for asks in ["GET", "POST", "DELETE"] {
            let answer = asked(&node, "OPTIONS", path, &[SHOP, ("access-control-request-method", asks)]).await;
            assert_eq!(answer.status(), 204, "{asks} {path}");
            assert_eq!(header(&answer, "access-control-allow-methods"), Some(methods), "{asks} {path}");
            assert_eq!(header(&answer, "access-control-allow-origin"), Some(SHOP.1), "{asks} {path}");
        }
    }
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused_on_each_route_before_anything_else() {
    let node = node().await;
    for (path, _) in ROUTES.into_iter().chain([("/nowhere", "")]) {
        for method in METHODS.into_iter().chain(["OPTIONS"]) {
            let answer = asked(&node, method, path, &[EVIL, ("access-control-request-method", "GET")]).await;
            assert_eq!(answer.status(), 403, "{method} {path}");
            assert_eq!(header(&answer, "access-control-allow-origin"), None, "{method} {path}");
            assert_eq!(header(&answer, "cross-origin-resource-policy"), Some("same-origin"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_cookie_admits_pages_that_may_use_it_on_each_route_that_admits_clients() {
    let node = TestNode::with(|config| {
        tokens::with_secret(config);
        config.auth.cookie = Some("session".into());
        config.server.allowed_origins = vec![SHOP.1.into()];
    })
    .await;
    let cookie = format!("session={}", tokens::token_of("u42", &[]));
    let cookie = ("cookie", cookie.as_str());
    let cross = ("sec-fetch-site", "cross-site");
    type Headers<'a> = &'a [(&'a str, &'a str)];
    // Headers, and whether the cookie counts for reading and for doing something.
    let rows: [(Headers<'_>, bool, bool); 6] = [
        (&[cookie, SHOP], true, true),
        (&[cookie], true, false),
        (&[cookie, cross], false, false),
        (&[cookie, SHOP, cross], true, true),
        (&[SHOP], false, false),
        (&[], false, false),
    ];
    let reading = [("GET", "/v1/fetch?subject=a"), ("HEAD", "/v1/fetch?subject=a"), ("GET", "/v1/last/a")];
    let doing = [("POST", "/v1/publish/a"), ("POST", "/v1/request/a?timeoutMs=1")];
    for (headers, reads, does) in rows {
        let reading = reading.into_iter().map(|route| (route, reads));
        for ((method, path), admitted) in reading.chain(doing.into_iter().map(|route| (route, does))) {
            let answer = asked(&node, method, path, headers).await;
            assert_eq!(answer.status() != 401, admitted, "{method} {path} {headers:?}: {answer:?}");
            assert_eq!(header(&answer, "www-authenticate"), (!admitted).then_some("Bearer"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_request_is_counted_before_its_method_and_its_token_are_looked_at() {
    let node = TestNode::with(|config| {
        tokens::with_secret(config);
        config.limits.address_requests_per_second = 1;
        config.limits.address_requests_burst = 3;
    })
    .await;
    for (method, path, status) in [("GET", "/nowhere", 404), ("PUT", "/v1/fetch", 405), ("GET", "/v1/fetch", 401)] {
        assert_eq!(asked(&node, method, path, &[]).await.status(), status, "{method} {path}");
    }
    for path in ["/nowhere", "/v1/fetch", "/v1/publish/a"] {
        let answer = asked(&node, "PUT", path, &[]).await;
        assert_eq!((answer.status().as_u16(), code(answer.body())), (429, json!("rate_limited")), "{path}");
    }
    // A WebSocket counts as a connection.
    assert_eq!(asked(&node, "GET", "/v1/ws", &[]).await.status(), 400);
}
