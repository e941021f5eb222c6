//! CORS (the Fetch standard) and security headers: pages of foreign origins are
//! refused. A browser tells the origin of a page by itself; another program can
//! tell any origin, and does not endanger a user's session.

use hyper::{
    HeaderMap, Method, Request, StatusCode,
    header::{self, HeaderName, HeaderValue},
};

use crate::{
    config,
    error::{Code, Refusal},
    origin::{Origins, Verdict},
    server::{
        header_list::elements,
        response::{self, HttpResponse, Refused},
        route::{Methods, OriginPolicy},
    },
};

/// Headers that a page may send, besides `ce-*`.
const TAKEN: [&str; 7] =
    ["authorization", "content-type", "kv-operation", "last-event-id", "nats-msg-id", "traceparent", "tracestate"];

/// How long a browser may keep the answer to a preflight, seconds. Chromium
/// takes no more than two hours.
const PREFLIGHT_AGE: &str = "7200";

/// Characters of an origin that are shown to whoever is refused.
const SHOWN: usize = 256;

/// Headers of every answer: it is what its type says, and no page may frame it
/// or learn from it where it was.
const ALWAYS: [(HeaderName, &str); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
];

/// The pages that may embed an answer.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The methods that a preflight for an unknown path is answered with, so that
/// the request comes and its page can read the 404.
const UNKNOWN_PATH: &str = "GET, POST";

/// Judges origins, and adds headers to answers.
#[derive(Debug)]
pub(crate) struct Cors {
    origins: Origins,
    /// Whether a cookie may hold the token, so that pages may send theirs.
    with_cookies: bool,
    hsts: Option<HeaderValue>,
}

/// The origin of a request.
#[derive(Debug)]
pub(crate) enum RequestOrigin {
    /// Nobody says: no browser, or a request that needs no `Origin`.
    Untold,
    /// One of the node's own origin.
    Own,
    /// One of another origin, which may.
    Listed(HeaderValue),
    /// One that may not.
    Refused,
    /// Any at all: the route is for pages of all origins, without credentials.
    Ignored,
}

impl Cors {
    /// As the settings say; they have been checked.
    pub(crate) fn new(server: &config::Server, with_cookies: bool) -> Self {
        let entries = server.allowed_origins.iter().map(String::as_str);
        let age = server.hsts.map(|age| format!("max-age={}", age.duration().as_secs()));
        Self {
            origins: Origins::parse(entries).unwrap_or_default(),
            with_cookies,
            hsts: age.and_then(|age| age.try_into().ok()),
        }
    }

    /// The origin of the page that makes a request, as far as the route looks at it.
    pub(crate) fn origin(&self, policy: OriginPolicy, headers: &HeaderMap) -> RequestOrigin {
        if policy == OriginPolicy::Any {
            return RequestOrigin::Ignored;
        }
        let Some(origin) = headers.get(header::ORIGIN) else { return RequestOrigin::Untold };
        let alone = headers.get_all(header::ORIGIN).iter().count() == 1;
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        match origin.to_str().map(|text| self.origins.judge(text, host)) {
            Ok(Verdict::Same) if alone => RequestOrigin::Own,
            Ok(Verdict::Listed) if alone => RequestOrigin::Listed(origin.clone()),
            _ => RequestOrigin::Refused,
        }
    }

    /// The answer to a page that may not.
    pub(crate) fn refusal(&self, headers: &HeaderMap) -> Refused {
        let origin = headers.get(header::ORIGIN).map(|origin| String::from_utf8_lossy(origin.as_bytes()));
        let origin: String = origin.unwrap_or_default().chars().take(SHOWN).collect();
        let message = format!("pages of `{origin}` may not use this node; list the origin in server.allowed_origins");
        Refusal::new(Code::OriginRefused, message).into()
    }

    /// The answer to a browser that asks whether a page may send a request (a
    /// preflight) to a path with these methods; none: an unknown path.
    pub(crate) fn preflight<B>(&self, request: &Request<B>, methods: Option<Methods>) -> Option<HttpResponse> {
        let asks = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if request.method() != Method::OPTIONS || !asks {
            return None;
        }
        let mut response = response::empty(StatusCode::NO_CONTENT);
        let headers = response.headers_mut();
        let methods = HeaderValue::from_static(methods.map_or(UNKNOWN_PATH, Methods::names));
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_AGE));
        let asked = elements(request.headers(), &header::ACCESS_CONTROL_REQUEST_HEADERS);
        let taken: Vec<&str> = asked.filter(|name| is_taken(name)).collect();
        // Those that are left out the browser refuses by itself.
        if let Ok(taken) = taken.join(", ").try_into() {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, taken);
        }
        Some(response)
    }

    /// Adds what a browser has to know to an answer.
    pub(crate) fn add_headers(&self, policy: OriginPolicy, origin: &RequestOrigin, response: &mut HttpResponse) {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let headers = response.headers_mut();
        for (name, value) in ALWAYS {
            // A page has a policy of its own.
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
        if let Some(hsts) = &self.hsts {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        if policy == OriginPolicy::Any {
            headers.insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            return;
        }
        headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
        // An answer that is cached for one page must not be shown to another.
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        let RequestOrigin::Listed(origin) = origin else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
        if self.with_cookies {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
}

fn is_taken(name: &str) -> bool {
    let attribute = name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("ce-"));
    attribute || TAKEN.iter().any(|taken| taken.eq_ignore_ascii_case(name))
}
