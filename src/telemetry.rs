//! The log: where it goes and in which form. Installed by the binary only.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Levels of libraries. Below their warnings they write noise to an operator:
/// async-nats, for one, logs each of its events at INFO.
const QUIET: &str = "async_nats=warn,hyper=warn,rustls=warn";

/// Why it does not connect that one says at each attempt, and the node at a
/// falling rate: it is left out unless a directive asks for the library.
const LIBRARY: &str = "async_nats";
const CONNECTING: &str = "connector=off";

/// Sends log lines to standard error.
///
/// # Errors
/// When `log.filter` does not parse.
pub fn install(log: &Log) -> Result<(), tracing_subscriber::filter::ParseError> {
    let mut directives = QUIET.to_owned();
    if !log.filter.contains(LIBRARY) {
        directives.push_str(&format!(",{LIBRARY}::{CONNECTING}"));
    }
    let filter = EnvFilter::builder().parse(format!("{directives},{}", log.filter))?;
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
