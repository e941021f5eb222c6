//! Files that a node serves: the live page, and the browser library for pages
//! of any origin.

use std::process::{Command, Output};

use notifier::config::Grant;

use super::{
    browsers::{asked, header},
    world::{TestNode, tokens},
};

const EVIL: (&str, &str) = ("origin", "https://evil.example");
const GZIP: (&str, &str) = ("accept-encoding", "br, gzip");
const CURRENT: &str = "/client/v1/notifier.js";

/// The node is one of listed origins and of cookies, which the library is free of.
async fn node() -> TestNode {
    TestNode::with(|config| {
        tokens::with_secret(config);
        config.server.live_page = true;
        config.auth.cookie = Some("session".into());
        config.server.allowed_origins = vec!["https://shop.example".into()];
    })
    .await
}

/// What `notifier client` prints.
fn printed(arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_notifier"));
    let Output { status, stdout, .. } = command.arg("client").args(arguments).output().expect("the binary runs");
    assert!(status.success(), "{arguments:?}");
    stdout
}

fn line(arguments: &[&str]) -> String {
    String::from_utf8(printed(arguments)).expect("text").trim_end().to_owned()
}

#[tokio::test]
async fn a_file_that_is_known_is_not_sent_again() {
    let node = node().await;
    let version = line(&["--library-version"]);
    for path in ["/", CURRENT, &format!("/client/{version}/notifier.js")] {
        for encoding in [&[][..], &[GZIP]] {
            let whole = asked(&node, "GET", path, encoding).await;
            assert_eq!(whole.status(), 200, "{path}");
            assert_eq!(header(&whole, "content-encoding"), encoding.first().map(|_| "gzip"), "{path}");
            let etag = header(&whole, "etag").expect("an ETag").to_owned();
            for (method, known, status) in [
                ("GET", etag.clone(), 304),
                ("HEAD", etag.clone(), 304),
                ("GET", format!("\"other\", W/{etag}"), 304),
                ("GET", "*".into(), 304),
                ("GET", "\"other\"".into(), 200),
                ("HEAD", "\"other\"".into(), 200),
            ] {
                let headers = [encoding, &[("if-none-match", known.as_str())]].concat();
                let answer = asked(&node, method, path, &headers).await;
                assert_eq!(answer.status(), status, "{method} {path} {known}");
                assert_eq!(answer.body().is_empty(), status == 304 || method == "HEAD", "{method} {path} {known}");
                for name in ["etag", "cache-control", "content-security-policy", "access-control-allow-origin"] {
                    assert_eq!(header(&answer, name), header(&whole, name), "{name} of {method} {path} {known}");
                }
                let vary = |answer: &hyper::Response<bytes::Bytes>| {
                    let lines = answer.headers().get_all("vary").iter();
                    lines.map(|line| line.to_str().expect("text").to_owned()).collect::<Vec<_>>()
                };
                assert_eq!(vary(&answer), vary(&whole));
                assert!(vary(&whole).contains(&"accept-encoding".to_owned()), "{path}");
            }
        }
    }
}

#[tokio::test]
async fn pages_of_any_origin_load_the_library_and_bring_no_credentials() {
    let node = node().await;
    let cookie = format!("session={}", tokens::token_of("u42", &[]));
    for headers in [&[][..], &[EVIL], &[("origin", "null")], &[EVIL, ("cookie", &cookie)]] {
        let answer = asked(&node, "GET", CURRENT, headers).await;
        assert_eq!(answer.status(), 200, "{headers:?}");
        assert_eq!(header(&answer, "content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(header(&answer, "access-control-allow-origin"), Some("*"), "{headers:?}");
        assert_eq!(header(&answer, "access-control-allow-credentials"), None, "{headers:?}");
        assert_eq!(header(&answer, "cross-origin-resource-policy"), Some("cross-origin"), "{headers:?}");
        assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"), "{headers:?}");
        assert_eq!(header(&answer, "vary"), Some("accept-encoding"), "{headers:?}");
    }
    // The page of the node itself is for its own origin.
    assert_eq!(asked(&node, "GET", "/", &[EVIL]).await.status(), 403);
    let preflight = asked(&node, "OPTIONS", CURRENT, &[EVIL, ("access-control-request-method", "GET")]).await;
    assert_eq!(preflight.status(), 204);
    assert_eq!(header(&preflight, "access-control-allow-methods"), Some("GET, HEAD"));
    assert_eq!(header(&preflight, "access-control-allow-origin"), Some("*"));
}

#[tokio::test]
async fn the_library_is_served_as_the_binary_prints_it_and_by_its_version_for_ever() {
    let node = node().await;
    let version = line(&["--library-version"]);
    for file in ["notifier.js", "elements.js", "bridge.js", "fallback.js", "inspector.js", "tabs.js", "worker.js"] {
        let (module, integrity) = (printed(&[file]), line(&[file, "--sri"]));
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA384, &module);
        let digest = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, digest);
        assert_eq!(integrity, format!("sha384-{digest}"));
        for (folder, cache) in [("v1", "no-cache"), (&version, "public, max-age=31536000, immutable")] {
            let answer = asked(&node, "GET", &format!("/client/{folder}/{file}"), &[]).await;
            assert_eq!(header(&answer, "cache-control"), Some(cache), "{folder} {file}");
            assert!(answer.body() == &module, "{folder} {file}");
        }
    }
    assert_eq!(printed(&[]), printed(&["notifier.js"]));
    let others = ["0.0.0/notifier.js", "v2/notifier.js", "notifier.js", "", "v1/", "v1/notifier.js/", "v1/react.js"];
    let own = [format!("{version}/"), format!("{version}/other.js"), format!("{version}notifier.js")];
    for rest in others.into_iter().chain(own.iter().map(String::as_str)) {
        let answer = asked(&node, "GET", &format!("/client/{rest}"), &[EVIL]).await;
        assert_eq!(answer.status(), 404, "{rest}");
        assert_eq!(header(&answer, "cache-control"), Some("no-store"), "{rest}");
        assert_eq!(header(&answer, "access-control-allow-origin"), Some("*"), "{rest}");
        let message = String::from_utf8_lossy(answer.body()).into_owned();
        assert!(message.contains("notifier.js") && message.contains(&format!("client/{version}/")), "{message}");
    }
}

#[tokio::test]
async fn the_sample_shop_is_there_for_development_alone_with_all_that_its_page_loads() {
    let plain = node().await;
    let shop = TestNode::with(|config| {
        config.server.demo = true;
        config.server.live_page = true;
    })
    .await;
    let page = asked(&shop, "GET", "/", &[]).await;
    let html = String::from_utf8(page.body().to_vec()).expect("text");
    let loaded: Vec<_> = html.split('"').filter(|text| text.starts_with("demo/")).collect();
    assert!(loaded.len() > 8, "{loaded:?}");
    for path in loaded.iter().map(|path| format!("/{path}")) {
        let file = asked(&shop, "GET", &path, &[GZIP]).await;
        assert_eq!(file.status(), 200, "{path}");
        let media_type = match path.rsplit_once('.').map(|(_, extension)| extension) {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            _ => "text/plain; charset=utf-8",
        };
        assert_eq!(header(&file, "content-type"), Some(media_type), "{path}");
        let etag = header(&file, "etag").expect("an ETag");
        assert_eq!(asked(&shop, "GET", &path, &[GZIP, ("if-none-match", etag)]).await.status(), 304, "{path}");
        assert_eq!(asked(&plain, "GET", &path, &[]).await.status(), 404, "{path}");
    }
    let live = asked(&shop, "GET", "/live", &[]).await;
    assert_eq!(live.body(), asked(&plain, "GET", "/", &[]).await.body());
    assert_eq!(asked(&plain, "GET", "/live", &[]).await.status(), 404);
    assert_eq!(asked(&shop, "GET", "/demo/nothing.js", &[]).await.status(), 404);
}

#[tokio::test]
async fn the_login_of_the_sample_shop_issues_tokens_that_its_node_takes() {
    let shop = TestNode::with(|config| {
        config.server.demo = true;
        let publish = vec!["cart.{sub}".to_owned()];
        config.grants.push(Grant { role: "customer".into(), publish, ..Grant::default() });
        tokens::with_secret(config);
    })
    .await;
    let answer = asked(&shop, "POST", "/demo/token/5", &[]).await;
    assert_eq!((answer.status().as_u16(), header(&answer, "cache-control")), (200, Some("no-store")));
    let bearer = format!("Bearer {}", String::from_utf8_lossy(answer.body()));
    for (subject, status) in [("cart.u42", 200), ("cart.u43", 403)] {
        let answer = shop.post(&format!("/v1/publish/{subject}"), &[("authorization", &bearer)], "1".into()).await;
        assert_eq!(answer.status(), status, "{subject}");
    }
    for life in ["0", "601", "-1", "x", ""] {
        assert_eq!(asked(&shop, "POST", &format!("/demo/token/{life}"), &[]).await.status(), 400, "{life}");
    }
    assert_eq!(asked(&shop, "GET", "/demo/token/5", &[]).await.status(), 405);
    assert_eq!(asked(&shop, "POST", "/demo/token/5", &[EVIL]).await.status(), 403);
    assert_eq!(asked(&shop, "GET", "/demo/no-websocket", &[]).await.status(), 403);
    for without in [node().await, TestNode::with(|config| config.server.demo = true).await] {
        assert_ne!(asked(&without, "POST", "/demo/token/5", &[]).await.status(), 200);
    }
}
