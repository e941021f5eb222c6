//! The browser library, which a node serves so that a page needs no build of
//! its own: modules of `client/dist` as they are committed, embedded.

use std::sync::LazyLock;

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

/// The modules that pages can use without a build, by their names, under which
/// they load each other.
pub const CLIENT_MODULES: [(&str, &str); 3] = [
    ("notifier.js", include_str!("../../client/dist/notifier.js")),
    ("elements.js", include_str!("../../client/dist/elements.js")),
    ("bridge.js", include_str!("../../client/dist/bridge.js")),
];

/// States the version of the library.
const PACKAGE: &str = include_str!("../../client/package.json");

/// Made at the first request: in most processes of a machine there is none.
static MODULES: LazyLock<Vec<(&str, Asset)>> = LazyLock::new(|| {
    let asset = |module: &'static str| Asset::new("text/javascript; charset=utf-8", module.as_bytes());
    CLIENT_MODULES.into_iter().map(|(name, module)| (name, asset(module))).collect()
});

/// The version of the library, as its package states it.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct Package {
        version: String,
    }
    serde_json::from_str(PACKAGE).map(|package: Package| package.version).unwrap_or_default()
});

/// The version of the library.
pub fn client_version() -> &'static str {
    &VERSION
}

/// Names the bytes that a page takes for a module (Subresource Integrity), as the
/// attribute `integrity` of a script is written.
pub fn client_integrity(module: &str) -> String {
    format!("sha384-{}", BASE64_STANDARD.encode(digest(&SHA384, module.as_bytes())))
}

/// A module of the version that this node has: the newest that it knows to keep
/// the contract of the path.
pub(crate) fn current(request: &PublicRequest<'_>) -> Answered {
    answer(request, Some(request.rest))
}

/// A module of the version that the path names, where that is the one of this node.
pub(crate) fn of_version(request: &PublicRequest<'_>) -> Answered {
    answer(request, request.rest.strip_prefix(client_version()).and_then(|rest| rest.strip_prefix('/')))
}

fn answer(request: &PublicRequest<'_>, name: Option<&str>) -> Answered {
    match MODULES.iter().find(|(module, _)| Some(*module) == name) {
        Some((_, asset)) => Ok(asset.answer(request.headers)),
        None => {
            let names = CLIENT_MODULES.map(|(name, _)| name).join(", ");
            let message = format!("this node serves {names} below client/v1/ and client/{}/", client_version());
            Err(Refusal::new(Code::NotFound, message).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_the_package_is_the_one_that_the_library_states() {
        let version = client_version();
        let (_, library) = CLIENT_MODULES[0];
        assert!(!version.is_empty() && library.contains(&format!("\"{version}\"")), "{version}");
    }
}
