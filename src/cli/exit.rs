//! What a verb says last, and its exit code.

use std::{
    fmt::Display,
    io::{self, Write as _},
    process::ExitCode,
};

use crate::{config::ConfigError, node::NodeError};

/// Exit code for a configuration that does not hold (`EX_CONFIG` of sysexits.h).
const BAD_CONFIG: u8 = 78;

/// One line on standard output. Whoever closed it has heard enough.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// One line on standard error, and the exit code for a failure.
pub(crate) fn failed(problem: impl Display) -> ExitCode {
    let _ = writeln!(io::stderr(), "notifier: {problem}");
    ExitCode::FAILURE
}

/// The same for settings that do not hold.
pub(crate) fn misconfigured(problem: &ConfigError) -> ExitCode {
    failed(problem);
    ExitCode::from(BAD_CONFIG)
}

pub(crate) fn stopped(end: Result<(), NodeError>) -> ExitCode {
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(NodeError::Config(problem)) => misconfigured(&problem),
        Err(problem) => failed(problem),
    }
}
