//! Whether an HTTP connection is kept for a further request, and for how long.
//! Each answer tells, so that a proxy sends nothing to a connection that is just
//! being closed: it could not know whether that was served, and would answer 502.

use std::time::Duration;

use hyper::{
    Request, Response, StatusCode, Version,
    header::{self, HeaderName, HeaderValue},
};

use crate::server::header_list::elements;

/// The header that tells how long (RFC 2068 19.7.1.1), in seconds.
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// How long connections are kept.
#[derive(Debug)]
pub(crate) struct KeepAlive {
    time: Duration,
    told: Option<HeaderValue>,
}

/// The kind of connection that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// It is to become another protocol's: nothing behind it was looked at.
    Upgrade,
    /// It is to be kept.
    Keep,
    /// It is to end, or the client's HTTP is an older one.
    Other,
}

impl Persistence {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        let close = || elements(headers, &header::CONNECTION).any(|token| token.eq_ignore_ascii_case("close"));
        match request.version() {
            _ if headers.contains_key(header::UPGRADE) => Self::Upgrade,
            Version::HTTP_11 if !close() => Self::Keep,
            _ => Self::Other,
        }
    }
}

impl KeepAlive {
    /// Zero: each answer ends its connection.
    pub(crate) fn new(time: Duration) -> Self {
        let seconds = Some(time.as_secs()).filter(|seconds| *seconds > 0);
        Self { time, told: seconds.and_then(|seconds| HeaderValue::try_from(format!("timeout={seconds}")).ok()) }
    }

    /// How long a connection may be idle.
    pub(crate) fn time(&self) -> Duration {
        self.time
    }

    /// Tells with an answer what becomes of its connection; a node that is
    /// leaving keeps none.
    pub(crate) fn tell<B>(&self, persistence: Persistence, leaving: bool, response: &mut Response<B>) {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let headers = response.headers_mut();
        if leaving || self.time.is_zero() || persistence == Persistence::Upgrade {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        } else if let (Persistence::Keep, Some(told)) = (persistence, &self.told) {
            // Named as a header of this connection alone (RFC 9110 7.6.1).
            headers.insert(header::CONNECTION, HeaderValue::from_static("keep-alive"));
            headers.insert(KEEP_ALIVE, told.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Connection` and `Keep-Alive` of an answer.
    fn headers_of(time: Duration, persistence: Persistence, leaving: bool, status: StatusCode) -> [Option<String>; 2] {
        let mut response = Response::new(());
        *response.status_mut() = status;
        KeepAlive::new(time).tell(persistence, leaving, &mut response);
        let value = |name| response.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
        [value(header::CONNECTION), value(KEEP_ALIVE)]
    }

    #[test]
    fn an_answer_tells_what_becomes_of_its_connection() {
        use Persistence::{Keep, Other, Upgrade};
        let (most, ok) = (Duration::from_secs(75), StatusCode::OK);
        let text = |text: &str| Some(text.to_owned());
        let (close, kept) = ([text("close"), None], [text("keep-alive"), text("timeout=75")]);
        assert_eq!(headers_of(most, Keep, false, ok), kept);
        assert_eq!(headers_of(most, Other, false, ok), [None, None]);
        assert_eq!(headers_of(most, Upgrade, false, StatusCode::BAD_REQUEST), close);
        assert_eq!(headers_of(most, Upgrade, false, StatusCode::SWITCHING_PROTOCOLS), [None, None]);
        assert_eq!(headers_of(most, Keep, true, ok), close);
        assert_eq!(headers_of(Duration::ZERO, Keep, false, ok), close);
        // Whole seconds are told, and none would be a lie.
        assert_eq!(headers_of(Duration::from_millis(900), Keep, false, ok), [None, None]);
    }

    #[test]
    fn a_request_says_what_is_to_become_of_its_connection() {
        let of = |version, headers: &[(HeaderName, &str)]| {
            let mut request = Request::builder().version(version);
            for (name, value) in headers {
                request = request.header(name, *value);
            }
            Persistence::of(&request.body(()).expect("a request"))
        };
        assert_eq!(of(Version::HTTP_11, &[]), Persistence::Keep);
        assert_eq!(of(Version::HTTP_11, &[(header::CONNECTION, "x, Close")]), Persistence::Other);
        assert_eq!(of(Version::HTTP_10, &[(header::CONNECTION, "keep-alive")]), Persistence::Other);
        assert_eq!(of(Version::HTTP_11, &[(header::UPGRADE, "h2c")]), Persistence::Upgrade);
    }
}
