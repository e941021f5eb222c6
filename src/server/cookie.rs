//! A token in a cookie. Browsers add cookies to requests that a page of any
//! site makes, so one counts only where it is known which page asks.

use hyper::{
    HeaderMap, Method, Request,
    header::{self, HeaderName, HeaderValue},
};

use crate::server::cors::RequestOrigin;

/// What browsers tell of the page that a request comes from, also where they
/// tell no `Origin` (Fetch Metadata).
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Puts the token of the cookie called `name` where any other token stands, for
/// whoever admits the request. A token that stands there already counts more.
pub(crate) fn adopt<B>(name: &str, page: &RequestOrigin, request: &mut Request<B>) {
    if request.headers().contains_key(header::AUTHORIZATION) || !is_known(page, request) {
        return;
    }
    let Some(mut token) = value(name, request.headers()).and_then(bearer) else { return };
    token.set_sensitive(true);
    request.headers_mut().insert(header::AUTHORIZATION, token);
}

/// Whether the page that asks may use the user's cookie. A browser tells no
/// `Origin` when a page reads from its own origin, and when any page shows an
/// image or follows a link; newer ones tell these apart.
fn is_known<B>(page: &RequestOrigin, request: &Request<B>) -> bool {
    match page {
        RequestOrigin::Own | RequestOrigin::Listed(_) => true,
        RequestOrigin::Refused => false,
        RequestOrigin::Untold => {
            let site = request.headers().get(SITE).map(HeaderValue::as_bytes);
            let reads = [Method::GET, Method::HEAD].contains(request.method());
            reads && matches!(site, None | Some(b"same-origin" | b"none"))
        }
    }
}

fn bearer(value: &str) -> Option<HeaderValue> {
    format!("Bearer {value}").try_into().ok()
}

/// The value of the one cookie of that name (RFC 6265 5.4). Where there are
/// several, a page of another host has perhaps slipped one in: none counts.
fn value<'h>(name: &str, headers: &'h HeaderMap) -> Option<&'h str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(value), None) => {
            let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
            (!unquoted.is_empty()).then_some(unquoted)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: RequestOrigin = RequestOrigin::Listed(HeaderValue::from_static("https://shop.example"));

    /// The token that is admitted for a request with these headers.
    fn adopted(method: &Method, page: &RequestOrigin, headers: &[(&str, &str)]) -> Option<String> {
        let mut request = Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).expect("a request");
        adopt("session", page, &mut request);
        request.headers().get(header::AUTHORIZATION).map(|value| value.to_str().expect("text").to_owned())
    }

    #[test]
    fn the_one_cookie_of_the_name_is_the_token() {
        let rows = [
            ("session=a.b.c", Some("Bearer a.b.c")),
            ("other=1; session=a.b.c; more=2", Some("Bearer a.b.c")),
            ("session=\"a.b.c\"", Some("Bearer a.b.c")),
            ("session=a=b", Some("Bearer a=b")),
            ("session=", None),
            ("session", None),
            ("Session=a", None),
            ("xsession=a", None),
            ("other=session=a", None),
            ("session=a; session=b", None),
            ("session=a; session=a", None),
            ("", None),
        ];
        for (cookie, token) in rows {
            let headers: &[_] = &[("cookie", cookie)];
            assert_eq!(adopted(&Method::GET, &LISTED, headers).as_deref(), token, "{cookie}");
        }
        let two: &[_] = &[("cookie", "session=a"), ("cookie", "session=b")];
        assert_eq!(adopted(&Method::GET, &LISTED, two), None);
    }

    #[test]
    fn a_cookie_counts_only_for_pages_that_are_known() {
        let cookie = ("cookie", "session=a");
        type Row<'r> = (&'r Method, &'r RequestOrigin, &'r [(&'r str, &'r str)], bool);
        let rows: [Row<'_>; 11] = [
            (&Method::POST, &RequestOrigin::Own, &[], true),
            (&Method::POST, &LISTED, &[], true),
            (&Method::POST, &LISTED, &[("sec-fetch-site", "cross-site")], true),
            (&Method::GET, &RequestOrigin::Refused, &[], false),
            (&Method::GET, &RequestOrigin::Untold, &[], true),
            (&Method::GET, &RequestOrigin::Untold, &[("sec-fetch-site", "same-origin")], true),
            (&Method::GET, &RequestOrigin::Untold, &[("sec-fetch-site", "none")], true),
            (&Method::GET, &RequestOrigin::Untold, &[("sec-fetch-site", "same-site")], false),
            (&Method::GET, &RequestOrigin::Untold, &[("sec-fetch-site", "cross-site")], false),
            (&Method::POST, &RequestOrigin::Untold, &[], false),
            (&Method::POST, &RequestOrigin::Untold, &[("sec-fetch-site", "same-origin")], false),
        ];
        for (method, page, headers, counts) in rows {
            let token = adopted(method, page, &[headers, &[cookie]].concat());
            assert_eq!(token.is_some(), counts, "{method} {page:?} {headers:?}");
        }
    }

    #[test]
    fn a_token_in_the_header_counts_more() {
        let headers: &[_] = &[("cookie", "session=a"), ("authorization", "Bearer b")];
        assert_eq!(adopted(&Method::GET, &LISTED, headers).as_deref(), Some("Bearer b"));
        let headers: &[_] = &[("cookie", "session=a"), ("authorization", "Basic b")];
        assert_eq!(adopted(&Method::GET, &LISTED, headers).as_deref(), Some("Basic b"));
    }
}
