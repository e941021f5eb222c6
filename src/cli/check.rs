//! `notifier check`: do the settings hold, and what are they?

use std::{process::ExitCode, sync::Arc};

use crate::{
    access::auth::Auth,
    cli::{
        exit::{failed, misconfigured, say},
        settings::SettingsArgs,
    },
    config::{Config, ConfigError},
    metrics::Metrics,
};

pub(crate) fn check(settings: &SettingsArgs) -> ExitCode {
    match settings.load() {
        Err(problem) => misconfigured(&problem),
        Ok(config) => match unusable(&config) {
            Some(problem) => misconfigured(&problem),
            None => show(&config),
        },
    }
}

/// Errors of the files that the settings name.
fn unusable(config: &Config) -> Option<ConfigError> {
    let metrics = Metrics::new().ok()?;
    Auth::new(&config.auth, Arc::new(metrics)).err()
}

fn show(config: &Config) -> ExitCode {
    match toml::to_string_pretty(config) {
        Ok(text) => {
            say(text.trim_end());
            ExitCode::SUCCESS
        }
        Err(error) => failed(format!("the settings cannot be shown: {error}")),
    }
}
