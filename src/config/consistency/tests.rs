use crate::config::{Config, ConfigError, Delivery, SettingsFile, Span, load};

/// One stream and one rule that hold; each row adds to them.
const SHOP: &str = r#"
    [[streams]]
    name = "SHOP"
    subjects = ["shop.cart.>", "shop.order.*"]
    [[subjects]]
    pattern = "shop.cart.>"
    delivery = "durable"
    stream = "SHOP"
"#;

fn read(text: &str) -> Result<Config, ConfigError> {
    let text = format!("[auth]\nmode = \"anonymous\"\n{text}");
    let config = load(Some(&SettingsFile { origin: "test".into(), text }), [], &Default::default()).expect("it parses");
    config.validate().map(|()| config)
}

fn stream(name: &str, fields: &str) -> String {
    format!("[[streams]]\nname = \"{name}\"\n{fields}\n")
}

fn rule(pattern: &str, fields: &str) -> String {
    format!("[[subjects]]\npattern = \"{pattern}\"\n{fields}\n")
}

fn refused(text: &str, parts: &[&str]) {
    let error = read(text).expect_err(text).to_string();
    for part in parts {
        assert!(error.contains(part), "{text}\n{error}");
    }
}

#[test]
fn the_example_of_a_shop_holds() {
    let config = read(
        r#"
        [[streams]]
        name = "SHOP"
        subjects = ["shop.cart.>", "shop.order.>"]
        republish_prefix = "ntf.SHOP"
        manage = true
        max_age = "24h"
        window = { bytes = "64MiB", age = "10m" }
        [[streams]]
        name = "PRICES"
        subjects = ["shop.price.*"]
        max_messages_per_subject = 1

        [[subjects]]
        pattern = "shop.price.*"
        delivery = "latest"
        stream = "PRICES"
        [[subjects]]
        pattern = "shop.cart.*.typing"
        delivery = "live"
        [[subjects]]
        pattern = "shop.cart.>"
        delivery = "durable"
        stream = "SHOP"
        "#,
    )
    .expect("it holds");
    let [shop, prices] = config.streams.as_slice() else { panic!("{:?}", config.streams) };
    assert_eq!(shop.max_age, Some(Span::seconds(24 * 3600)));
    assert_eq!(shop.prefix(), prices.prefix().replace("PRICES", "SHOP"));
    assert_eq!(
        config.subjects.iter().map(|rule| rule.delivery.label()).collect::<Vec<_>>(),
        ["latest", "live", "durable"]
    );
}

#[test]
fn a_stream_that_cannot_be_is_refused() {
    let subjects = "subjects = [\"a.>\"]";
    let with = |fields: &str| stream("S", &format!("{subjects}\n{fields}"));
    let rows: Vec<(String, &[&str])> = vec![
        (stream("", subjects), &["streams.name", "letters"]),
        (stream("A.B", subjects), &["streams.name", "`A.B`"]),
        (stream("A B", subjects), &["streams.name"]),
        (stream("A*", subjects), &["streams.name"]),
        (stream("a/b", subjects), &["streams.name"]),
        (stream("ä", subjects), &["streams.name"]),
        (stream(&"a".repeat(129), subjects), &["streams.name"]),
        (stream("S", "subjects = []"), &["streams[S].subjects", "is empty"]),
        (stream("S", "subjects = [\"a..b\"]"), &["streams[S].subjects", "`a..b`", "empty token"]),
        (stream("S", "subjects = [\"$JS.>\"]"), &["streams[S].subjects", "messaging system"]),
        (stream("S", "subjects = [\"a.*\", \"a.b\"]"), &["streams[S].subjects", "`a.*` and `a.b` overlap"]),
        (stream("S", "subjects = [\">\"]"), &["streams[S].subjects", "ntf.S.>", "circles"]),
        (with("republish_prefix = \"a\""), &["streams[S].subjects", "`a.>`", "circles"]),
        (with("republish_prefix = \"n.*\""), &["streams[S].republish_prefix", "wildcard", "ntf.S"]),
        (with("republish_prefix = \"\""), &["streams[S].republish_prefix", "empty"]),
        (with("republish_prefix = \"$JS.x\""), &["streams[S].republish_prefix", "system"]),
        (with("replicas = 0"), &["streams[S].replicas", "1 to 5"]),
        (with("replicas = 6"), &["streams[S].replicas"]),
        (with("max_messages = 0"), &["streams[S].max_messages:", "zero"]),
        (with("max_messages_per_subject = 0"), &["streams[S].max_messages_per_subject"]),
        (with("max_age = \"0s\""), &["streams[S].max_age", "100ms"]),
        (with("duplicate_window = \"1ms\""), &["streams[S].duplicate_window"]),
        (with("window = { bytes = \"0\" }"), &["streams[S].window.bytes"]),
    ];
    for (text, parts) in rows {
        refused(&text, parts);
    }
}

#[test]
fn streams_that_get_in_each_others_way_are_refused() {
    let rows: Vec<(String, &[&str])> = vec![
        (stream("SHOP", "subjects = [\"b\"]"), &["streams[SHOP].name", "twice"]),
        (stream("B", "subjects = [\"shop.*.x\"]"), &["streams[B].subjects", "`shop.cart.>` of stream SHOP"]),
        (
            stream("B", "subjects = [\"b\"]\nrepublish_prefix = \"ntf.SHOP\""),
            &["streams[B].republish_prefix", "stream SHOP"],
        ),
        (stream("B", "subjects = [\"b\"]\nrepublish_prefix = \"ntf.SHOP.b\""), &["streams[B].republish_prefix"]),
        (stream("B", "subjects = [\"b\"]\nrepublish_prefix = \"ntf\""), &["streams[B].republish_prefix"]),
        (stream("B", "subjects = [\"ntf.SHOP.x\"]"), &["streams[B].subjects", "stream SHOP republishes"]),
        (
            stream("B", "subjects = [\"b\"]\nrepublish_prefix = \"shop.order\""),
            &["streams[SHOP].subjects", "stream B republishes"],
        ),
    ];
    for (text, parts) in rows {
        refused(&format!("{SHOP}{text}"), parts);
    }
    read(&format!("{SHOP}{}", stream("B", "subjects = [\"b.>\"]"))).expect("two streams apart hold");
}

#[test]
fn a_rule_that_cannot_keep_its_promise_is_refused() {
    let latest = "delivery = \"latest\"\nstream = \"SHOP\"";
    let durable = "delivery = \"durable\"\nstream = \"SHOP\"";
    let rows: Vec<(String, &[&str])> = vec![
        (rule("a..b", "delivery = \"live\""), &["subjects[a..b]", "empty token"]),
        (rule("_INBOX.>", "delivery = \"live\""), &["subjects[_INBOX.>]", "messaging system"]),
        (rule(">", "delivery = \"live\""), &["subjects[>]", "`ntf.SHOP.>`", "narrow"]),
        (rule("ntf.SHOP.a", "delivery = \"live\""), &["subjects[ntf.SHOP.a]", "republishes"]),
        (
            rule("shop.cart.a", "delivery = \"live\""),
            &["subjects[shop.cart.a]", "`shop.cart.>` before it", "move it up"],
        ),
        (rule("x", "delivery = \"live\"\nstream = \"SHOP\""), &["subjects[x].stream", "live"]),
        (rule("x", "delivery = \"durable\""), &["subjects[x].stream", "not set", "[[streams]]"]),
        (rule("x", "delivery = \"latest\""), &["subjects[x].stream", "not set"]),
        (rule("x", "delivery = \"durable\"\nstream = \"SHOPS\""), &["subjects[x].stream", "`SHOPS`"]),
        (rule("x", durable), &["subjects[x].stream", "no single subject", "shop.cart.>, shop.order.*"]),
        (rule("shop.>", durable), &["subjects[shop.>].stream", "no single subject"]),
        (rule("shop.order.>", durable), &["subjects[shop.order.>].stream", "no single subject"]),
        (rule("shop.order.*", latest), &["subjects[shop.order.*].delivery", "serves `durable` already"]),
    ];
    for (text, parts) in rows {
        refused(&format!("{SHOP}{text}"), parts);
    }
    read(&format!("{SHOP}{}", rule("shop.order.1", durable))).expect("a narrower pattern holds");
}

#[test]
fn latest_keeps_one_event_of_each_subject() {
    let latest = rule("p.*", "delivery = \"latest\"\nstream = \"P\"");
    let with = |fields: &str| format!("{}{latest}", stream("P", &format!("subjects = [\"p.*\"]\n{fields}")));
    refused(&with("max_messages_per_subject = 2"), &["streams[P].max_messages_per_subject", "is 2", "`latest`"]);
    for fields in ["", "max_messages_per_subject = 1"] {
        let config = read(&with(fields)).expect(fields);
        assert_eq!(config.streams[0].kept_per_subject(Delivery::Latest), Some(1));
    }
}

#[test]
fn an_event_is_known_again_for_no_longer_than_it_is_kept() {
    for (fields, expected) in [("", 120), ("max_age = \"5s\"", 5), ("max_age = \"1h\"\nduplicate_window = \"9s\"", 9)] {
        let config = read(&stream("S", &format!("subjects = [\"a\"]\n{fields}"))).expect(fields);
        assert_eq!(config.streams[0].knows_again(), Span::seconds(expected), "{fields}");
    }
}
