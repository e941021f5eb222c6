//! A token in a cookie. Browsers add cookies to requests that a page of any
//! site makes, so one counts only where it is known which page asks.

use hyper::{
    HeaderMap, Method, Request,
    header::{self, HeaderName, HeaderValue},
};

use crate::server::cors::RequestOrigin;

/// The header in which browsers tell the page that a request comes from, also
/// where they send no `Origin` (Fetch Metadata).
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether the page that asks may use the user's cookie. A browser tells no
/// `Origin` when a page reads from its own origin, and when any page shows an
/// image or follows a link; newer ones tell these apart.
pub(crate) fn is_usable<B>(origin: &RequestOrigin, request: &Request<B>) -> bool {
    match origin {
        RequestOrigin::Own | RequestOrigin::Listed(_) => true,
        RequestOrigin::Refused | RequestOrigin::Ignored => false,
        RequestOrigin::Untold => {
            let site = request.headers().get(SITE).map(HeaderValue::as_bytes);
            let reads = [Method::GET, Method::HEAD].contains(request.method());
            reads && matches!(site, None | Some(b"same-origin" | b"none"))
        }
    }
}

/// The value of the one cookie of that name (RFC 6265 5.4). Where there are
/// several, a page of another host has perhaps slipped one in: none counts.
pub(crate) fn value<'h>(name: &str, headers: &'h HeaderMap) -> Option<&'h str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(value), None) => {
            let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
            Some(unquoted.trim()).filter(|value| !value.is_empty())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request with these headers.
    fn request(method: &Method, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request")
    }

    #[test]
    fn the_one_cookie_of_the_name_is_the_token() {
        let rows = [
            ("session=a.b.c", Some("a.b.c")),
            ("other=1; session=a.b.c; more=2", Some("a.b.c")),
            ("session=\"a.b.c\"", Some("a.b.c")),
            ("session=a=b", Some("a=b")),
            ("session=", None),
            ("session=\" \"", None),
            ("session", None),
            ("Session=a", None),
            ("xsession=a", None),
            ("other=session=a", None),
            ("session=a; session=b", None),
            ("session=a; session=a", None),
            ("", None),
        ];
        for (cookie, token) in rows {
            let request = request(&Method::GET, &[("cookie", cookie)]);
            assert_eq!(value("session", request.headers()), token, "{cookie}");
        }
        let two = request(&Method::GET, &[("cookie", "session=a"), ("cookie", "session=b")]);
        assert_eq!(value("session", two.headers()), None);
    }

    #[test]
    fn a_cookie_counts_only_for_pages_that_are_known() {
        let listed = &RequestOrigin::Listed(HeaderValue::from_static("https://shop.example"));
        type Row<'r> = (&'r Method, &'r RequestOrigin, &'r [(&'r str, &'r str)], bool);
        let rows: [Row<'_>; 13] = [
            (&Method::POST, &RequestOrigin::Own, &[], true),
            (&Method::POST, listed, &[], true),
            (&Method::POST, listed, &[("sec-fetch-site", "cross-site")], true),
            (&Method::GET, &RequestOrigin::Refused, &[], false),
            (&Method::GET, &RequestOrigin::Ignored, &[], false),
            (&Method::GET, &RequestOrigin::Untold, &[], true),
            (&Method::HEAD, &RequestOrigin::Untold, &[], true),
            (&Method::GET, &RequestOrigin::Untold, &[("sec-fetch-site", "same-origin")], true),
            (&Method::GET, &RequestOrigin::Untold, &[("sec-fetch-site", "none")], true),
            (&Method::GET, &RequestOrigin::Untold, &[("sec-fetch-site", "same-site")], false),
            (&Method::GET, &RequestOrigin::Untold, &[("sec-fetch-site", "cross-site")], false),
            (&Method::POST, &RequestOrigin::Untold, &[], false),
            (&Method::POST, &RequestOrigin::Untold, &[("sec-fetch-site", "same-origin")], false),
        ];
        for (method, origin, headers, counts) in rows {
            assert_eq!(is_usable(origin, &request(method, headers)), counts, "{method} {origin:?} {headers:?}");
        }
    }
}
