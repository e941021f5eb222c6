//! The log: where it goes and in which form. Installed by the binary only.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// What libraries may say below their warnings is noise to an operator:
/// async-nats, for one, logs each of its events at INFO. Why it does not connect
/// it says at each attempt, and the node at a falling rate.
const QUIET: &str = "async_nats=warn,async_nats::connector=off,hyper=warn,rustls=warn";

/// The directive of it that gives way to one for the whole library.
const LIBRARY: &str = "async_nats";

/// Sends log lines to standard error.
///
/// # Errors
/// When `log.filter` does not parse.
pub fn install(log: &Log) -> Result<(), tracing_subscriber::filter::ParseError> {
    let quiet = QUIET.split(',').filter(|directive| !(directive.starts_with(LIBRARY) && log.filter.contains(LIBRARY)));
    let directives: Vec<&str> = quiet.chain([log.filter.as_str()]).collect();
    let filter = EnvFilter::builder().parse(directives.join(","))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // A full disk or a closed pipe must not stop the service: the default would
        // report the failed line with `eprintln!`, which panics then.
        .log_internal_errors(false);
    match log.format {
        LogFormat::Text => lines.with_target(false).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}
