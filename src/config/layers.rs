//! How a configuration is put together: defaults, then the file, then
//! `NOTIFIER_*` variables, then flags.

use std::{net::SocketAddr, path::Path};

use serde_json::Value as Schema;
use toml::Table;

use crate::config::{
    auth::AuthMode,
    environment,
    error::ConfigError,
    files::{read_secrets, read_text},
    schema::unknown_key,
    server_url::ServerUrl,
    settings::{BrokerKind, Config, LogFormat},
};

/// Flags of the command line; each takes precedence over file and environment.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--listen`
    pub listen: Option<SocketAddr>,
    /// `--internal-listen`
    pub internal_listen: Option<SocketAddr>,
    /// `--nats`: servers, and with them the kind of broker.
    pub nats: Vec<ServerUrl>,
    /// `--anonymous`
    pub anonymous: bool,
    /// `--log-format`
    pub log_format: Option<LogFormat>,
}

/// The text of a configuration file, and what to call it in errors.
#[derive(Clone, Debug)]
pub struct SettingsFile {
    /// Usually the file's path.
    pub origin: String,
    /// TOML.
    pub text: String,
}

impl SettingsFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError::Read`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = read_text(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        Ok(Self { origin: path.display().to_string(), text })
    }
}

/// Reads file, environment and flags over the defaults. Does not yet
/// [`Config::validate`].
///
/// # Errors
/// See [`ConfigError`].
pub fn load(
    file: Option<&SettingsFile>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: &Flags,
) -> Result<Config, ConfigError> {
    let schema = schemars::schema_for!(Config).to_value();
    let mut table = match file {
        Some(source) => read_table(source, &schema)?,
        None => Table::new(),
    };
    environment::overrule(&mut table, &schema, environment)?;
    let mut config: Config = table.try_into().map_err(|error: toml::de::Error| ConfigError::Parse {
        origin: "environment".into(),
        problem: error.to_string(),
    })?;
    apply(flags, &mut config);
    read_secrets(&mut config)?;
    Ok(config)
}

fn read_table(source: &SettingsFile, schema: &Schema) -> Result<Table, ConfigError> {
    let origin = &source.origin;
    let parse =
        |error: toml::de::Error| ConfigError::Parse { origin: origin.clone(), problem: problem(&source.text, &error) };
    let table: Table = toml::from_str(&source.text).map_err(parse)?;
    if let Some((key, nearest)) = unknown_key(&table, schema, schema, "") {
        return Err(ConfigError::UnknownKey { origin: origin.clone(), key, nearest });
    }
    // Typed once on its own: only the text itself can tell line and column.
    toml::from_str::<Config>(&source.text).map_err(parse)?;
    Ok(table)
}

/// The error in a TOML text, with its place. Unlike the library's error it does
/// not show the text: the line may hold a secret.
fn problem(text: &str, error: &toml::de::Error) -> String {
    let Some(span) = error.span() else { return error.message().to_owned() };
    let before = &text[..text.floor_char_boundary(span.start)];
    let begin = before.rfind('\n').map_or(0, |end| end + 1);
    let (line, column) = (before.matches('\n').count() + 1, before[begin..].chars().count() + 1);
    let key = text[begin..].lines().next().and_then(|line| line.split_once('='));
    let key = key.map(|(key, _)| format!(" (`{}`)", key.trim())).unwrap_or_default();
    format!("line {line}, column {column}{key}: {}", error.message())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::units::Span;

    fn with(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let file = SettingsFile { origin: "test".into(), text: text.into() };
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        load(Some(&file), environment, &Flags::default())
    }

    #[test]
    fn flags_overrule_the_environment_which_overrules_the_file() {
        let text = "[server]\nlisten = \"127.0.0.1:1\"\ninternal_listen = \"127.0.0.1:2\"\nheartbeat = \"3s\"";
        let environment =
            [("NOTIFIER_SERVER__LISTEN", "127.0.0.1:3"), ("NOTIFIER_SERVER__INTERNAL_LISTEN", "127.0.0.1:4")];
        let file = SettingsFile { origin: "test".into(), text: text.into() };
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
                ("NOTIFIER_LIMITS__SUBSCRIPTIONS", ""),
                ("NOTIFIER_SERVER", ""),
            ],
        )
        .expect("all valid");
        assert_eq!((config.limits.connections, config.limits.subscriptions), (7, 512));
        assert!(config.server.strict_readiness);
        assert_eq!(config.broker.nats.urls, ["nats://a:1", "nats://b:2"].map(ServerUrl::from));
        assert_eq!(config.broker.kind, BrokerKind::Memory);
        assert_eq!(config.broker.nats.token.expect("set").reveal(), "12");
        assert_eq!(config.node.name, "42");
    }

    #[test]
    fn no_error_shows_a_secret() {
        let rows = [
            "[broker.nats]\npassword = 4812",
            "[broker.nats]\npasword = \"s4812\"",
            "[broker.nats]\npassword = \"s4812",
            "[broker.nats]\ntoken = [4812]",
            "[broker.nats]\nurls = \"nats://u:s4812@h\"",
            "[broker.nats]\nurls = [\"nats://u:s4812@h\", 1]",
            "[server]\ninternal_token = { a = \"s4812\" }",
        ];
        for text in rows {
            let error = with(text, &[]).expect_err(text).to_string();
            assert!(!error.contains("4812"), "{text}: {error}");
        }
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
            ("", &[("NOTIFIER_BROKER__NATS__TOKEN_FILE", "/nowhere")], &["broker.nats.token_file", "/nowhere"]),
            ("", &[("NOTIFIER_BROKER__NATS__TOKEN_FILE", "nowhere")], &["broker.nats.token_file", "working directory"]),
            ("[server]\nlisten = \"localhost:8080\"", &[], &["line 2", "127.0.0.1:8080"]),
            ("[server]\nlisten = \":8080\"", &[], &["line 2", "0.0.0.0:8080"]),
            ("", &[("NOTIFIER_SERVER__INTERNAL_LISTEN", ":9090")], &["0.0.0.0:9090"]),
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
