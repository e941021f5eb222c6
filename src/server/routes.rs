//! The table of the routes of the clients' listener, and the search in it.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::{
    config,
    server::{
        asset::Asset,
        client_library, demo, events,
        health::Health,
        http,
        login::Login,
        poll,
        response::HttpResponse,
        route::{Answered, ClientRequest, Handler, HttpRoute, Methods, OriginPolicy, PublicRequest, RoutePath},
        stored, upgrade,
    },
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

/// Nothing is loaded but the library of the node, whatever an event contains;
/// and no other page shows this one in a frame, which only a header can say.
const LIVE_PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self' 'unsafe-inline'; \
                                img-src data:; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; \
                                frame-ancestors 'none'";

/// As the script of a worker the library has a policy of its own, and connects to
/// the node. For the script of a page the policy of the page counts.
const LIBRARY_POLICY: &str = "default-src 'none'; connect-src *; script-src 'self'; frame-ancestors 'none'";

/// The routes of the clients' listener.
#[derive(Debug)]
pub(crate) struct Routes {
    /// Path in front of all others: `/notifier`, or nothing.
    prefix: String,
    table: Vec<HttpRoute>,
}

impl Routes {
    /// The routes that the settings ask for; they have been checked.
    pub(crate) fn new(server: &config::Server, auth: &config::Auth, health: &Arc<Health>) -> Self {
        let mut table = vec![
            api(Exact("/v1/ws"), Methods::GET, Handler::Connection(upgrade::upgrade)),
            api(Exact("/v1/events"), Methods::QUERY, Handler::Stream(|request| Box::pin(events::events(request)))),
            client(Exact("/v1/poll"), Methods::QUERY, |request| Box::pin(poll::poll(request))),
            client(Below("/v1/publish/"), Methods::POST, |request| Box::pin(http::publish(request))),
            client(Below("/v1/request/"), Methods::POST, |request| Box::pin(http::request(request))),
            client(Below("/v1/last/"), Methods::READ, |request| Box::pin(stored::last(request))),
            client(Exact("/v1/fetch"), Methods::READ, |request| Box::pin(stored::fetch(request))),
            library(Below("/client/v1/"), REVALIDATE, client_library::current),
            library(Below("/client/"), IMMUTABLE, client_library::of_version),
        ];
        if server.demo {
            table.push(page(Exact("/"), demo::POLICY, demo::shop));
            if let Some(login) = Login::new(auth) {
                let token = move |request: &PublicRequest<'_>| login.token(request);
                table.push(api(Below("/demo/token/"), Methods::POST, Handler::Public(Box::new(token))));
            }
            table.push(page(Below("/demo/"), demo::POLICY, demo::file));
        }
        if server.live_page {
            let live_page = Asset::new("text/html; charset=utf-8", LIVE_PAGE);
            let path = Exact(if server.demo { "/live" } else { "/" });
            table.push(page(path, LIVE_PAGE_POLICY, move |request| Ok(live_page.answer(request.headers))));
        }
        if server.public_probes {
            table.push(probe("/livez", health, Health::public_liveness));
            table.push(probe("/readyz", health, Health::public_readiness));
            if !server.live_page && !server.demo {
                table.push(probe("/", health, Health::public_readiness));
            }
        }
        Self { prefix: server.path_prefix.clone(), table }
    }

    /// Path in front of all routes.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The route of a path, and the bytes of the path up to the end of the
    /// route's. The prefix alone is the root below it.
    pub(crate) fn find(&self, path: &str) -> Option<(&HttpRoute, usize)> {
        let below = path.strip_prefix(&*self.prefix)?;
        let below = if below.is_empty() && !self.prefix.is_empty() { "/" } else { below };
        let (route, matched) = self.table.iter().find_map(|route| Some((route, route.path.matched(below)?)))?;
        Some((route, path.len().min(self.prefix.len() + matched)))
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
fn library(path: RoutePath, cache: &'static str, handler: fn(&PublicRequest<'_>) -> Answered) -> HttpRoute {
    HttpRoute {
        path,
        methods: Methods::READ,
        origins: OriginPolicy::Any,
        cache,
        security: Some(LIBRARY_POLICY),
        handler: Handler::Public(Box::new(handler)),
    }
}

/// A route of a page, or of what it loads: for pages of the node.
fn page(
    path: RoutePath,
    policy: &'static str,
    handler: impl Fn(&PublicRequest<'_>) -> Answered + Send + Sync + 'static,
) -> HttpRoute {
    HttpRoute {
        path,
        methods: Methods::READ,
        origins: OriginPolicy::Listed,
        cache: REVALIDATE,
        security: Some(policy),
        handler: Handler::Public(Box::new(handler)),
    }
}

/// A route that tells how the node is.
fn probe(path: &'static str, health: &Arc<Health>, answer: fn(&Health) -> HttpResponse) -> HttpRoute {
    let health = health.clone();
    api(Exact(path), Methods::READ, Handler::Public(Box::new(move |_| Ok(answer(&health)))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::Metrics;

    fn routes(prefix: &str) -> Routes {
        let server = config::Server { path_prefix: prefix.into(), public_probes: true, ..config::Server::default() };
        let metrics = Arc::new(Metrics::new().expect("buckets are not empty"));
        Routes::new(&server, &config::Auth::default(), &Health::new(metrics, Vec::new, || serde_json::Value::Null))
    }

    /// The path of the route that serves a path, and the rest behind it.
    fn found<'p>(routes: &Routes, path: &'p str) -> Option<(RoutePath, &'p str)> {
        routes.find(path).map(|(route, bytes)| (route.path, &path[bytes..]))
    }

    #[test]
    fn the_prefix_alone_is_the_root_below_it() {
        let routes = routes("/notifier");
        assert_eq!(found(&routes, "/notifier"), Some((Exact("/"), "")));
        assert_eq!(found(&routes, "/notifier/"), Some((Exact("/"), "")));
        assert_eq!(found(&routes, "/notifier/v1/last/a/b"), Some((Below("/v1/last/"), "a/b")));
        for path in ["", "/", "/v1/ws", "/notifierx", "/notifierv1/ws", "/notifier//", "/Notifier/v1/ws"] {
            assert_eq!(found(&routes, path), None, "{path}");
        }
        assert_eq!(found(&self::routes(""), ""), None);
    }

    #[test]
    fn no_route_hides_one_that_stands_behind_it() {
        let routes = routes("");
        for route in &routes.table {
            let (Exact(path) | Below(path)) = route.path;
            assert_eq!(found(&routes, path), Some((route.path, "")), "{path}");
        }
    }

    const PARTS: [&str; 15] = [
        "/", "v1", "ws", "publish", "last", "fetch", "client", "livez", "notifier", "a.b", "%2F", "..", "\u{e9}", "*",
        "",
    ];

    /// Paths that are near those of routes, and others.
    fn path() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(&PARTS[..]), 0..10).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn a_path_finds_the_route_that_it_spells_and_the_rest_behind_it(
            prefix in prop::sample::select(&["", "/notifier", "/a.b/v1"][..]),
            path in path(),
        ) {
            let routes = routes(prefix);
            let spelled = |route: &HttpRoute| match route.path {
                Exact(exact) => path == format!("{prefix}{exact}"),
                Below(below) => path.starts_with(&format!("{prefix}{below}")),
            };
            let expected = routes.table.iter().find(|route| spelled(route)).map(|route| route.path);
            match found(&routes, &path) {
                None => prop_assert_eq!(expected, None),
                Some((Exact("/"), "")) if path == prefix => prop_assert!(!prefix.is_empty()),
                Some((Exact(_), rest)) => prop_assert!(rest.is_empty() && expected.is_some()),
                Some((Below(below), rest)) => {
                    prop_assert_eq!(format!("{prefix}{below}{rest}"), path);
                    prop_assert_eq!(expected, Some(Below(below)));
                }
            }
        }

        #[test]
        fn a_prefix_changes_nothing_behind_it(path in path()) {
            prop_assume!(!path.is_empty());
            let (below, bare, behind) = (routes("/live/n"), routes(""), format!("/live/n{path}"));
            prop_assert_eq!(found(&below, &behind), found(&bare, &path));
        }

        #[test]
        fn no_path_is_too_odd_to_be_looked_for(path in ".*", prefix in prop::sample::select(&["", "/n"][..])) {
            let routes = routes(prefix);
            prop_assert!(found(&routes, &path).is_none_or(|(_, rest)| path.ends_with(rest)));
        }
    }
}
