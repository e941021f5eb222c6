//! Who may ask the internal listener, and for what. Probes may always: they
//! bring nothing, and their answers tell nothing.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use hyper::{HeaderMap, Method, StatusCode, header};

use crate::{
    config::{Secret, Server},
    server::caller::bearer,
};

/// What anybody may ask who reaches the listener.
const OPEN: [&str; 2] = ["/livez", "/readyz"];

/// Keeps the internal listener.
#[derive(Debug)]
pub struct Warden {
    token: Option<Secret>,
    certificates: bool,
    /// Whether other machines may reach it.
    exposed: bool,
}

/// Why somebody may not, and with which status that is told.
pub(crate) type Denial = (StatusCode, &'static str);

impl Warden {
    /// As the settings say.
    pub fn new(server: &Server) -> Self {
        Self {
            token: server.internal_token.clone(),
            certificates: server.internal_tls.client_ca_file.is_some(),
            exposed: !server.internal_listen.ip().is_loopback(),
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
        path: &str,
        headers: &HeaderMap,
        certificate: bool,
    ) -> Result<(), Denial> {
        if OPEN.contains(&path) {
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
        if changes && self.exposed {
            let why = "this listener can be reached from other machines; set server.internal_token to change things";
            return Err((StatusCode::FORBIDDEN, why));
        }
        Ok(())
    }

    /// In constant time, so that nobody finds it letter by letter.
    fn is_token(&self, token: &str) -> bool {
        let own = self.token.as_ref().map(|own| own.reveal().as_bytes());
        own.is_some_and(|own| verify_slices_are_equal(own, token.as_bytes()).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn warden(listen: &str, token: Option<&str>, certificates: bool) -> Warden {
        let mut server = Server { internal_listen: listen.parse().expect("an address"), ..Server::default() };
        server.internal_token = token.map(|token| Secret::from(token.to_owned()));
        server.internal_tls.client_ca_file = certificates.then(|| "ca.pem".into());
        Warden::new(&server)
    }

    fn asked(warden: &Warden, method: &Method, path: &str, headers: &[(&str, &str)], certificate: bool) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: header::HeaderName = name.parse().expect("a name");
            map.insert(name, value.parse().expect("a value"));
        }
        warden.check(method, path, &map, certificate).map_or_else(|(status, _)| status.as_u16(), |()| 200)
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
            let warden = warden("0.0.0.0:9090", *token, *certificates);
            let asked = asked(&warden, &Method::GET, path, headers, *certificate);
            assert_eq!(asked, *status, "{token:?} {certificates} {path} {headers:?}");
        }
    }

    #[test]
    fn who_reaches_it_from_elsewhere_changes_nothing_without_a_token() {
        let post = |warden: &Warden, headers: &[(&str, &str)]| asked(warden, &Method::POST, "/admin", headers, false);
        assert_eq!(post(&warden("127.0.0.1:9090", None, false), &[]), 200);
        assert_eq!(post(&warden("[::1]:9090", None, false), &[("origin", "https://evil.example")]), 403);
        assert_eq!(post(&warden("0.0.0.0:9090", None, false), &[]), 403);
        let bearer = format!("Bearer {TOKEN}");
        assert_eq!(post(&warden("0.0.0.0:9090", Some(TOKEN), false), &[("authorization", &bearer)]), 200);
        assert!(warden("0.0.0.0:9090", None, false).is_absent());
        assert!(!warden("127.0.0.1:9090", None, false).is_absent());
    }
}
