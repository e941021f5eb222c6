//! The table of the routes of the clients' listener, and the search in it.

use futures_util::future::BoxFuture;

use crate::server::{
    http,
    response::of_type,
    route::{Answered, ClientRequest, Handler, HttpRoute, Methods, OriginPolicy, RoutePath},
    stored, upgrade,
};

use RoutePath::{Below, Exact};

/// `Cache-Control` of answers that hold for one request of one client.
const NO_STORE: &str = "no-store";

/// The page of `server.live_page`.
const LIVE_PAGE: &str = include_str!("../../demo/live.html");

/// Nothing is loaded from anywhere, whatever an event contains; and no other
/// page shows this one in a frame, which only a header can say.
const LIVE_PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                                img-src data:; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; \
                                frame-ancestors 'none'";

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
        if live_page {
            table.push(HttpRoute {
                path: Exact("/"),
                methods: Methods::READ,
                origins: OriginPolicy::Listed,
                cache: "no-cache",
                security: Some(LIVE_PAGE_POLICY),
                handler: Handler::Public(Box::new(|| Ok(of_type("text/html; charset=utf-8", LIVE_PAGE)))),
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
