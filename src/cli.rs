//! The verbs of the `notifier` command.

mod admin;
mod request;
mod check;
mod client;
mod dev;
mod exit;
mod explain;
mod health;
mod internal;
mod sample;
mod serve;
mod settings;
mod streams;
mod subscribe;
mod pubsub;
mod token;

use std::{process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};

use crate::{
    cli::{
        exit::{Ended, failed, say},
        settings::SettingsArgs,
    },
    metrics::{COMMIT, VERSION},
};

/// Carries domain events from NATS to browsers.
#[derive(Debug, Parser)]
#[command(name = "notifier", version = VERSION, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Try it: loopback, embedded broker, a sample shop and its events.
    Dev(dev::DevArgs),
    /// Run a node.
    Serve(SettingsArgs),
    /// Validate the settings and print what is in effect, secrets redacted.
    Check(SettingsArgs),
    /// Say whether somebody may do something, and by which grant.
    Explain(explain::ExplainArgs),
    /// Check the streams of the configuration, or make them fit.
    #[command(subcommand)]
    Streams(streams::StreamsVerb),
    /// Publish one event through a node.
    Pub(pubsub::PubArgs),
    /// Print the events of a subject or pattern as they arrive.
    Sub(subscribe::SubArgs),
    /// Ask a service through a node, and print its answer.
    Request(request::RequestArgs),
    /// Print stored events, or the newest of each subject.
    History(pubsub::HistoryArgs),
    /// Print the browser library that this node serves, or what names it.
    Client(client::ClientArgs),
    /// Make a token to try things out with.
    Token(token::TokenArgs),
    /// Exit 0 when the node on this machine is alive (or, with --ready, ready).
    Healthcheck(health::HealthArgs),
    /// Have all nodes end connections, revoke tokens, and more.
    #[command(subcommand)]
    Admin(admin::AdminVerb),
    /// Print the version.
    Version,
}

/// How long what still runs at the end may take: a thread that the system keeps, as
/// for a name that it looks up, would hold up the exit.
const LEFT_TIME: Duration = Duration::from_secs(1);

/// Parses the command line, does what it says, and returns the exit code.
pub fn main() -> ExitCode {
    let verb = Cli::parse().verb;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(format!("the system gives no threads: {error}")),
    };
    let ended = runtime.block_on(async {
        Ended::Said(match verb {
            Verb::Dev(args) => return dev::dev(args).await,
            Verb::Serve(settings) => return serve::serve(&settings).await,
            Verb::Check(settings) => check::check(&settings),
            Verb::Explain(args) => explain::explain(&args).await,
            Verb::Streams(verb) => streams::streams(&verb).await,
            Verb::Pub(args) => pubsub::publish(args).await,
            Verb::Sub(args) => subscribe::subscribe(args).await,
            Verb::Request(args) => request::request(args).await,
            Verb::History(args) => pubsub::history(args).await,
            Verb::Client(args) => client::client(&args),
            Verb::Token(args) => token::token(&args),
            Verb::Healthcheck(args) => health::healthcheck(&args).await,
            Verb::Admin(verb) => admin::admin(verb).await,
            Verb::Version => {
                say(format!("notifier {VERSION} ({COMMIT})"));
                ExitCode::SUCCESS
            }
        })
    });
    runtime.shutdown_timeout(LEFT_TIME);
    ended.code()
}
