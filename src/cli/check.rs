//! `notifier check`: do the settings hold, and what are they?

use std::process::ExitCode;

use crate::cli::{
    exit::{failed, misconfigured, say},
    settings::Settings,
};

pub(crate) fn check(settings: &Settings) -> ExitCode {
    match settings.load() {
        Err(problem) => misconfigured(&problem),
        Ok(config) => match toml::to_string_pretty(&config) {
            Ok(text) => {
                say(text.trim_end());
                ExitCode::SUCCESS
            }
            Err(error) => failed(format!("the settings cannot be shown: {error}")),
        },
    }
}
