//! `notifier explain`, as operators run it.

use std::process::Command;

use serde_json::{Value, json};
use tempfile::NamedTempFile;

const OPEN: &str = "[auth]\nmode = \"anonymous\"\n";

const TOKENS: &str = r#"
    [auth]
    mode = "jwt"
    [[auth.issuers]]
    issuer = "me"
    audience = "notifier"
    algorithms = ["HS256"]
    secret = "0123456789abcdef0123456789abcdef"
"#;

const GRANTS: &str = r#"
    [[grants]]
    role = "*"
    subscribe = ["shop.price.*"]
    [[grants]]
    role = "customer"
    subscribe = ["shop.cart.{sub}.>", "shop.team.{team}.>"]
    subscribe_literal = ["shop.order.>"]
    publish = ["shop.chat.*"]
    deny = ["shop.*.internal.>"]
"#;

/// Exit code and output of a verb, both streams together.
fn run(verb: &str, auth: &str, arguments: &[&str]) -> (i32, String) {
    let file = NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), format!("{auth}{GRANTS}")).expect("room");
    let output = Command::new(env!("CARGO_BIN_EXE_notifier"))
        .args([verb, "--config"])
        .arg(file.path())
        .args(arguments)
        .output()
        .expect("the binary runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().expect("it ends by itself"), String::from_utf8(text).expect("text"))
}

fn explain(arguments: &[&str]) -> (i32, String) {
    run("explain", OPEN, arguments)
}

#[test]
fn an_operator_learns_by_which_grant_somebody_may_do_something() {
    let u42 = ["--role", "customer", "--claim", "sub=u42"];
    let rows: &[(&[&str], &str, &str, i32, &str)] = &[
        (
            &u42,
            "subscribe",
            "shop.cart.u42.>",
            0,
            "role customer, subscribe `shop.cart.{sub}.>` = `shop.cart.u42.>`: grants",
        ),
        (&u42, "subscribe", "shop.cart.u43.>", 1, "no grant of the role customer covers `shop.cart.u43.>`"),
        (&u42, "subscribe", "shop.price.*", 0, "role *, subscribe `shop.price.*`: grants it"),
        (&u42, "subscribe", "shop.cart.u42.internal.>", 0, "allowed"),
        (&u42, "subscribe", "shop.cart.internal.a", 1, "role customer, deny `shop.*.internal.>`: denies it"),
        (&u42, "subscribe", "shop.order.*", 1, "one by one"),
        (&u42, "subscribe", "shop.order.7", 0, "subscribe_literal `shop.order.>`: grants it"),
        (&u42, "subscribe", "shop.team.red.a", 1, "`shop.team.{team}.>`: gives nothing, because the claim is missing"),
        (&u42, "publish", "shop.chat.a", 0, "publish `shop.chat.*`: grants it"),
        (&u42, "publish", "shop.chat.*", 1, "has a wildcard"),
        (&u42, "request", "shop.chat.a", 1, "request = [\"shop.chat.a\"]"),
        (&u42, "subscribe", "$JS.API.>", 1, "messaging system"),
        (&[], "subscribe", "shop.price.a", 0, "allowed"),
        (&[], "subscribe", "shop.cart.u42.>", 1, "clients without a token"),
        (&["--role", "customer", "--claim", "sub=u.*"], "subscribe", "shop.price.a", 1, "not let in: unauthorized"),
        (&u42, "read", "shop.price.a", 2, "neither `subscribe`, `publish` nor `request`"),
    ];
    for (who, verb, subject, code, expected) in rows {
        let (status, text) = explain(&[*who, &[*verb, *subject]].concat());
        assert_eq!(status, *code, "{verb} {subject}: {text}");
        assert!(text.contains(expected), "{verb} {subject}: {text}");
    }
}

#[test]
fn the_same_is_there_for_machines() {
    let arguments = ["--json", "--role", "customer", "--claim", "sub=u42", "subscribe", "shop.cart.u42.>"];
    let (status, text) = explain(&arguments);
    assert_eq!(status, 0, "{text}");
    let told: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&told["allowed"], &told["user"], &told["verb"]), (&json!(true), &json!("u42"), &json!("subscribe")));
    assert_eq!(told["rules"][0]["pattern"], "shop.cart.u42.>");
}

#[test]
fn a_token_says_who_it_is_about() {
    let (status, token) = run("token", TOKENS, &["--sub", "u42", "--role", "customer"]);
    assert_eq!(status, 0, "{token}");
    let with = |token: &str, subject: &str| run("explain", TOKENS, &["--token", token, "subscribe", subject]);
    let (status, text) = with(token.trim(), "shop.cart.u42.>");
    assert!(status == 0 && text.contains("role customer"), "{text}");
    let (status, text) = with(token.trim(), "shop.cart.u43.>");
    assert!(status == 1 && text.contains("no grant of the role customer"), "{text}");
    let (status, text) = with("no.token.really", "shop.cart.u42.>");
    assert!(status == 1 && text.contains("not let in"), "{text}");
    let arguments = ["--token", token.trim(), "--role", "root", "subscribe", "a"];
    assert_eq!(run("explain", TOKENS, &arguments).0, 2, "either a token or what it would say");
}
