//! The browser library, which a node serves so that a page needs no build of
//! its own: `client/dist` as it is committed, embedded.

use aws_lc_rs::digest::{SHA384, digest};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;

use crate::{
    error::{Code, Refusal},
    server::{
        asset::Asset,
        route::{Answered, PublicRequest},
    },
};

/// The library: one ES module.
pub const CLIENT_LIBRARY: &str = include_str!("../../client/dist/notifier.js");

/// States the version of the library.
const PACKAGE: &str = include_str!("../../client/package.json");

/// Name of the module below its version.
const FILE: &str = "notifier.js";

/// Says which bytes a page takes for the library (Subresource Integrity), as the
/// attribute `integrity` of a script is written.
pub fn client_integrity() -> String {
    format!("sha384-{}", BASE64_STANDARD.encode(digest(&SHA384, CLIENT_LIBRARY.as_bytes())))
}

/// The version of the library, as its package states it.
pub fn client_version() -> String {
    #[derive(Deserialize)]
    struct Package {
        version: String,
    }
    serde_json::from_str(PACKAGE).map(|package: Package| package.version).unwrap_or_default()
}

/// Serves the library.
#[derive(Debug)]
pub(crate) struct ClientLibrary {
    module: Asset,
    version: String,
}

impl ClientLibrary {
    pub(crate) fn new() -> Self {
        let module = Asset::new("text/javascript; charset=utf-8", CLIENT_LIBRARY.as_bytes());
        Self { module, version: client_version() }
    }

    /// The newest build that keeps the contract of a major version: the one of this node.
    pub(crate) fn current(&self, request: &PublicRequest<'_>) -> Answered {
        Ok(self.module.answer(request.headers))
    }

    /// The build of the version that the path names, if that is the one of this node.
    pub(crate) fn of_version(&self, request: &PublicRequest<'_>) -> Answered {
        let named = request.rest.strip_suffix(FILE).and_then(|folder| folder.strip_suffix('/'));
        if named == Some(self.version.as_str()) {
            return Ok(self.module.answer(request.headers));
        }
        let message = format!("this node serves the library as v1/{FILE} and {}/{FILE}", self.version);
        Err(Refusal::new(Code::NotFound, message).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_that_the_library_states() {
        let version = client_version();
        assert!(!version.is_empty() && CLIENT_LIBRARY.contains(&format!("\"{version}\"")), "{version}");
    }
}
