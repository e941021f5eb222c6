//! Questions to the schema: which keys exist, which key resembles another, and
//! the elements of a list.

use serde_json::Value as Schema;
use toml::{Table, Value};

/// The first key of the file that the schema does not know, with the one that
/// resembles it most.
pub(crate) fn unknown_key(
    table: &Table,
    node: &Schema,
    root: &Schema,
    within: &str,
) -> Option<(String, Option<String>)> {
    let known = properties(node, root)?;
    table.iter().find_map(|(key, value)| match known.get(key) {
        None => Some((format!("{within}{key}"), nearest(key, node, root, within))),
        Some(child) => {
            let within = format!("{within}{key}.");
            match value {
                Value::Table(table) => unknown_key(table, child, root, &within),
                Value::Array(list) => {
                    let element = elements(child, root)?;
                    list.iter().find_map(|table| unknown_key(table.as_table()?, element, root, &within))
                }
                _ => None,
            }
        }
    })
}

pub(crate) fn nearest(key: &str, node: &Schema, root: &Schema, within: &str) -> Option<String> {
    /// Below this two words have nothing to do with each other.
    const RESEMBLANCE: f64 = 0.7;
    properties(node, root)?
        .keys()
        .map(|known| (strsim::jaro_winkler(key, known), known))
        .filter(|(resemblance, _)| *resemblance >= RESEMBLANCE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| format!("{within}{known}"))
}

pub(crate) fn properties<'s>(node: &'s Schema, root: &'s Schema) -> Option<&'s serde_json::Map<String, Schema>> {
    resolve(node, root)["properties"].as_object()
}

/// The schema of the elements of a list of tables.
pub(crate) fn elements<'s>(node: &'s Schema, root: &'s Schema) -> Option<&'s Schema> {
    let element = &resolve(node, root)["items"];
    properties(element, root).map(|_| element)
}

/// Follows a reference into `$defs`; an optional value is `anyOf [it, null]`.
pub(crate) fn resolve<'s>(node: &'s Schema, root: &'s Schema) -> &'s Schema {
    let node = node["anyOf"].as_array().and_then(|any| any.first()).unwrap_or(node);
    match node["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        Some(name) => &root["$defs"][name],
        None => node,
    }
}
