//! Settings in `NOTIFIER_*` variables. The type of the setting decides how a
//! variable is read, so users do not quote for the shell and for TOML at once.

use serde_json::Value as Schema;
use toml::{Table, Value};

use crate::config::{
    error::ConfigError,
    schema::{elements, nearest, properties, resolve},
    settings::Config,
};

/// Prefix of the variables' names.
const PREFIX: &str = "NOTIFIER_";

/// Variables of the build and of the tests, which begin like settings.
const NOT_SETTINGS: &[&str] = &["NOTIFIER_COMMIT", "NOTIFIER_CACHE", "NOTIFIER_TEST_"];

/// Applies the settings of the environment over those of the file.
///
/// # Errors
/// Names the variable.
pub(crate) fn overrule(
    table: &mut Table,
    schema: &Schema,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<(), ConfigError> {
    for (name, value) in environment {
        let other = NOT_SETTINGS.iter().any(|other| name.starts_with(other)) || is_of_service(&name, &value);
        // An empty variable is how a manifest leaves a setting out.
        if name.starts_with(PREFIX) && !other && !value.is_empty() {
            set_variable(table, schema, &name, value)?;
        }
    }
    Ok(())
}

/// Whether Kubernetes made a variable for a Service whose name begins with
/// `notifier`: it adds these to every pod of the namespace, in the form of
/// Docker's links too (`enableServiceLinks`).
fn is_of_service(name: &str, value: &str) -> bool {
    let link = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let of_port = || {
        let (_, port) = name.rsplit_once("_PORT_")?;
        let (number, protocol) = port.split_once('_')?;
        let protocol = protocol.split('_').next()?;
        let known = ["TCP", "UDP", "SCTP"].contains(&protocol);
        (known && !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())).then_some(())
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.ends_with("_PORT") && link)
        || of_port().is_some()
}

/// `NOTIFIER_SERVER__LISTEN` sets `server.listen`.
fn set_variable(table: &mut Table, schema: &Schema, name: &str, text: String) -> Result<(), ConfigError> {
    let path: Vec<String> = name[PREFIX.len()..].split("__").map(str::to_lowercase).collect();
    let unknown = |nearest| ConfigError::UnknownKey { origin: name.into(), key: path.join("."), nearest };
    let mut node = schema;
    let mut within = String::new();
    for key in &path {
        let Some(next) = properties(node, schema).and_then(|known| known.get(key)) else {
            return Err(unknown(nearest(key, node, schema, &within)));
        };
        if elements(next, schema).is_some() {
            let problem = format!("`{key}` is a list of tables; write it in the file, as [[{key}]] sections");
            return Err(ConfigError::Parse { origin: name.into(), problem });
        }
        within = format!("{within}{key}.");
        node = next;
    }
    let value = typed(text, node, schema).map_err(|problem| ConfigError::Parse { origin: name.into(), problem })?;
    let (last, tables) = path.split_last().ok_or_else(|| unknown(None))?;
    let mut place = &mut *table;
    for key in tables {
        place = place
            .entry(key.clone())
            .or_insert_with(|| Value::Table(Table::new()))
            .as_table_mut()
            .ok_or_else(|| unknown(None))?;
    }
    place.insert(last.clone(), value);
    // Alone, so that an error names this variable.
    Config::try_from_table(table).map(drop).map_err(|problem| ConfigError::Parse { origin: name.into(), problem })
}

impl Config {
    fn try_from_table(table: &Table) -> Result<Self, String> {
        table.clone().try_into().map_err(|error: toml::de::Error| error.to_string())
    }
}

/// Reads a variable as the type that the key has; lists are separated by commas.
fn typed(text: String, node: &Schema, root: &Schema) -> Result<Value, String> {
    let node = resolve(node, root);
    let is = |wanted: &str| match &node["type"] {
        Schema::String(one) => one == wanted,
        Schema::Array(many) => many.iter().any(|one| one == wanted),
        _ => false,
    };
    if is("boolean") {
        text.parse().map(Value::Boolean).map_err(|_| format!("`{text}` is neither true nor false"))
    } else if is("integer") {
        text.parse().map(Value::Integer).map_err(|_| format!("`{text}` is no whole number"))
    } else if is("array") {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        Ok(Value::Array(items.map(|item| Value::String(item.into())).collect()))
    } else if is("object") {
        Err("is a table; set one of its keys, joined by two underscores".into())
    } else {
        Ok(Value::String(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Result<Table, ConfigError> {
        let (mut table, schema) = (Table::new(), schemars::schema_for!(Config).to_value());
        overrule(&mut table, &schema, [(name.to_owned(), value.to_owned())]).map(|()| table)
    }

    /// As a pod finds them beside Services `notifier`, `notifier-internal` and `notifier-nats`.
    #[test]
    fn variables_that_kubernetes_makes_for_services_are_no_settings() {
        for service in ["NOTIFIER", "NOTIFIER_INTERNAL", "NOTIFIER_NATS", "NOTIFIER_SERVICE", "NOTIFIER_PORT"] {
            let forms = [
                ("SERVICE_HOST", "10.0.0.1"),
                ("SERVICE_PORT", "4222"),
                ("SERVICE_PORT_CLIENT", "4222"),
                ("SERVICE_PORT_NATS_MQTT", "1883"),
                ("PORT", "tcp://10.0.0.1:4222"),
                ("PORT_4222_TCP", "tcp://10.0.0.1:4222"),
                ("PORT_4222_TCP_PROTO", "tcp"),
                ("PORT_4222_TCP_PORT", "4222"),
                ("PORT_4222_TCP_ADDR", "10.0.0.1"),
                ("PORT_53_UDP_ADDR", "10.0.0.1"),
            ];
            for (form, value) in forms {
                let name = format!("{service}_{form}");
                assert_eq!(set(&name, value).expect(&name), Table::new());
            }
        }
        set("NOTIFIER_SERVER_PORT", "8080").expect_err("somebody means a setting");
    }
}
