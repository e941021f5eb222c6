//! `notifier client`: the browser library that is part of this binary.

use std::process::ExitCode;

use clap::Args;

use crate::{
    cli::exit::say,
    server::{CLIENT_LIBRARY, client_integrity, client_version},
};

#[derive(Args, Debug)]
pub(crate) struct ClientArgs {
    /// Print what goes into `integrity` of a script or an import map (sha384).
    #[arg(long, conflicts_with = "version_of_library")]
    sri: bool,
    /// Print the version, which stands in the path of the immutable file.
    #[arg(id = "version_of_library", long = "library-version")]
    version: bool,
}

pub(crate) fn client(args: &ClientArgs) -> ExitCode {
    match args {
        ClientArgs { sri: true, .. } => say(client_integrity()),
        ClientArgs { version: true, .. } => say(client_version()),
        // With the line feed that ends it, and no other.
        _ => say(CLIENT_LIBRARY.trim_end()),
    }
    ExitCode::SUCCESS
}
