//! What is generated from the source and committed is current. With
//! `UPDATE_GENERATED=1` (`make generate`) these tests write it instead.

use std::{env, fs, path::Path};

/// Messages whose JSON form follows from their fields. `Event`, the frames and
/// the batches have forms of their own (`src/proto/json.rs`).
const PLAIN: &[&str] = &[
    "Position",
    "Subscription",
    "Connect",
    "Client",
    "Subscribe",
    "Unsubscribe",
    "Publish",
    "Request",
    "Fetch",
    "Refresh",
    "Pong",
    "Welcome",
    "Limits",
    "Subscribed",
    "Unsubscribed",
    "Replay",
    "Gap",
    "Ping",
    "Goaway",
    "Published",
    "Response",
    "Fetched",
    "Refreshed",
    "TokenExpiring",
    "Error",
];

#[test]
fn the_rust_types_of_the_contract_are_current() {
    let files = protox::compile(["notifier/v1/notifier.proto"], ["proto"]).expect("the contract compiles");
    let out = tempfile::tempdir().expect("a temporary folder");
    let mut build = prost_build::Config::new();
    build.out_dir(out.path()).bytes(["."]).btree_map(["."]);
    for message in PLAIN {
        let path = format!(".notifier.v1.{message}");
        build
            .message_attribute(&path, "#[derive(serde::Serialize, serde::Deserialize)]")
            .message_attribute(&path, "#[serde(rename_all = \"camelCase\", default)]")
            .field_attribute(&path, "#[serde(skip_serializing_if = \"crate::proto::json::is_default\")]");
    }
    build.compile_fds(files).expect("Rust types are generated");
    let generated = fs::read_to_string(out.path().join("notifier.v1.rs")).expect("one file per package");
    assert_current("src/proto/generated.rs", &generated);
}

fn assert_current(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&path, text).expect("the file can be written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "{} is not current; run `make generate`", path.display());
}
