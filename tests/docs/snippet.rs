//! Blocks that nobody types, held against whatever would read them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use notifier::codec::Encoding;
use serde_json::Value;
use tempfile::TempDir;
use toml::{Table, Value as Setting};

use crate::{
    block::{Block, Language},
    shell::{NATS_SERVER, tool},
};

/// What is wrong with a block; nothing where it holds.
pub fn fault(block: &Block, page: &str) -> Option<String> {
    let outcome = match block.language {
        Language::Toml => settings(&block.text),
        Language::Json if page == "docs/protocol.md" => frames(&block.text),
        Language::Json => objects(&block.text).map(drop),
        Language::Js => passes("a.mjs", &block.text, |file| Command::new("node").arg("--check").arg(file).output()),
        Language::Python => {
            passes("a.py", &block.text, |file| Command::new("python3").args(["-m", "py_compile"]).arg(file).output())
        }
        Language::Conf => passes("nats.conf", &block.text, |file| {
            let mut server = Command::new(&*NATS_SERVER);
            // The page leaves passwords to the environment.
            server.args(["-t", "--config"]).arg(file).env("NOTIFIER_PASSWORD", "n").env("CART_PASSWORD", "c").output()
        }),
        Language::Yaml => passes("rules.yaml", &block.text, |file| {
            Command::new(&*PROMTOOL).args(["check", "rules"]).arg(file).output()
        }),
        Language::Text => Ok(()),
    };
    outcome.err().map(|why| format!("line {}: {why}", block.line))
}

static PROMTOOL: LazyLock<PathBuf> = LazyLock::new(|| tool("promtool.sh"));

/// Files that settings name: any text will do, as long as it is there.
const SECRETS: &str = "/run/secrets/";

/// Whether `notifier check` takes them. A part of a file is made whole first, with what it does not speak of: everybody
/// may come in and, where there are tokens, use everything. What it names under `/run/secrets` is there.
fn settings(text: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|problem| problem.to_string())?;
    let here = format!("{}/", folder.path().display());
    for name in text.split(SECRETS).skip(1).filter_map(|rest| rest.split('"').next()) {
        fs::write(folder.path().join(name), "a secret of some length").map_err(|problem| problem.to_string())?;
    }
    let table: Table = toml::from_str(&text.replace(SECRETS, &here)).map_err(|problem| problem.to_string())?;
    let whole = toml::to_string(&completed(table)).map_err(|problem| problem.to_string())?;
    passes("notifier.toml", &whole, |file| {
        let mut check = Command::new(env!("CARGO_BIN_EXE_notifier"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("NOTIFIER_")) {
            check.env_remove(name);
        }
        check.arg("check").arg("--config").arg(file).output()
    })
}

fn completed(mut table: Table) -> Table {
    let auth = table.entry("auth").or_insert_with(|| Table::new().into());
    let mode = auth.as_table_mut().map(|auth| auth.entry("mode").or_insert_with(|| "anonymous".into()).clone());
    if mode == Some("jwt".into()) && !table.contains_key("grants") {
        let everything = Table::from_iter([
            ("role".to_owned(), Setting::from("*")),
            ("subscribe".to_owned(), Setting::Array(vec![">".into()])),
        ]);
        table.insert("grants".into(), Setting::Array(vec![everything.into()]));
    }
    table
}

/// Whether each object is a frame, from clients or from nodes, of which nothing is unknown or left at its default:
/// written again it is the same.
fn frames(text: &str) -> Result<(), String> {
    for shown in objects(text)? {
        let line = shown.to_string();
        // Both sides have a `ping`, with other fields.
        let readings = [client_frame(&line), server_frame(&line)];
        if readings.iter().any(|read| matches!(read, Ok(Some(read)) if *read == shown)) {
            continue;
        }
        return Err(match readings {
            [Ok(Some(read)), _] | [_, Ok(Some(read))] => format!("{line} is read as {read}"),
            [Err(why), _] | [_, Err(why)] => format!("{line}: {why}"),
            [Ok(None), Ok(None)] => format!("{line} is neither a client's frame nor a node's"),
        });
    }
    Ok(())
}

/// A line as a client's frame, written again; none when its body is unknown.
fn client_frame(line: &str) -> Result<Option<Value>, String> {
    let mut frames = Encoding::Json.read_client(line.as_bytes()).map_err(|why| why.to_string())?;
    let frame = frames.pop().ok_or("it is empty")?.map_err(|invalid| invalid.to_string())?;
    frame.body.is_some().then(|| serde_json::to_value(&frame)).transpose().map_err(|problem| problem.to_string())
}

/// A line as a node's frame, written again; none when its body is unknown.
fn server_frame(line: &str) -> Result<Option<Value>, String> {
    let mut frames = Encoding::Json.read_server(line.as_bytes()).map_err(|why| why.to_string())?;
    let frame = frames.pop().ok_or("it is empty")?;
    frame.body.is_some().then(|| serde_json::to_value(&frame)).transpose().map_err(|problem| problem.to_string())
}

/// One JSON value behind the other.
fn objects(text: &str) -> Result<Vec<Value>, String> {
    let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
    values.map_err(|problem| problem.to_string())
}

/// Whether a program finds nothing wrong with a file.
fn passes(
    name: &str,
    text: &str,
    program: impl FnOnce(&Path) -> std::io::Result<std::process::Output>,
) -> Result<(), String> {
    let folder = TempDir::new().map_err(|problem| problem.to_string())?;
    let file = folder.path().join(name);
    fs::write(&file, text).map_err(|problem| problem.to_string())?;
    let output = program(&file).map_err(|problem| format!("{name} cannot be checked: {problem}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err([output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).trim().to_owned()).join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_hold_is_a_fault() {
        let rows = [
            (Language::Toml, "[server]\nlissen = 1", "server.listen"),
            (Language::Toml, "[auth]\nmode = \"jwt\"", "auth.issuers"),
            (Language::Json, "{\"id\": 1, \"subscribe\": {\"subjcet\": \"a\"}}", "is read as"),
            (Language::Json, "{\"id\": 1, \"subscirbe\": {}}", "neither"),
            (Language::Json, "{\"ping\": {\"broker\": \"\"}}", "is read as"),
            (Language::Json, "{", "EOF"),
            (Language::Js, "const a = ;", "SyntaxError"),
            (Language::Conf, "jetstream { store_dir: ", "Parse error"),
            (Language::Yaml, "groups:\n  - name: a\n    rules: [{alert: b, expr: 'sum('}]", "parse"),
        ];
        for (language, text, part) in rows {
            let block = Block { line: 3, language, text: text.into() };
            let fault = fault(&block, "docs/protocol.md").unwrap_or_default();
            assert!(fault.starts_with("line 3: ") && fault.contains(part), "{text}: {fault}");
        }
        for (language, text) in [
            (Language::Toml, "[broker.nats]\npassword_file = \"/run/secrets/a\"\nuser = \"n\""),
            (
                Language::Json,
                "{\"id\": 1, \"subscribe\": {\"subject\": \"a\"}}\n{\"replyTo\": 1, \"unsubscribed\": {\"subject\": \"a\"}}",
            ),
        ] {
            let block = Block { line: 3, language, text: text.into() };
            assert_eq!(fault(&block, "docs/protocol.md"), None);
        }
    }
}
