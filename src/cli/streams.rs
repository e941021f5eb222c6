//! `notifier streams`: are the streams what the configuration needs?

use std::process::ExitCode;

use clap::Subcommand;

use crate::{
    broker::{Report, StreamError, Streams},
    cli::{
        exit::{failed, misconfigured, say},
        settings::SettingsArgs,
    },
    config::{BrokerKind, Size},
};

#[derive(Debug, Subcommand)]
pub(crate) enum StreamsVerb {
    /// Say what each stream lacks; changes nothing.
    Check(SettingsArgs),
    /// Create streams and add what they lack. Never deletes, never keeps less.
    Apply(SettingsArgs),
}

pub(crate) async fn streams(verb: &StreamsVerb) -> ExitCode {
    let (settings, apply) = match verb {
        StreamsVerb::Check(settings) => (settings, false),
        StreamsVerb::Apply(settings) => (settings, true),
    };
    let config = match settings.load() {
        Ok(config) => config,
        Err(problem) => return misconfigured(&problem),
    };
    if config.streams.is_empty() {
        say("no streams are configured");
        return ExitCode::SUCCESS;
    }
    if config.broker.kind == BrokerKind::Memory {
        say("the embedded broker keeps the streams itself");
        return ExitCode::SUCCESS;
    }
    let streams = match Streams::connect(&config).await {
        Ok(streams) => streams,
        Err(problem) => return failed(problem),
    };
    let results = if apply { streams.apply().await } else { streams.check().await };
    for (name, result) in &results {
        tell(name, result);
    }
    let fit = results.iter().filter(|(_, result)| result.is_ok()).count();
    if fit == config.streams.len() {
        return ExitCode::SUCCESS;
    }
    failed(format!("{fit} of {} streams fit", config.streams.len()))
}

fn tell(name: &str, result: &Result<Report, StreamError>) {
    match result {
        Ok(report) => {
            let done = match (report.created, report.changes.is_empty()) {
                (true, _) => "created",
                (false, false) => "changed",
                (false, true) => "fits",
            };
            let (count, bytes) = (report.state.messages, Size::from(report.state.bytes));
            say(format!("{name}: {done}; {count} events, {bytes}, epoch {}", report.state.epoch));
            for change in &report.changes {
                say(format!("  {}: was {}, is {}", change.setting, change.found, change.wanted));
            }
            for note in &report.notes {
                say(format!("  note: {note}"));
            }
        }
        Err(StreamError::Differs(differences)) => {
            say(format!("{name}: does not fit"));
            for difference in &differences.0 {
                say(format!("  {difference}"));
            }
        }
        Err(error) => say(format!("{name}: {error}")),
    }
}
