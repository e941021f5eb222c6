//! The last line of a verb, and its exit code.

use std::{
    fmt::Display,
    io::{self, Write as _},
    process::ExitCode,
};

use crate::{config::ConfigError, node::NodeError};

/// Exit code for a configuration that does not hold (`EX_CONFIG` of sysexits.h).
const BAD_CONFIG: u8 = 78;

/// Writes one line to standard output. A reader that has closed it has heard
/// enough.
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

/// How a verb has ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It has said what there was to say.
    Said(ExitCode),
    /// A node did, for this reason.
    Node(Result<(), NodeError>),
}

impl Ended {
    /// Says why a node has ended, and returns the exit code. Called when nothing of
    /// it runs any more: then that is the last line.
    pub(crate) fn code(self) -> ExitCode {
        match self {
            Self::Said(code) => code,
            Self::Node(Ok(())) => ExitCode::SUCCESS,
            Self::Node(Err(NodeError::Config(problem))) => misconfigured(&problem),
            Self::Node(Err(problem)) => failed(problem),
        }
    }
}
