//! Authentication of the internal listener. Probes need none: they bring nothing,
//! and their answers tell nothing.
//!
//! Where nothing is asked for, a browser of an operator is somebody who may.
//! So it matters by which name the listener is asked: a page can have its own
//! name point here (DNS rebinding), but not an address, and no name of ours.

use std::net::IpAddr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use hyper::{HeaderMap, Method, StatusCode, Uri, header, http::uri::Authority};

use crate::{
    config::{Secret, Server},
    server::credentials::bearer,
};

/// Paths that need no authentication.
const OPEN: [&str; 2] = ["/livez", "/readyz"];

/// Authenticates requests to the internal listener.
#[derive(Debug)]
pub struct InternalAuth {
    token: Option<Secret>,
    certificates: bool,
    /// Whether other machines may reach it.
    exposed: bool,
    /// By which names it may be asked, besides addresses.
    hosts: Vec<String>,
}

/// A failed authentication, and the status that tells it.
pub(crate) type AuthFailure = (StatusCode, &'static str);

impl InternalAuth {
    /// As the settings say.
    pub fn new(server: &Server) -> Self {
        Self {
            token: server.internal_token.clone(),
            certificates: server.internal_tls.client_ca_file.is_some(),
            exposed: !server.internal_listen.ip().is_loopback(),
            hosts: server.internal_hosts.clone(),
        }
    }

    /// Whether anybody who reaches the listener from another machine reads it.
    pub fn is_absent(&self) -> bool {
        self.exposed && !self.asks()
    }

    fn asks(&self) -> bool {
        self.token.is_some() || self.certificates
    }

    /// Whether a request may be answered; `certificate` says that the client
    /// has shown one that holds.
    pub(crate) fn check(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        certificate: bool,
    ) -> Result<(), AuthFailure> {
        if OPEN.contains(&uri.path()) {
            return Ok(());
        }
        let changes = ![Method::GET, Method::HEAD].contains(method);
        if changes && headers.contains_key(header::ORIGIN) {
            // A page that an operator happens to look at must not act for them.
            return Err((StatusCode::FORBIDDEN, "pages may not change anything here"));
        }
        if self.asks() {
            let known = certificate || bearer(headers).is_some_and(|token| self.is_token(token.reveal()));
            return match known {
                true => Ok(()),
                false => Err((StatusCode::UNAUTHORIZED, "show the token of server.internal_token, or a certificate")),
            };
        }
        if !self.is_ours(uri, headers) {
            let why = "the request names a host that is none of this listener's; ask by address, or name it in \
                       server.internal_hosts";
            return Err((StatusCode::MISDIRECTED_REQUEST, why));
        }
        if changes && self.exposed {
            let why = "this listener can be reached from other machines; set server.internal_token to change things";
            return Err((StatusCode::FORBIDDEN, why));
        }
        Ok(())
    }

    /// Whether the name by which the listener is asked is one of its own. A
    /// request without a name does not come from a browser.
    fn is_ours(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut told = headers.get_all(header::HOST).iter();
        let authority = match (uri.authority(), told.next(), told.next()) {
            (None, None, _) => return true,
            (_, _, Some(_)) => None,
            (Some(authority), _, None) => Some(authority.clone()),
            (None, Some(host), None) => Authority::try_from(host.as_bytes()).ok(),
        };
        let Some(authority) = authority else { return false };
        let host = authority.host().trim_end_matches('.');
        let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let is_named = |name: &String| match name.strip_prefix('*') {
            Some(below) => host.len() > below.len() && ends_with(host, below),
            None => host.eq_ignore_ascii_case(name),
        };
        is_address || host.eq_ignore_ascii_case("localhost") || self.hosts.iter().any(is_named)
    }

    /// In constant time, so that nobody finds it letter by letter.
    fn is_token(&self, token: &str) -> bool {
        let own = self.token.as_ref().map(|own| own.reveal().as_bytes());
        own.is_some_and(|own| verify_slices_are_equal(own, token.as_bytes()).is_ok())
    }
}

fn ends_with(host: &str, end: &str) -> bool {
    host.len().checked_sub(end.len()).and_then(|at| host.get(at..)).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn internal_auth(listen: &str, token: Option<&str>, certificates: bool) -> InternalAuth {
        let mut server = Server { internal_listen: listen.parse().expect("an address"), ..Server::default() };
        server.internal_token = token.map(|token| Secret::from(token.to_owned()));
        server.internal_tls.client_ca_file = certificates.then(|| "ca.pem".into());
        InternalAuth::new(&server)
    }

    fn asked(
        internal_auth: &InternalAuth,
        method: &Method,
        path: &str,
        headers: &[(&str, &str)],
        certificate: bool,
    ) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: header::HeaderName = name.parse().expect("a name");
            map.append(name, value.parse().expect("a value"));
        }
        internal_auth
            .check(method, &path.parse().expect("a path"), &map, certificate)
            .map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    #[test]
    fn everything_but_probes_asks_for_what_is_set() {
        let bearer = format!("Bearer {TOKEN}");
        let other = format!("Bearer {}", TOKEN.replace('f', "e"));
        let (right, wrong) = (&[("authorization", bearer.as_str())], &[("authorization", other.as_str())]);
        let none = &[];
        type Row<'r> = (Option<&'r str>, bool, &'r str, &'r [(&'r str, &'r str)], bool, u16);
        let rows: &[Row<'_>] = &[
            (None, false, "/metrics", none, false, 200),
            (Some(TOKEN), false, "/livez", none, false, 200),
            (Some(TOKEN), false, "/readyz", wrong, false, 200),
            (Some(TOKEN), false, "/metrics", none, false, 401),
            (Some(TOKEN), false, "/metrics", wrong, false, 401),
            (Some(TOKEN), false, "/metrics", &[("authorization", TOKEN)], false, 401),
            (Some(TOKEN), false, "/metrics", &[("authorization", "Bearer ")], false, 401),
            (Some(TOKEN), false, "/metrics", right, false, 200),
            (Some(TOKEN), false, "/debug/state", none, false, 401),
            (Some(TOKEN), false, "/livez/../metrics", none, false, 401),
            (Some(TOKEN), false, "/nowhere", none, false, 401),
            (None, true, "/readyz", none, false, 200),
            (None, true, "/metrics", none, false, 401),
            (None, true, "/metrics", right, false, 401),
            (None, true, "/metrics", none, true, 200),
            (Some(TOKEN), true, "/metrics", none, true, 200),
            (Some(TOKEN), true, "/metrics", right, false, 200),
        ];
        for (token, certificates, path, headers, certificate, status) in rows {
            let internal_auth = internal_auth("0.0.0.0:9090", *token, *certificates);
            let asked = asked(&internal_auth, &Method::GET, path, headers, *certificate);
            assert_eq!(asked, *status, "{token:?} {certificates} {path} {headers:?}");
        }
    }

    #[test]
    fn without_a_token_only_names_of_its_own_reach_it() {
        let mut server = Server { internal_hosts: vec!["metrics".into(), "*.svc".into()], ..Server::default() };
        let open = InternalAuth::new(&server);
        server.internal_token = Some(Secret::from(TOKEN.to_owned()));
        let closed = InternalAuth::new(&server);
        let bearer = format!("Bearer {TOKEN}");
        let rows: &[(&[&str], u16)] = &[
            (&[], 200),
            (&["127.0.0.1:9090"], 200),
            (&["10.2.3.4"], 200),
            (&["[::1]:9090"], 200),
            (&["localhost:9090"], 200),
            (&["LocalHost."], 200),
            (&["metrics:9090"], 200),
            (&["a.notifier.SVC:9090"], 200),
            (&["svc"], 421),
            (&[".svc"], 421),
            (&["evil.example:9090"], 421),
            (&["127.0.0.1.evil.example"], 421),
            (&["localhost.evil.example"], 421),
            (&["evilmetrics"], 421),
            (&["127.0.0.1", "evil.example"], 421),
            (&["a b"], 421),
            (&[""], 421),
        ];
        for (hosts, status) in rows {
            let mut headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            for path in ["/metrics", "/debug/state", "/admin/connections"] {
                assert_eq!(asked(&open, &Method::GET, path, &headers, false), *status, "{hosts:?}");
            }
            assert_eq!(asked(&open, &Method::GET, "/livez", &headers, false), 200, "{hosts:?}");
            headers.push(("authorization", &bearer));
            assert_eq!(asked(&closed, &Method::GET, "/metrics", &headers, false), 200, "{hosts:?}");
        }
        assert_eq!(asked(&open, &Method::GET, "http://evil.example/metrics", &[("host", "127.0.0.1")], false), 421);
    }

    #[test]
    fn who_reaches_it_from_elsewhere_changes_nothing_without_a_token() {
        let post = |internal_auth: &InternalAuth, headers: &[(&str, &str)]| {
            asked(internal_auth, &Method::POST, "/admin", headers, false)
        };
        assert_eq!(post(&internal_auth("127.0.0.1:9090", None, false), &[]), 200);
        assert_eq!(post(&internal_auth("[::1]:9090", None, false), &[("origin", "https://evil.example")]), 403);
        assert_eq!(post(&internal_auth("0.0.0.0:9090", None, false), &[]), 403);
        let bearer = format!("Bearer {TOKEN}");
        assert_eq!(post(&internal_auth("0.0.0.0:9090", Some(TOKEN), false), &[("authorization", &bearer)]), 200);
        assert!(internal_auth("0.0.0.0:9090", None, false).is_absent());
        assert!(!internal_auth("127.0.0.1:9090", None, false).is_absent());
    }
}
