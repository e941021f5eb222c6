//! The browser library, which a node serves so that a page needs no build of
//! its own: modules of `client/dist` as they are committed, embedded, and those
//! of the versions before, which pages of the last rollouts ask for.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA384, digest};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;

use crate::{
    error::{Code, Refusal},
    server::{
        asset::Asset,
        client_releases::CLIENT_RELEASES,
        route::{Answered, PublicRequest},
    },
};

/// The modules that pages can use without a build, by their names, under which
/// they load each other.
pub const CLIENT_MODULES: [(&str, &str); 7] = [
    ("notifier.js", include_str!("../../client/dist/notifier.js")),
    ("elements.js", include_str!("../../client/dist/elements.js")),
    ("bridge.js", include_str!("../../client/dist/bridge.js")),
    ("fallback.js", include_str!("../../client/dist/fallback.js")),
    ("inspector.js", include_str!("../../client/dist/inspector.js")),
    ("tabs.js", include_str!("../../client/dist/tabs.js")),
    ("worker.js", include_str!("../../client/dist/worker.js")),
];

/// Versions that are served beside a node's own: during a rollout nodes of two
/// versions stand side by side, and the page may be one rollout older.
const EARLIER_VERSIONS: usize = 2;

/// States the version of the library.
const PACKAGE: &str = include_str!("../../client/package.json");

/// Made at the first request: in most processes of a machine there is none.
static LIBRARY: LazyLock<ClientLibrary> =
    LazyLock::new(|| ClientLibrary::new((client_version(), &CLIENT_MODULES), CLIENT_RELEASES));

/// The version of the library, as its package states it.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct Package {
        version: String,
    }
    serde_json::from_str(PACKAGE).map(|package: Package| package.version).unwrap_or_default()
});

/// A version and its modules, by their names.
type Release<'m> = (&'static str, &'m [(&'static str, &'static str)]);

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
    LIBRARY.answer(request, client_version(), request.rest)
}

/// A module of the version that the path names, where this node has that version.
pub(crate) fn of_version(request: &PublicRequest<'_>) -> Answered {
    let (version, name) = request.rest.split_once('/').unwrap_or_default();
    LIBRARY.answer(request, version, name)
}

/// The versions of the library that a node serves.
struct ClientLibrary {
    /// The node's own first, then the newest.
    versions: Vec<(&'static str, Vec<(&'static str, Asset)>)>,
}

impl ClientLibrary {
    /// A node's own version and the newest of those that were released; its own
    /// may be one of them.
    fn new(own: Release<'_>, released: &[Release<'_>]) -> Self {
        let asset = |module: &'static str| Asset::new("text/javascript; charset=utf-8", module.as_bytes());
        let earlier = released.iter().filter(|(version, _)| *version != own.0).take(EARLIER_VERSIONS);
        let versions = [&own].into_iter().chain(earlier).map(|(version, modules)| {
            (*version, modules.iter().map(|(name, module)| (*name, asset(module))).collect())
        });
        Self { versions: versions.collect() }
    }

    fn module(&self, version: &str, name: &str) -> Option<&Asset> {
        let (_, modules) = self.versions.iter().find(|(known, _)| *known == version)?;
        modules.iter().find(|(module, _)| *module == name).map(|(_, asset)| asset)
    }

    fn answer(&self, request: &PublicRequest<'_>, version: &str, name: &str) -> Answered {
        match self.module(version, name) {
            Some(asset) => Ok(asset.answer(request.headers)),
            None => Err(Refusal::new(Code::NotFound, self.names()).into()),
        }
    }

    /// Says what is served, for who asked for something else.
    fn names(&self) -> String {
        let names = CLIENT_MODULES.map(|(name, _)| name).join(", ");
        let folders = self.versions.iter().map(|(version, _)| format!(", client/{version}/")).collect::<String>();
        format!("this node serves {names} below client/v1/{folders}")
    }
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;

    use super::*;

    const fn modules(name: &'static str, text: &'static str) -> [(&'static str, &'static str); 1] {
        [(name, text)]
    }

    #[test]
    fn the_version_of_the_package_is_the_one_that_the_library_states() {
        let version = client_version();
        let (_, library) = CLIENT_MODULES[0];
        assert!(!version.is_empty() && library.contains(&format!("\"{version}\"")), "{version}");
    }

    #[test]
    fn a_page_of_either_of_the_two_versions_before_finds_its_modules() {
        let own = modules("notifier.js", "1.3.0");
        let released =
            [modules("notifier.js", "released 1.3.0"), modules("notifier.js", "1.2.0"), modules("old.js", "1.1.0")];
        let [same, before, oldest] = &released;
        let gone = modules("notifier.js", "1.0.0");
        let releases: [Release<'_>; 4] = [("1.3.0", same), ("1.2.0", before), ("1.1.0", oldest), ("1.0.0", &gone)];
        let library = ClientLibrary::new(("1.3.0", &own), &releases);
        let length = |version, name| {
            let (headers, rest) = (HeaderMap::new(), "");
            let answer = library.answer(&PublicRequest { headers: &headers, rest }, version, name);
            answer.ok().and_then(|answer| hyper::body::Body::size_hint(answer.body()).exact())
        };
        assert_eq!(length("1.3.0", "notifier.js"), Some("1.3.0".len() as u64));
        assert_eq!(length("1.2.0", "notifier.js"), Some(5));
        assert_eq!(length("1.1.0", "old.js"), Some(5));
        for (version, name) in [("1.1.0", "notifier.js"), ("1.2.0", "old.js"), ("1.0.0", "notifier.js"), ("", "")] {
            assert_eq!(length(version, name), None, "{version} {name}");
        }
        assert!(
            library.names().ends_with("client/v1/, client/1.3.0/, client/1.2.0/, client/1.1.0/"),
            "{}",
            library.names()
        );
    }
}
