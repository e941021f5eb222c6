//! The credentials of a request, looked for in this one place. They are secret: only
//! `access` gets to see them.

use hyper::{HeaderMap, Request, header};
use percent_encoding::percent_decode_str;

use crate::{
    access::{Access, grants::Grants},
    config::{self, Secret},
    error::Code,
    server::{cookie, cors::RequestOrigin, response::Refused, visit::Visit},
};

/// The places of a token in a request, as the settings name them.
#[derive(Debug)]
pub(crate) struct RequestCredentials {
    /// Name of the cookie that may hold the token.
    cookie: Option<String>,
    /// Name of the query parameter that may hold the token.
    query_parameter: Option<String>,
}

impl RequestCredentials {
    /// As the settings say; they have been checked.
    pub(crate) fn new(auth: &config::Auth) -> Self {
        Self { cookie: auth.cookie.clone(), query_parameter: auth.query_parameter.clone() }
    }

    /// Name of the query parameter that may hold the token.
    pub(crate) fn query_parameter(&self) -> Option<&str> {
        self.query_parameter.as_deref()
    }

    /// The token of a request, from the first place that has one: the header
    /// `Authorization: Bearer`; the cookie, if the request has no `Authorization`
    /// of any scheme and its page may use the user's cookie; the query parameter.
    pub(crate) fn token<B>(&self, request: &Request<B>, origin: &RequestOrigin) -> Option<Secret> {
        let in_cookie = || {
            let name = self.cookie.as_deref()?;
            let authorized = request.headers().contains_key(header::AUTHORIZATION);
            let may = !authorized && cookie::is_usable(origin, request);
            may.then(|| cookie::value(name, request.headers())).flatten().map(|token| token.to_owned().into())
        };
        let in_query = || in_query(request.uri().query()?, self.query_parameter.as_deref()?);
        bearer(request.headers()).or_else(in_cookie).or_else(in_query)
    }
}

/// Admits the client that presents a token, or none. It counts for its user from
/// now on.
///
/// # Errors
/// As [`grants`], and `user_limit`.
pub(crate) async fn admit(token: Option<Secret>, access: &Access, visit: &mut Visit) -> Result<Grants, Refused> {
    let grants = grants(token, access).await?;
    visit.count_for_user(grants.identity().user_key())?;
    Ok(grants)
}

/// The grants of the client that presents a token, or none.
///
/// # Errors
/// The refusal to tell; `unauthorized` says how to do better (RFC 6750 section 3).
pub(crate) async fn grants(token: Option<Secret>, access: &Access) -> Result<Grants, Refused> {
    let admitted = access.admit(token.as_ref().map(Secret::reveal)).await;
    admitted.map_err(|refusal| {
        let challenge = if token.is_some() { "Bearer error=\"invalid_token\"" } else { "Bearer" };
        match refusal.code {
            Code::Unauthorized => Refused::from(refusal).with(header::WWW_AUTHENTICATE, challenge),
            _ => refusal.into(),
        }
    })
}

/// The token in `Authorization: Bearer`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned().into())
}

fn in_query(query: &str, name: &str) -> Option<Secret> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.into_iter().find(|(key, _)| *key == name)?.1;
    Some(percent_decode_str(value).decode_utf8_lossy().into_owned().into())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    const LISTED: RequestOrigin = RequestOrigin::Listed(HeaderValue::from_static("https://shop.example"));

    /// The token that is found with this query and these headers, for a page of this origin.
    fn found(query: &str, headers: &[(&str, &str)], origin: &RequestOrigin) -> Option<String> {
        let places = RequestCredentials { cookie: Some("session".into()), query_parameter: Some("token".into()) };
        let mut request = Request::builder().uri(format!("/v1/ws?{query}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        places.token(&request, origin).map(|token| token.reveal().to_owned())
    }

    #[test]
    fn a_token_is_found_where_it_may_be() {
        let header = |value| found("", &[("authorization", value)], &LISTED);
        assert_eq!(header("Bearer a.b.c").as_deref(), Some("a.b.c"));
        assert_eq!(header("bEARER  a.b.c ").as_deref(), Some("a.b.c"));
        assert_eq!(header("Basic dTpw"), None);
        assert_eq!(header("a.b.c"), None);
        let query = |query| found(query, &[], &LISTED);
        assert_eq!(query("subject=a&token=a.b%2Ec").as_deref(), Some("a.b.c"));
        assert_eq!(query("tokens=a&mytoken=b&token"), None);
        let cookie = |value| found("", &[("cookie", value)], &LISTED);
        assert_eq!(cookie("session=a.b.c").as_deref(), Some("a.b.c"));
        assert_eq!(cookie("token=a.b.c"), None);
    }

    #[test]
    fn the_header_counts_before_the_cookie_and_the_cookie_before_the_query() {
        const QUERY: &str = "token=query";
        const COOKIE: (&str, &str) = ("cookie", "session=cookie");
        const BEARER: (&str, &str) = ("authorization", "Bearer header");
        const BASIC: (&str, &str) = ("authorization", "Basic dTpw");
        type Row<'r> = (&'r str, &'r [(&'r str, &'r str)], &'r RequestOrigin, Option<&'r str>);
        let rows: [Row<'_>; 9] = [
            (QUERY, &[COOKIE, BEARER], &LISTED, Some("header")),
            (QUERY, &[BEARER], &LISTED, Some("header")),
            ("", &[COOKIE, BEARER], &LISTED, Some("header")),
            (QUERY, &[COOKIE], &LISTED, Some("cookie")),
            (QUERY, &[COOKIE], &RequestOrigin::Refused, Some("query")),
            ("", &[COOKIE], &RequestOrigin::Refused, None),
            (QUERY, &[COOKIE, BASIC], &LISTED, Some("query")),
            ("", &[COOKIE, BASIC], &LISTED, None),
            (QUERY, &[("cookie", "session=")], &LISTED, Some("query")),
        ];
        for (query, headers, origin, token) in rows {
            assert_eq!(found(query, headers, origin).as_deref(), token, "{query} {headers:?} {origin:?}");
        }
    }

    #[test]
    fn a_place_that_is_not_configured_is_not_looked_at() {
        let nowhere = RequestCredentials { cookie: None, query_parameter: None };
        let request = Request::builder().uri("/v1/ws?token=a&session=a").header("cookie", "session=a; token=a");
        assert!(nowhere.token(&request.body(()).expect("a request"), &LISTED).is_none());
    }
}
