//! The table of the routes of the clients' listener, and the search in it.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::server::{
    asset::Asset,
    client_library::ClientLibrary,
    http,
    route::{Answered, ClientRequest, Handler, HttpRoute, Methods, OriginPolicy, PublicRequest, RoutePath},
    stored, upgrade,
};

use RoutePath::{Below, Exact};

/// `Cache-Control` of answers that hold for one request of one client.
const NO_STORE: &str = "no-store";

/// `Cache-Control` of files that change under their path: they are kept, and asked
/// for by their `ETag`.
const REVALIDATE: &str = "no-cache";

/// `Cache-Control` of files that never change under their path: a year, which is
/// what caches take for ever (RFC 8246).
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// The page of `server.live_page`.
const LIVE_PAGE: &[u8] = include_bytes!("../../demo/live.html");

/// Nothing is loaded from anywhere, whatever an event contains; and no other
/// page shows this one in a frame, which only a header can say.
const LIVE_PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                                img-src data:; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; \
                                frame-ancestors 'none'";

/// As the script of a worker the library has a policy of its own, and connects to
/// the node. For the script of a page the policy of the page counts.
const LIBRARY_POLICY: &str = "default-src 'none'; connect-src *; script-src 'self'; frame-ancestors 'none'";

/// The routes of the clients' listener.
#[derive(Debug)]
pub(crate) struct Routes {
    table: Vec<HttpRoute>,
}

impl Routes {
    /// The routes that the settings ask for.
    pub(crate) fn new(live_page: bool) -> Self {
        let mut table = vec![
            api(Exact("/v1/ws"), Methods::GET, Handler::Connection(upgrade::upgrade)),
            client(Below("/v1/publish/"), Methods::POST, |request| Box::pin(http::publish(request))),
            client(Below("/v1/request/"), Methods::POST, |request| Box::pin(http::request(request))),
            client(Below("/v1/last/"), Methods::READ, |request| Box::pin(stored::last(request))),
            client(Exact("/v1/fetch"), Methods::READ, |request| Box::pin(stored::fetch(request))),
        ];
        let library = Arc::new(ClientLibrary::new());
        let versions = library.clone();
        table.extend([
            library_file(Exact("/client/v1/notifier.js"), REVALIDATE, move |request| library.current(request)),
            library_file(Below("/client/"), IMMUTABLE, move |request| versions.of_version(request)),
        ]);
        if live_page {
            let page = Asset::new("text/html; charset=utf-8", LIVE_PAGE);
            table.push(HttpRoute {
                path: Exact("/"),
                methods: Methods::READ,
                origins: OriginPolicy::Listed,
                cache: REVALIDATE,
                security: Some(LIVE_PAGE_POLICY),
                handler: Handler::Public(Box::new(move |request| Ok(page.answer(request.headers)))),
            });
        }
        Self { table }
    }

    /// The route of a path, and the bytes of the path up to the end of the
    /// route's.
    pub(crate) fn find(&self, path: &str) -> Option<(&HttpRoute, usize)> {
        self.table.iter().find_map(|route| Some((route, route.path.matched(path)?)))
    }
}

/// A route that admits its client.
fn client(path: RoutePath, methods: Methods, handler: fn(ClientRequest) -> BoxFuture<'static, Answered>) -> HttpRoute {
    api(path, methods, Handler::Client(handler))
}

/// A route of the protocol: for programs, and for the pages that are listed.
fn api(path: RoutePath, methods: Methods, handler: Handler) -> HttpRoute {
    HttpRoute { path, methods, origins: OriginPolicy::Listed, cache: NO_STORE, security: None, handler }
}

/// A route of the browser library: for pages of all origins.
fn library_file(
    path: RoutePath,
    cache: &'static str,
    handler: impl Fn(&PublicRequest<'_>) -> Answered + Send + Sync + 'static,
) -> HttpRoute {
    HttpRoute {
        path,
        methods: Methods::READ,
        origins: OriginPolicy::Any,
        cache,
        security: Some(LIBRARY_POLICY),
        handler: Handler::Public(Box::new(handler)),
    }
}
