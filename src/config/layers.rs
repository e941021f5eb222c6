//! How a configuration is put together: defaults, then the file, then
//! `NOTIFIER_*` variables, then flags. The types decide how a variable is
//! read, so nobody has to quote for the shell and for TOML at once.

use std::{
    fs::File,
    io::{self, Read as _},
    net::SocketAddr,
    path::Path,
};

use serde_json::Value as Schema;
use toml::{Table, Value};

use crate::config::{
    auth::AuthMode,
    error::ConfigError,
    settings::{BrokerKind, Config, LogFormat},
    units::Secret,
};

/// Largest configuration or secret file, bytes.
const FILE_BYTES: u64 = 1024 * 1024;

/// What a variable's name begins with.
const PREFIX: &str = "NOTIFIER_";

/// What begins like settings and is none: for a Service named `notifier`,
/// Kubernetes adds `NOTIFIER_SERVICE_HOST`, `NOTIFIER_PORT` and the like to
/// every pod of the namespace; the others are the build's and the tests'.
const NOT_SETTINGS: &[&str] =
    &["NOTIFIER_SERVICE_", "NOTIFIER_PORT", "NOTIFIER_COMMIT", "NOTIFIER_CACHE", "NOTIFIER_TEST_"];

/// What the command line may say; each overrules file and environment.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--listen`
    pub listen: Option<SocketAddr>,
    /// `--internal-listen`
    pub internal_listen: Option<SocketAddr>,
    /// `--nats`: servers, and with them the kind of broker.
    pub nats: Vec<String>,
    /// `--anonymous`
    pub anonymous: bool,
    /// `--log-format`
    pub log_format: Option<LogFormat>,
}

/// The text of a configuration file, and what to call it in errors.
#[derive(Clone, Debug)]
pub struct Source {
    /// Usually the file's path.
    pub origin: String,
    /// TOML.
    pub text: String,
}

impl Source {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError::Read`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Ok(Self { origin: path.display().to_string(), text: read_text(path)? })
    }
}

/// Reads file, environment and flags over the defaults. Does not yet
/// [`Config::validate`].
///
/// # Errors
/// See [`ConfigError`].
pub fn load(
    file: Option<&Source>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: &Flags,
) -> Result<Config, ConfigError> {
    let schema = schemars::schema_for!(Config).to_value();
    let mut table = match file {
        Some(source) => read_table(source, &schema)?,
        None => Table::new(),
    };
    for (name, value) in environment {
        if name.starts_with(PREFIX) && !NOT_SETTINGS.iter().any(|other| name.starts_with(other)) {
            set_variable(&mut table, &schema, &name, value)?;
        }
    }
    let mut config: Config = table.try_into().map_err(|error: toml::de::Error| ConfigError::Parse {
        origin: "environment".into(),
        problem: error.to_string(),
    })?;
    apply(flags, &mut config);
    read_secrets(&mut config)?;
    Ok(config)
}

fn read_table(source: &Source, schema: &Schema) -> Result<Table, ConfigError> {
    let origin = &source.origin;
    let parse = |error: toml::de::Error| ConfigError::Parse { origin: origin.clone(), problem: error.to_string() };
    let table: Table = toml::from_str(&source.text).map_err(parse)?;
    if let Some((key, nearest)) = unknown_key(&table, schema, schema, "") {
        return Err(ConfigError::UnknownKey { origin: origin.clone(), key, nearest });
    }
    // Typed once on its own: only the text itself can tell line and column.
    toml::from_str::<Config>(&source.text).map_err(parse)?;
    Ok(table)
}

/// A configuration or a secret is small; a device that never ends is neither.
fn read_text(path: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.into(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    let read = file.take(FILE_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if read as u64 > FILE_BYTES {
        return Err(failed(io::Error::other(format!("it has more than {FILE_BYTES} bytes"))));
    }
    Ok(text)
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

/// The first key of the file that the schema does not know, with the one that
/// resembles it most.
fn unknown_key(table: &Table, node: &Schema, root: &Schema, within: &str) -> Option<(String, Option<String>)> {
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

fn nearest(key: &str, node: &Schema, root: &Schema, within: &str) -> Option<String> {
    /// Below this two words have nothing to do with each other.
    const RESEMBLANCE: f64 = 0.7;
    properties(node, root)?
        .keys()
        .map(|known| (strsim::jaro_winkler(key, known), known))
        .filter(|(resemblance, _)| *resemblance >= RESEMBLANCE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| format!("{within}{known}"))
}

fn properties<'s>(node: &'s Schema, root: &'s Schema) -> Option<&'s serde_json::Map<String, Schema>> {
    resolve(node, root)["properties"].as_object()
}

/// What the elements of a list of tables are.
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

fn apply(flags: &Flags, config: &mut Config) {
    if let Some(listen) = flags.listen {
        config.server.listen = listen;
    }
    if let Some(internal) = flags.internal_listen {
        config.server.internal_listen = internal;
    }
    if !flags.nats.is_empty() {
        config.broker.kind = BrokerKind::Nats;
        config.broker.nats.urls.clone_from(&flags.nats);
    }
    if flags.anonymous {
        config.auth.mode = Some(AuthMode::Anonymous);
    }
    if let Some(format) = flags.log_format {
        config.log.format = format;
    }
}

/// Replaces each `.._file` of a secret by what the file holds.
fn read_secrets(config: &mut Config) -> Result<(), ConfigError> {
    let (nats, server) = (&mut config.broker.nats, &mut config.server);
    for (table, key, secret, file) in [
        ("broker.nats", "password", &mut nats.password, &nats.password_file),
        ("broker.nats", "token", &mut nats.token, &nats.token_file),
        ("broker.nats", "nkey", &mut nats.nkey, &nats.nkey_file),
        ("server", "internal_token", &mut server.internal_token, &server.internal_token_file),
    ] {
        read_secret(&format!("{table}.{key}"), secret, file.as_deref())?;
    }
    for issuer in &mut config.auth.issuers {
        let key = issuer.key("secret");
        read_secret(&key, &mut issuer.secret, issuer.secret_file.as_deref())?;
    }
    Ok(())
}

fn read_secret(key: &str, secret: &mut Option<Secret>, file: Option<&Path>) -> Result<(), ConfigError> {
    let Some(path) = file else { return Ok(()) };
    if secret.is_some() {
        let field = key.rsplit('.').next().unwrap_or(key);
        let problem = format!("`{field}` and `{field}_file` are both set; keep one");
        return Err(ConfigError::Invalid { key: key.into(), problem });
    }
    *secret = Some(Secret::from(read_text(path)?.trim_end().to_owned()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::units::Span;

    fn with(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let file = Source { origin: "test".into(), text: text.into() };
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        load(Some(&file), environment, &Flags::default())
    }

    #[test]
    fn flags_overrule_the_environment_which_overrules_the_file() {
        let text = "[server]\nlisten = \"127.0.0.1:1\"\ninternal_listen = \"127.0.0.1:2\"\nheartbeat = \"3s\"";
        let environment =
            [("NOTIFIER_SERVER__LISTEN", "127.0.0.1:3"), ("NOTIFIER_SERVER__INTERNAL_LISTEN", "127.0.0.1:4")];
        let file = Source { origin: "test".into(), text: text.into() };
        let flags = Flags { listen: "127.0.0.1:5".parse().ok(), ..Flags::default() };
        let environment = environment.map(|(k, v)| (k.to_owned(), v.to_owned()));
        let config = load(Some(&file), environment, &flags).expect("all valid");
        assert_eq!(config.server.listen.port(), 5);
        assert_eq!(config.server.internal_listen.port(), 4);
        assert_eq!(config.server.heartbeat, Span::seconds(3));
    }

    #[test]
    fn variables_are_read_as_the_type_of_their_key() {
        let config = with(
            "",
            &[
                ("NOTIFIER_LIMITS__CONNECTIONS", "7"),
                ("NOTIFIER_SERVER__STRICT_READINESS", "true"),
                ("NOTIFIER_BROKER__NATS__URLS", "nats://a:1, nats://b:2"),
                ("NOTIFIER_BROKER__KIND", "memory"),
                ("NOTIFIER_BROKER__NATS__TOKEN", "12"),
                ("NOTIFIER_DRAIN__WINDOW", "1m"),
                ("NOTIFIER_NODE__NAME", "42"),
                ("UNRELATED", "x"),
                ("NOTIFIER_SERVICE_HOST", "10.0.0.1"),
                ("NOTIFIER_PORT_8080_TCP_ADDR", "10.0.0.1"),
            ],
        )
        .expect("all valid");
        assert_eq!(config.limits.connections, 7);
        assert!(config.server.strict_readiness);
        assert_eq!(config.broker.nats.urls, ["nats://a:1", "nats://b:2"]);
        assert_eq!(config.broker.kind, BrokerKind::Memory);
        assert_eq!(config.broker.nats.token.expect("set").reveal(), "12");
        assert_eq!(config.node.name, "42");
    }

    #[test]
    #[allow(clippy::type_complexity)] // a table of rows
    fn what_is_wrong_is_named() {
        let rows: &[(&str, &[(&str, &str)], &[&str])] = &[
            ("[sever]\n", &[], &["unknown key `sever`", "did you mean `server`"]),
            ("[server]\nlissen = 1", &[], &["unknown key `server.lissen`", "did you mean `server.listen`"]),
            ("[broker.nats.tls]\nca = 1", &[], &["unknown key `broker.nats.tls.ca`", "`broker.nats.tls.ca_file`"]),
            ("[[streams]]\nnam = \"A\"", &[], &["unknown key `streams.nam`", "did you mean `streams.name`"]),
            ("[[streams]]\nwindow = { byte = 1 }", &[], &["`streams.window.byte`", "`streams.window.bytes`"]),
            ("[[subjects]]\n[[subjects]]\npatern = 1", &[], &["`subjects.patern`", "`subjects.pattern`"]),
            ("[[streams]]\nsubjects = []", &[], &["line 1", "name"]),
            ("[server]\nlisten = \"nowhere\"", &[], &["line 2", "listen"]),
            ("[drain]\nwindow = \"soon\"", &[], &["`soon` does not parse", "30s"]),
            ("[limits]\nconnections = -1", &[], &["line 2"]),
            ("[broker]\nkind = \"kafka\"", &[], &["kafka", "nats"]),
            ("not toml", &[], &["line 1"]),
            ("", &[("NOTIFIER_SERVER__LISSEN", "x")], &["NOTIFIER_SERVER__LISSEN", "`server.listen`"]),
            ("", &[("NOTIFIER_LIMITS__CONNECTIONS", "many")], &["NOTIFIER_LIMITS__CONNECTIONS", "many"]),
            ("", &[("NOTIFIER_SERVER__LISTEN", "x")], &["NOTIFIER_SERVER__LISTEN"]),
            ("", &[("NOTIFIER_SERVER", "x")], &["NOTIFIER_SERVER", "table"]),
            ("", &[("NOTIFIER_STREAMS", "SHOP")], &["NOTIFIER_STREAMS", "list of tables", "[[streams]]"]),
            ("", &[("NOTIFIER_STREAMS__NAME", "SHOP")], &["NOTIFIER_STREAMS__NAME", "list of tables"]),
            ("[broker.nats]\ntoken = \"a\"\ntoken_file = \"b\"", &[], &["broker.nats.token", "both set"]),
            ("", &[("NOTIFIER_BROKER__NATS__TOKEN_FILE", "/nowhere")], &["/nowhere"]),
        ];
        for (text, environment, expected) in rows {
            let error = with(text, environment).expect_err(text).to_string();
            for part in *expected {
                assert!(error.contains(part), "{text:?} {environment:?}: {error}");
            }
        }
    }

    #[test]
    fn values_that_cannot_be_together_are_refused() {
        let anonymous = "[auth]\nmode = \"anonymous\"\n";
        let rows = [
            ("", "--anonymous"),
            ("[broker.nats]\nurls = []", "broker.nats.urls"),
            ("[broker.nats]\ntoken = \"a\"\ncredentials_file = \"b\"", "token and credentials_file"),
            ("[broker.nats]\nuser = \"a\"", "`password`"),
            ("[broker.nats.tls]\ncert_file = \"a\"", "`key_file`"),
            ("[drain]\ngrace = \"1s\"", "drain.grace"),
            ("[server]\nallowed_origins = [\"https://a\", \"shop.example\"]", "`shop.example` has no scheme"),
            ("cookie = \"session\"", "server.allowed_origins"),
            ("cookie = \"session\"\n[server]\nallowed_origins = [\"https://a\", \"*\"]", "without `*`"),
            ("cookie = \"session\"\n[server]\nallowed_origins = [\"https://a\", \"null\"]", "without `*`"),
            ("cookie = \"a b\"\n[server]\nallowed_origins = [\"https://a\"]", "`a b` is no name"),
            ("[server]\ninternal_token = \"short\"", "server.internal_token"),
            ("[server]\nhsts = \"365d\"", "[server.tls]"),
            ("[server.tls]\nkey_file = \"a\"", "`cert_file`"),
            ("[server.internal_tls]\nclient_ca_file = \"a\"", "server.internal_tls"),
            ("[server.tls]\nreload = \"0s\"", "server.tls.reload"),
            ("[limits]\nsubscriptions = 0", "limits.subscriptions"),
            ("[limits]\nheader_bytes = \"1KiB\"", "limits.header_bytes"),
        ];
        for (index, (text, part)) in rows.iter().enumerate() {
            let text = if index == 0 { (*text).to_owned() } else { format!("{anonymous}{text}") };
            let error = with(&text, &[]).expect("parses").validate().expect_err(&text).to_string();
            assert!(error.contains(part), "{text:?}: {error}");
        }
        assert!(with(anonymous, &[]).expect("parses").validate().is_ok());
        let cookie = format!("{anonymous}cookie = \"session\"\n[server]\nallowed_origins = [\"https://a\"]");
        assert!(with(&cookie, &[]).expect("parses").validate().is_ok());
    }
}
