//! `notifier client`: the browser library that is part of this binary.

use std::process::ExitCode;

use clap::Args;

use crate::{
    cli::exit::{failed, say},
    server::{CLIENT_MODULES, client_integrity, client_version},
};

#[derive(Args, Debug)]
pub(crate) struct ClientArgs {
    /// The module to print.
    #[arg(value_name = "FILE", default_value = "notifier.js")]
    module: String,
    /// Print what goes into `integrity` of a script or an import map (sha384).
    #[arg(long, conflicts_with = "version_of_library")]
    sri: bool,
    /// Print the version, which stands in the path of the immutable files.
    #[arg(id = "version_of_library", long = "library-version")]
    version: bool,
}

pub(crate) fn client(args: &ClientArgs) -> ExitCode {
    let Some((_, module)) = CLIENT_MODULES.iter().find(|(name, _)| *name == args.module) else {
        let names = CLIENT_MODULES.map(|(name, _)| name).join(", ");
        return failed(format!("there is no `{}`; there are {names}", args.module));
    };
    match args {
        ClientArgs { sri: true, .. } => say(client_integrity(module)),
        ClientArgs { version: true, .. } => say(client_version()),
        // With the line feed that ends it, and no other.
        _ => say(module.trim_end()),
    }
    ExitCode::SUCCESS
}
