//! Streams of JetStream are checked and made to fit, by a real nats-server.

use std::time::Duration;

use futures_util::StreamExt as _;
use notifier::{
    broker::{Difference, Report, StreamError, Streams},
    config::{BrokerKind, Config, SettingsFile, load},
};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::process::Command;

use super::world::{NatsServer, free_address, soon};

/// Two streams, as a shop has them.
const SHOP: &str = r#"
    [auth]
    mode = "anonymous"
    [[streams]]
    name = "SHOP"
    subjects = ["shop.cart.>"]
    max_age = "1h"
    [[streams]]
    name = "PRICES"
    subjects = ["shop.price.*"]
    [[subjects]]
    pattern = "shop.cart.>"
    delivery = "durable"
    stream = "SHOP"
    [[subjects]]
    pattern = "shop.price.*"
    delivery = "latest"
    stream = "PRICES"
"#;

fn config(server: &NatsServer, text: &str) -> Config {
    let source = SettingsFile { origin: "test".into(), text: text.into() };
    let mut config = load(Some(&source), [], &Default::default()).expect("it parses");
    config.broker.kind = BrokerKind::Nats;
    config.broker.nats.urls = vec![server.url().into()];
    config.validate().expect("it holds");
    config
}

async fn streams(server: &NatsServer, text: &str) -> Streams {
    Streams::connect(&config(server, text)).await.expect("a connection")
}

/// What became of the first stream.
fn first(results: Vec<(&str, Result<Report, StreamError>)>) -> Result<Report, StreamError> {
    let (name, result) = results.into_iter().next().expect("a stream");
    assert_eq!(name, "SHOP");
    result
}

/// A request about streams as an operator's tools make it; without a body where it is null.
async fn jetstream(server: &NatsServer, request: &str, body: &Value) -> Value {
    server.api(&format!("STREAM.{request}"), body).await
}

async fn settings(server: &NatsServer, name: &str) -> Value {
    jetstream(server, &format!("INFO.{name}"), &Value::Null).await["config"].clone()
}

fn named(changes: &[Difference]) -> Vec<&str> {
    changes.iter().map(|change| change.setting).collect()
}

#[tokio::test]
async fn a_stream_is_created_once_and_fits_from_then_on() {
    let server = NatsServer::jetstream().await;
    let streams = streams(&server, SHOP).await;
    for (_, result) in streams.check().await {
        assert!(matches!(result, Err(StreamError::Missing)), "{result:?}");
    }
    for (name, result) in streams.apply().await {
        let report = result.expect(name);
        assert!(report.created && report.changes.is_empty() && report.notes.is_empty(), "{report:?}");
    }
    let made = settings(&server, "SHOP").await;
    assert_eq!(made["republish"], json!({"src": ">", "dest": "ntf.SHOP.>"}));
    assert_eq!((&made["allow_direct"], &made["max_age"]), (&json!(true), &json!(3_600_000_000_000_u64)));
    assert_eq!(settings(&server, "PRICES").await["max_msgs_per_subject"], 1);
    for results in [streams.check().await, streams.apply().await] {
        for (name, result) in results {
            let report = result.expect(name);
            assert!(!report.created && report.changes.is_empty() && report.notes.is_empty(), "{report:?}");
        }
    }
    assert_eq!(settings(&server, "SHOP").await, made);
}

#[tokio::test]
async fn a_stream_that_is_there_gets_what_it_lacks_and_keeps_the_rest() {
    let server = NatsServer::jetstream().await;
    let theirs = json!({
        "name": "SHOP", "subjects": ["orders.>"], "storage": "file", "retention": "limits", "max_age": 1_000_000_000,
        "max_msgs": 7, "description": "ours", "allow_rollup_hdrs": true, "allow_msg_ttl": true,
        "metadata": {"team": "shop"}, "compression": "s2", "duplicate_window": 1_000_000_000, "max_bytes": -1,
    });
    jetstream(&server, "CREATE.SHOP", &theirs).await;
    let streams = streams(&server, &SHOP.replace("max_age = \"1h\"", "max_age = \"1h\"\nmax_bytes = \"1MiB\"")).await;
    let error = first(streams.check().await).expect_err("it differs");
    let StreamError::Differs(differences) = &error else { panic!("{error}") };
    let lacking = ["subjects", "republish", "allow_direct", "max_age", "max_msgs", "duplicate_window"];
    assert_eq!(named(&differences.0), lacking);
    assert_eq!(settings(&server, "SHOP").await["subjects"], json!(["orders.>"]), "a check changes nothing");
    let report = first(streams.apply().await).expect("it fits now");
    assert_eq!(named(&report.changes), lacking);
    // No limit was there, so none is set.
    assert!(report.notes.iter().any(|note| note.contains("max_bytes is unlimited")), "{:?}", report.notes);
    let now = settings(&server, "SHOP").await;
    assert_eq!(now["subjects"], json!(["orders.>", "shop.cart.>"]));
    assert_eq!((&now["max_bytes"], &now["max_msgs"]), (&json!(-1), &json!(-1)));
    for kept in ["description", "allow_rollup_hdrs", "allow_msg_ttl", "compression"] {
        assert_eq!(now[kept], theirs[kept], "{kept}");
    }
    assert_eq!(now["metadata"]["team"], "shop");
}

#[tokio::test]
async fn limits_are_raised_and_never_lowered() {
    let server = NatsServer::jetstream().await;
    let limited = |age: &str| SHOP.replace("max_age = \"1h\"", &format!("max_age = \"{age}\""));
    let hour = json!(3_600_000_000_000_u64);
    for (age, created, changes, expected) in [
        ("30m", true, vec![], json!(1_800_000_000_000_u64)),
        ("1h", false, vec!["max_age"], hour.clone()),
        ("1m", false, vec![], hour),
    ] {
        let report = first(streams(&server, &limited(age)).await.apply().await).expect(age);
        assert_eq!((report.created, named(&report.changes)), (created, changes), "{age}");
        assert_eq!(settings(&server, "SHOP").await["max_age"], expected, "{age}");
    }
    let report = first(streams(&server, &limited("1m")).await.check().await).expect("more than asked for fits");
    assert!(report.notes[0].contains("max_age is 1h, more than the 1m"), "{:?}", report.notes);
}

#[tokio::test]
async fn what_somebody_else_republishes_is_not_touched() {
    let server = NatsServer::jetstream().await;
    let theirs = json!({
        "name": "SHOP", "subjects": ["shop.cart.>"], "storage": "file", "retention": "limits",
        "republish": {"src": ">", "dest": "theirs.>"},
    });
    jetstream(&server, "CREATE.SHOP", &theirs).await;
    let before = settings(&server, "SHOP").await;
    let error = first(streams(&server, SHOP).await.apply().await).expect_err("it differs");
    let said = error.to_string();
    assert!(said.contains("republish: is `>` to `theirs.>`") && said.contains("republish_prefix"), "{said}");
    assert!(!error.retryable());
    assert_eq!(settings(&server, "SHOP").await, before);
}

#[tokio::test]
async fn a_stream_that_stores_events_where_nobody_is_subscribed_is_refused() {
    let server = NatsServer::jetstream().await;
    let transformed = |source: &str, destination: &str| {
        json!({
            "name": "SHOP", "subjects": ["shop.cart.>", "in.>"], "storage": "file", "retention": "limits",
            "allow_direct": true, "republish": {"src": ">", "dest": "ntf.SHOP.>"},
            "subject_transform": {"src": source, "dest": destination},
        })
    };
    jetstream(&server, "CREATE.SHOP", &transformed("shop.cart.>", "archive.>")).await;
    let before = settings(&server, "SHOP").await;
    let streams = streams(&server, SHOP).await;
    for results in [streams.check().await, streams.apply().await] {
        let error = first(results).expect_err("it differs");
        assert!(!error.retryable() && error.to_string().contains("subject_transform: is `shop.cart.>` to `archive.>`"));
    }
    assert_eq!(settings(&server, "SHOP").await, before, "it is left to people");
    let (code, said, _) = run("check", SHOP, &server.url()).await;
    assert!(code == Some(1) && said.contains("subject_transform") && said.contains("by hand"), "{said}");
    // What ends within the stream's subjects is served by what is stored.
    jetstream(&server, "UPDATE.SHOP", &transformed("in.*", "shop.cart.{{wildcard(1)}}")).await;
    let report = first(streams.check().await).expect("it fits");
    assert!(!report.notes.iter().any(|note| note.contains("transform")), "{:?}", report.notes);
    let report = first(streams.apply().await).expect("it fits");
    assert!(!named(&report.changes).contains(&"subject_transform"), "{report:?}");
    assert_eq!(settings(&server, "SHOP").await["subject_transform"]["src"], "in.*", "it is handed back");
}

#[tokio::test]
async fn what_a_source_stores_where_nobody_is_subscribed_is_noted_and_a_mirror_is_refused() {
    let server = NatsServer::jetstream().await;
    jetstream(&server, "CREATE.OLD", &json!({"name": "OLD", "subjects": ["old.>"]})).await;
    let sourced = json!({
        "name": "SHOP", "subjects": ["shop.cart.>"], "storage": "file", "retention": "limits", "allow_direct": true,
        "republish": {"src": ">", "dest": "ntf.SHOP.>"}, "duplicate_window": 120_000_000_000_u64,
        "sources": [{"name": "OLD", "subject_transforms": [{"src": "old.*", "dest": "carts.{{wildcard(1)}}"}]}],
    });
    jetstream(&server, "CREATE.SHOP", &sourced).await;
    let checked = streams(&server, SHOP).await;
    let report = first(checked.check().await).expect("it fits");
    let noted = report.notes.iter().any(|note| note.contains("source OLD stores `old.*` to `carts.{{wildcard(1)}}`"));
    assert!(noted, "{:?}", report.notes);
    jetstream(&server, "DELETE.SHOP", &Value::Null).await;
    let mirror = json!({
        "name": "SHOP", "storage": "file", "retention": "limits", "allow_direct": true,
        "mirror": {"name": "OLD", "subject_transforms": [{"src": "old.*", "dest": "shop.cart.{{wildcard(1)}}"}]},
    });
    jetstream(&server, "CREATE.SHOP", &mirror).await;
    let error = first(checked.check().await).expect_err("it differs").to_string();
    assert!(error.contains("mirror: is set, has to be not set"), "{error}");
}

#[tokio::test]
async fn many_that_start_at_once_end_with_the_same_stream() {
    let server = NatsServer::jetstream().await;
    for text in [SHOP.to_owned(), SHOP.replace("[\"shop.cart.>\"]", "[\"shop.cart.>\", \"shop.order.>\"]")] {
        let mut nodes = Vec::new();
        for _ in 0..8 {
            nodes.push(streams(&server, &text).await);
        }
        for results in futures_util::future::join_all(nodes.iter().map(Streams::apply)).await {
            for (name, result) in results {
                result.expect(name);
            }
        }
    }
    assert_eq!(settings(&server, "SHOP").await["subjects"], json!(["shop.cart.>", "shop.order.>"]));
}

#[tokio::test]
async fn creating_a_stream_that_another_made_otherwise_ends_in_comparing() {
    let server = NatsServer::jetstream().await;
    let [one, other] = [SHOP.to_owned(), SHOP.replace("1h", "2h")];
    let (one, other) = (streams(&server, &one).await, streams(&server, &other).await);
    let (one, other) = tokio::join!(one.apply(), other.apply());
    for result in [first(one), first(other)] {
        result.expect("it keeps enough for both");
    }
    assert_eq!(settings(&server, "SHOP").await["max_age"], json!(7_200_000_000_000_u64));
}

#[tokio::test]
async fn a_state_tells_how_far_a_stream_has_come_and_whether_it_is_another_one() {
    let server = NatsServer::jetstream().await;
    let streams = streams(&server, SHOP).await;
    assert!(matches!(streams.state("SHOP").await, Err(StreamError::Missing)));
    streams.apply().await;
    let empty = streams.state("SHOP").await.expect("a state");
    assert_eq!((empty.first, empty.last, empty.messages, empty.bytes), (1, 0, 0, 0));
    let client = server.client().await;
    for _ in 0..3 {
        client.request("shop.cart.u1", "{}".into()).await.expect("an acknowledgement");
    }
    let state = streams.state("SHOP").await.expect("a state");
    assert_eq!((state.epoch, state.first, state.last, state.messages), (empty.epoch, 1, 3, 3));
    jetstream(&server, "PURGE.SHOP", &json!({})).await;
    let purged = streams.state("SHOP").await.expect("a state");
    assert_eq!((purged.epoch, purged.first, purged.last, purged.messages), (empty.epoch, 4, 3, 0));
    jetstream(&server, "DELETE.SHOP", &Value::Null).await;
    streams.apply().await;
    assert!(streams.state("SHOP").await.expect("a state").epoch > empty.epoch);
}

#[tokio::test]
async fn what_a_stream_stores_reappears_though_nobody_may_publish_there() {
    let users = "authorization { users: [{ user: n, password: n, permissions: { publish: { deny: \"ntf.>\" } } }] }";
    let server = NatsServer::jetstream_with(users).await;
    let mut config = config(&server, SHOP);
    config.broker.nats.user = Some("n".into());
    config.broker.nats.password = Some("n".to_owned().into());
    Streams::connect(&config).await.expect("a connection").apply().await;
    let options = async_nats::ConnectOptions::with_user_and_password("n".into(), "n".into());
    let client = options.connect(server.url()).await.expect("a connection");
    let mut republished = client.subscribe("ntf.SHOP.>").await.expect("a subscription");
    // Refused: it does not arrive.
    client.publish("ntf.SHOP.shop.cart.u1", "forged".into()).await.expect("room");
    client.request("shop.cart.u1", "true".into()).await.expect("an acknowledgement");
    let message = soon("an event", republished.next()).await.expect("an open connection");
    assert_eq!((message.subject.as_str(), &message.payload[..]), ("ntf.SHOP.shop.cart.u1", &b"true"[..]));
    let headers = message.headers.expect("headers");
    assert_eq!(headers.get_last("Nats-Sequence").map(|value| value.as_str()), Some("1"));
}

#[tokio::test]
async fn a_server_without_jetstream_is_told_so() {
    let server = NatsServer::start().await;
    let error = first(streams(&server, SHOP).await.apply().await).expect_err("there is none");
    assert!(matches!(error, StreamError::Disabled) && error.to_string().contains("jetstream {}"), "{error}");
}

#[tokio::test]
async fn a_missing_permission_is_named() {
    let denied = "authorization { users: [{ user: n, password: n, permissions: { publish: [\"shop.>\"] } }] }";
    let server = NatsServer::jetstream_with(denied).await;
    let mut config = config(&server, SHOP);
    config.broker.nats.user = Some("n".into());
    config.broker.nats.password = Some("n".to_owned().into());
    let streams = Streams::connect(&config).await.expect("a connection");
    let error = first(streams.check().await).expect_err("it may not ask");
    assert!(matches!(error, StreamError::Denied { .. }), "{error}");
    assert!(error.to_string().contains("`$JS.API.STREAM.INFO.SHOP`"), "{error}");
}

#[tokio::test]
async fn a_check_also_reads_as_nodes_do() {
    let may_not = |denied: &str| {
        format!(
            "authorization {{ users: [{{ user: n, password: n, permissions: {{
                publish: {{ allow: [\">\"], deny: [{denied}] }} }} }}] }}"
        )
    };
    let mut server = NatsServer::jetstream_with(&may_not("")).await;
    let store = server.store();
    let mut config = config(&server, SHOP);
    config.broker.nats.user = Some("n".into());
    config.broker.nats.password = Some("n".to_owned().into());
    let streams = Streams::connect(&config).await.expect("a connection");
    for (name, result) in streams.apply().await {
        result.expect(name);
    }
    server.reload(&format!("jetstream {{ store_dir: {store:?} }}\n{}", may_not("\"$JS.API.DIRECT.GET.>\"")));
    let mut error = None;
    // The server closes the connection of a user whose permissions change.
    while error.as_ref().is_none_or(|error| matches!(error, StreamError::Away)) {
        let Ok(streams) = Streams::connect(&config).await else { continue };
        error = first(streams.check().await).err();
    }
    let error = error.expect("it may not read").to_string();
    assert!(error.contains("Permissions Violation") && error.contains("`$JS.API.DIRECT.GET.SHOP`"), "{error}");
}

/// Runs the command as an operator does: exit code, standard output and error.
async fn run(verb: &str, text: &str, url: &str) -> (Option<i32>, String, String) {
    let file = NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("room");
    let output = Command::new(env!("CARGO_BIN_EXE_notifier"))
        .args(["streams", verb, "--nats", url, "--config"])
        .arg(file.path())
        .output();
    let output = soon("the end of the command", output).await.expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn the_command_says_what_differs_and_what_it_did() {
    let server = NatsServer::jetstream().await;
    let unmanaged = SHOP.replace("max_age", "manage = false\nmax_age");
    let (code, said, problem) = run("check", &unmanaged, &server.url()).await;
    assert_eq!(code, Some(1), "{said}{problem}");
    assert!(said.contains("SHOP: the stream does not exist; run `notifier streams apply --config FILE`"), "{said}");
    assert!(problem.contains("0 of 2 streams fit"), "{problem}");
    let (code, said, problem) = run("apply", &unmanaged, &server.url()).await;
    assert_eq!(code, Some(0), "{said}{problem}");
    assert!(said.contains("SHOP: created") && said.contains("PRICES: created"), "{said}");
    let (code, said, problem) = run("check", &unmanaged, &server.url()).await;
    assert_eq!(code, Some(0), "{said}{problem}");
    assert!(said.contains("SHOP: fits; 0 events"), "{said}");
    let longer = unmanaged.replace("1h", "2h");
    let (code, said, _) = run("check", &longer, &server.url()).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("max_age: is 1h, has to be 2h; run `notifier streams apply --config FILE`"), "{said}");
    let (code, said, _) = run("apply", &longer, &server.url()).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("SHOP: changed") && said.contains("max_age: was 1h, is 2h"), "{said}");
}

#[tokio::test]
async fn the_command_ends_soon_where_it_cannot_work() {
    let nowhere = format!("nats://{}", free_address());
    let start = tokio::time::Instant::now();
    let (code, _, problem) = run("check", SHOP, &nowhere).await;
    assert_eq!(code, Some(1), "{problem}");
    assert!(problem.contains(&nowhere) && problem.contains("in broker.nats.urls"), "{problem}");
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    let (code, _, problem) = run("check", &SHOP.replace("stream = \"PRICES\"", ""), &nowhere).await;
    assert_eq!(code, Some(78), "{problem}");
    assert!(problem.contains("subjects[shop.price.*].stream"), "{problem}");
    let (code, said, _) = run("apply", "[auth]\nmode = \"anonymous\"", &nowhere).await;
    assert_eq!((code, said.trim()), (Some(0), "no streams are configured"));
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    let server = NatsServer::jetstream().await;
    server.signal("STOP");
    let (code, _, problem) = run("check", SHOP, &server.url()).await;
    server.signal("CONT");
    assert_eq!(code, Some(1), "{problem}");
    assert!(problem.contains("it does not answer within 4 s"), "{problem}");
}
