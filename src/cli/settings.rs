//! The flags that several verbs share.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, ValueEnum};

use crate::{
    codec::Encoding,
    config::{self, Config, ConfigError, Flags, LogFormat, ServerUrl, SettingsFile},
};

/// Where settings come from, besides NOTIFIER_* variables.
#[derive(Args, Debug)]
pub(crate) struct SettingsArgs {
    /// TOML file (docs/configuration.md).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address for clients.
    #[arg(long, value_name = "ADDR", value_parser = config::listen_address)]
    listen: Option<SocketAddr>,
    /// Address for health and metrics; never expose it.
    #[arg(long, value_name = "ADDR", value_parser = config::listen_address)]
    internal_listen: Option<SocketAddr>,
    /// NATS server; repeat it for several.
    #[arg(long, value_name = "URL")]
    nats: Vec<ServerUrl>,
    /// Let everybody in, for every subject unless there are `[[grants]]`.
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
pub(crate) enum EncodingArg {
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

impl SettingsArgs {
    pub(crate) fn load(&self) -> Result<Config, ConfigError> {
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
        let file = self.config.as_deref().map(SettingsFile::read).transpose()?;
        // A variable that is not UTF-8 is not ours: our values are text.
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let config = config::load(file.as_ref(), environment, &flags)?;
        config.validate()?;
        Ok(config)
    }
}
