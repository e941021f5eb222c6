//! What is generated from the source and committed is current. With
//! `UPDATE_GENERATED=1` (`make generate`) these tests write it instead.

use std::{env, fmt::Write as _, fs, path::Path};

use notifier::{
    close::CloseReason,
    config,
    error::Code,
    metrics::{BUILD_INFO, SERIES},
};

/// Messages whose JSON form is written by hand (`src/proto/json.rs`, `client_json.rs`), or that
/// have none. That of all others follows from their fields.
const OF_THEIR_OWN: &[&str] = &["Event", "Envelope", "ClientFrame", "ServerFrame", "ClientBatch", "ServerBatch"];

#[test]
fn the_rust_types_of_the_contract_are_current() {
    let files = protox::compile(["notifier/v1/notifier.proto"], ["proto"]).expect("the contract compiles");
    let out = tempfile::tempdir().expect("a temporary folder");
    let mut build = prost_build::Config::new();
    build.out_dir(out.path()).bytes(["."]).btree_map(["."]);
    let messages = files.file.iter().flat_map(|file| &file.message_type).map(|message| message.name());
    for message in messages.filter(|name| !OF_THEIR_OWN.contains(name)) {
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

#[test]
fn the_reference_of_settings_is_current() {
    assert_current("docs/configuration.md", &config::reference());
}

#[test]
fn the_list_of_metrics_is_current() {
    let mut table = String::from("\n| series | kind | label | meaning |\n|---|---|---|---|\n");
    for series in SERIES.iter().chain([&BUILD_INFO]) {
        let label = series.label.unwrap_or("-");
        let kind = series.kind.to_lowercase();
        let _ = writeln!(table, "| `{}` | {kind} | {label} | {} |", series.name, series.help);
    }
    let (begin, end) = ("<!-- metrics:begin -->", "<!-- metrics:end -->");
    let path = "docs/operations/metrics.md";
    let page = fs::read_to_string(path).expect("the page");
    let (before, rest) = page.split_once(begin).expect("a place for the list");
    let (_, after) = rest.split_once(end).expect("an end of the list");
    assert_current(path, &format!("{before}{begin}\n{table}\n{end}{after}"));
}

#[test]
fn the_protocol_lists_exactly_the_codes_of_the_source() {
    let page = fs::read_to_string("docs/protocol.md").expect("docs/protocol.md");
    let mut expected: Vec<String> = Vec::new();
    for code in Code::ALL {
        let closes = code.close().map_or_else(|| "-".into(), |reason| reason.code().to_string());
        let retryable = if code.retryable() { "yes" } else { "no" };
        expected.push(format!(
            "| `{}` | {} | {closes} | {retryable} | {} |",
            code.label(),
            code.status(),
            code.meaning()
        ));
    }
    for reason in CloseReason::ALL {
        let reconnect = if reason.reconnect() { "yes" } else { "no" };
        expected.push(format!("| {} | `{}` | {reconnect} | {} |", reason.code(), reason.label(), reason.meaning()));
    }
    let row = |line: &&str| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let (first, second) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
        let name = |cell: &str| cell.len() > 2 && cell.starts_with('`') && cell.ends_with('`');
        let number = |cell: &str| cell.len() >= 3 && cell.bytes().all(|byte| byte.is_ascii_digit());
        (name(first) && number(second)) || (number(first) && name(second))
    };
    let listed: Vec<&str> = page.lines().filter(row).collect();
    assert_eq!(listed, expected);
}

#[test]
fn the_settings_of_every_deployment_hold() {
    for folder in ["kubernetes/base", "kubernetes/overlays/dev", "kubernetes/overlays/production", "compose"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(folder).join("notifier.toml");
        let source = config::SettingsFile::read(&path).expect("the file is there");
        let config = config::load(Some(&source), Vec::new(), &config::Flags::default()).expect("it parses");
        config.validate().expect("it holds");
    }
}

fn assert_current(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&path, text).expect("the file can be written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "{} is not current; run `make generate`", path.display());
}
