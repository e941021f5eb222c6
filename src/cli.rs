//! The verbs of the `notifier` command.

mod check;
mod dev;
mod health;
mod sample;
mod serve;
mod talk;

use std::{
    fmt::Display,
    io::{self, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    codec::Encoding,
    config::{self, Config, ConfigError, Flags, LogFormat},
    metrics::{COMMIT, VERSION},
    node::NodeError,
};

/// Exit code for a configuration that does not hold (`EX_CONFIG` of sysexits.h).
const BAD_CONFIG: u8 = 78;

/// Carries domain events from NATS to browsers.
#[derive(Debug, Parser)]
#[command(name = "notifier", version = VERSION, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Try it: loopback, embedded broker, sample events, a live page.
    Dev(dev::DevArgs),
    /// Run a node.
    Serve(Settings),
    /// Validate the settings and print what is in effect, secrets redacted.
    Check(Settings),
    /// Publish one event through a node.
    Pub(talk::PubArgs),
    /// Print the events of a subject or pattern as they arrive.
    Sub(talk::SubArgs),
    /// Exit 0 when the node on this machine is alive (or, with --ready, ready).
    Healthcheck(health::HealthArgs),
    /// Print the version.
    Version,
}

/// Where settings come from, besides NOTIFIER_* variables.
#[derive(Args, Debug)]
struct Settings {
    /// TOML file (docs/configuration.md).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address for clients.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Address for health and metrics; never expose it.
    #[arg(long, value_name = "ADDR")]
    internal_listen: Option<SocketAddr>,
    /// NATS server; repeat it for several.
    #[arg(long, value_name = "URL")]
    nats: Vec<String>,
    /// Let everybody use every subject.
    #[arg(long)]
    anonymous: bool,
    /// Form of the log.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<FormatArg>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatArg {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum EncodingArg {
    Json,
    Proto,
}

impl From<EncodingArg> for Encoding {
    fn from(encoding: EncodingArg) -> Self {
        match encoding {
            EncodingArg::Json => Self::Json,
            EncodingArg::Proto => Self::Proto,
        }
    }
}

impl Settings {
    fn load(&self) -> Result<Config, ConfigError> {
        let flags = Flags {
            listen: self.listen,
            internal_listen: self.internal_listen,
            nats: self.nats.clone(),
            anonymous: self.anonymous,
            log_format: self.log_format.map(|format| match format {
                FormatArg::Text => LogFormat::Text,
                FormatArg::Json => LogFormat::Json,
            }),
        };
        // A variable that is not UTF-8 is none of ours: our values are text.
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let config = config::load(self.config.as_deref(), environment, &flags)?;
        config.validate()?;
        Ok(config)
    }
}

/// Parses the command line, does what it says, and returns the exit code.
pub fn main() -> ExitCode {
    let verb = Cli::parse().verb;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(format!("the system gives no threads: {error}")),
    };
    runtime.block_on(async {
        match verb {
            Verb::Dev(args) => dev::dev(args).await,
            Verb::Serve(settings) => serve::serve(&settings).await,
            Verb::Check(settings) => check::check(&settings),
            Verb::Pub(args) => talk::publish(args).await,
            Verb::Sub(args) => talk::subscribe(args).await,
            Verb::Healthcheck(args) => health::healthcheck(&args).await,
            Verb::Version => {
                say(format!("notifier {VERSION} ({COMMIT})"));
                ExitCode::SUCCESS
            }
        }
    })
}

/// One line on standard output. Whoever closed it has heard enough.
fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// One line on standard error, and the exit code for a failure.
fn failed(problem: impl Display) -> ExitCode {
    let _ = writeln!(io::stderr(), "notifier: {problem}");
    ExitCode::FAILURE
}

/// The same for settings that do not hold.
fn misconfigured(problem: &ConfigError) -> ExitCode {
    failed(problem);
    ExitCode::from(BAD_CONFIG)
}

fn stopped(end: Result<(), NodeError>) -> ExitCode {
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(NodeError::Config(problem)) => misconfigured(&problem),
        Err(problem) => failed(problem),
    }
}
