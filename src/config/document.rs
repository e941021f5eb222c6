//! The reference of all settings as Markdown, from the structs themselves.

use std::fmt::Write as _;

use serde_json::Value as Schema;

use crate::config::{
    schema::{elements, resolve},
    settings::Config,
};

/// The text of `docs/configuration.md`.
pub fn reference() -> String {
    let schema = schemars::schema_for!(Config).to_value();
    // The one default that depends on the machine.
    let mut defaults = Config::default();
    defaults.node.name = "the host's name".into();
    let defaults = serde_json::to_value(&defaults).unwrap_or_default();
    let mut page = String::from(INTRODUCTION);
    tables(&mut page, &schema, &schema, &defaults, "");
    page
}

const INTRODUCTION: &str = "\
# Configuration

Generated from the source by `make generate`; do not edit.

Settings come from four layers; each takes precedence over the one before: defaults, the TOML file given with
`--config`, the environment, flags.

- The key `limits.connections` is `connections` under `[limits]` in the file and `NOTIFIER_LIMITS__CONNECTIONS` in the
  environment. Lists in the environment are separated by commas.
- A section in double brackets is repeated for each stream, rule or issuer, and can only be in the file.
- A secret can be in a file of its own (`.._file`). A relative path begins in the working directory.
- An empty variable counts as not set. Variables that Kubernetes makes for Services (`NOTIFIER_NATS_SERVICE_HOST`,
  `NOTIFIER_PORT`) are ignored.
- Times are written `250ms`, `30s`, `1m 30s`, sizes `512B`, `64KiB`, `1MiB`.
- An unknown key is an error that names the nearest known one. `notifier check --config FILE` validates all layers and
  prints the result with secrets redacted.

Flags: `--config FILE`, `--listen ADDR`, `--internal-listen ADDR`, `--nats URL` (repeatable), `--anonymous`,
`--log-format text|json`.
";

fn tables(page: &mut String, node: &Schema, root: &Schema, defaults: &Schema, within: &str) {
    let node = resolve(node, root);
    let title = within.trim_end_matches('.');
    section(page, node, root, defaults, &format!("[{title}]"));
    let Some(properties) = node["properties"].as_object() else { return };
    for (key, child) in properties {
        if let Some(element) = elements(child, root) {
            let element = resolve(element, root);
            let title = format!("{within}{key}");
            section(page, element, root, &own_defaults(element), &format!("[[{title}]]"));
            for (inner, child) in element["properties"].as_object().into_iter().flatten() {
                tables(page, child, root, &child["default"], &format!("{title}.{inner}."));
            }
        } else {
            tables(page, child, root, &defaults[key], &format!("{within}{key}."));
        }
    }
}

/// One table of the file; nothing where it only holds other tables.
fn section(page: &mut String, node: &Schema, root: &Schema, defaults: &Schema, title: &str) {
    let is_table = |child: &Schema| !resolve(child, root)["properties"].is_null() || elements(child, root).is_some();
    let required = |key: &str| node["required"].as_array().is_some_and(|keys| keys.iter().any(|one| one == key));
    let Some(properties) = node["properties"].as_object() else { return };
    let mut rows = properties.iter().filter(|(_, child)| !is_table(child)).peekable();
    if rows.peek().is_none() {
        return;
    }
    let _ = write!(page, "\n## {title}\n\n{}\n\n| key | default | meaning |\n|---|---|---|\n", prose(node));
    for (key, child) in rows {
        let default = if required(key) { "required".into() } else { shown(&defaults[key]) };
        let _ = writeln!(page, "| `{key}` | {default} | {} |", prose(child));
    }
}

/// The defaults of an element, of which none is there by default.
fn own_defaults(element: &Schema) -> Schema {
    let properties = element["properties"].as_object().into_iter().flatten();
    properties.map(|(key, child)| (key.clone(), child["default"].clone())).collect::<serde_json::Map<_, _>>().into()
}

fn prose(node: &Schema) -> String {
    node["description"].as_str().unwrap_or_default().replace('\n', " ")
}

fn shown(default: &Schema) -> String {
    match default {
        Schema::Null => "not set".into(),
        Schema::String(text) if text == "the host's name" => text.clone(),
        Schema::String(text) => format!("`\"{text}\"`"),
        other => format!("`{other}`"),
    }
}
