//! A route of the clients' listener: one row of the table (`routes`), and
//! the requests that handlers receive. The kind of a handler is the admission
//! of its route, so no handler looks at methods or credentials by itself.

use std::{borrow::Cow, fmt, net::IpAddr, sync::Arc};

use futures_util::future::BoxFuture;
use hyper::{
    HeaderMap, Method, Request,
    body::Incoming,
    header::{self, HeaderValue},
};

use crate::{
    access::grants::Grants,
    admission::Permit,
    config::Secret,
    error::Refusal,
    server::{
        query::parameters,
        response::{HttpResponse, Refused},
        started_stream::StartedStream,
        subject_path,
        visit::Visit,
    },
    services::NodeServices,
    session::Sessions,
};

/// The answer of a handler.
pub(crate) type Answered = Result<HttpResponse, Refused>;

/// One row of the table.
#[derive(Debug)]
pub(crate) struct HttpRoute {
    pub(crate) path: RoutePath,
    pub(crate) methods: Methods,
    pub(crate) origins: OriginPolicy,
    /// `Cache-Control` of answers; refusals are not stored on any route.
    pub(crate) cache: &'static str,
    /// `Content-Security-Policy` of a page. Other answers have that of `cors`.
    pub(crate) security: Option<&'static str>,
    pub(crate) handler: Handler,
}

/// The paths of a route, below the prefix of the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RoutePath {
    /// This path alone.
    Exact(&'static str),
    /// All paths that begin with this one, which ends in a slash.
    Below(&'static str),
}

/// The methods of a route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Methods {
    list: &'static [Method],
    /// The list as `Allow` and `Access-Control-Allow-Methods` name it.
    names: &'static str,
}

/// The pages that may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OriginPolicy {
    /// Pages of the node's own origin and of those in `server.allowed_origins`.
    Listed,
    /// Pages of all origins, without credentials: for files that are public.
    Any,
}

/// Answers the requests of a route, by the admission that it needs.
pub(crate) enum Handler {
    /// Takes the connection over. The connection counts, not the request, and
    /// the client is admitted by its first frame.
    Connection(fn(ConnectionRequest) -> Answered),
    /// Answers everybody. The request counts for its address.
    Public(PublicHandler),
    /// Answers an admitted client. The request counts for its address and its user.
    Client(fn(ClientRequest) -> BoxFuture<'static, Answered>),
    /// Answers an admitted client with a stream that its connection is taken over for.
    /// The connection counts, for its address and its user.
    Stream(StreamHandler),
}

/// Answers everybody, from what it holds.
pub(crate) type PublicHandler = Box<dyn Fn(&PublicRequest<'_>) -> Answered + Send + Sync>;

/// Answers with an event stream.
pub(crate) type StreamHandler = fn(StreamRequest) -> BoxFuture<'static, Result<StartedStream, Refused>>;

/// A request whose connection is to become another protocol's.
pub(crate) struct ConnectionRequest {
    pub(crate) request: Request<Incoming>,
    pub(crate) sessions: Arc<Sessions>,
    /// Address of the client.
    pub(crate) client: IpAddr,
    pub(crate) permit: Arc<Permit>,
    /// Not judged yet.
    pub(crate) token: Option<Secret>,
}

/// A request for something public.
#[derive(Debug)]
pub(crate) struct PublicRequest<'r> {
    pub(crate) headers: &'r HeaderMap,
    /// The part of the path behind that of the route.
    pub(crate) rest: &'r str,
}

/// A request of an admitted client.
pub(crate) struct ClientRequest {
    pub(crate) request: Request<Incoming>,
    pub(crate) services: Arc<NodeServices>,
    pub(crate) sessions: Arc<Sessions>,
    /// The right of its connection to be open.
    pub(crate) permit: Arc<Permit>,
    pub(crate) grants: Grants,
    pub(crate) visit: Visit,
    /// Bytes of the path up to the end of that of the route.
    pub(crate) route_bytes: usize,
    /// Name of the query parameter that may hold the token.
    pub(crate) token_parameter: Option<String>,
}

/// A request of an admitted client whose connection is to become an event stream.
pub(crate) struct StreamRequest {
    pub(crate) request: Request<Incoming>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) grants: Grants,
    /// Name of the query parameter that may hold the token.
    pub(crate) token_parameter: Option<String>,
}

impl HttpRoute {
    /// Adds the headers of the route to an answer that does not set them itself.
    pub(crate) fn add_headers(&self, response: &mut HttpResponse) {
        let headers = response.headers_mut();
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static(self.cache));
        if let Some(policy) = self.security {
            headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(policy));
        }
    }
}

impl Handler {
    /// Whether a request counts for its address, besides its connection.
    pub(crate) fn counts_requests(&self) -> bool {
        !matches!(self, Self::Connection(_) | Self::Stream(_))
    }
}

impl RoutePath {
    /// Bytes of `path` up to the end of the route's, where the route serves it.
    pub(crate) fn matched(self, path: &str) -> Option<usize> {
        match self {
            Self::Exact(exact) => (path == exact).then_some(exact.len()),
            Self::Below(below) => path.starts_with(below).then_some(below.len()),
        }
    }
}

impl Methods {
    /// Opening a WebSocket.
    pub(crate) const GET: Self = Self { list: &[Method::GET], names: "GET" };
    /// Reading.
    pub(crate) const READ: Self = Self { list: &[Method::GET, Method::HEAD], names: "GET, HEAD" };
    /// Doing something.
    pub(crate) const POST: Self = Self { list: &[Method::POST], names: "POST" };
    /// Reading by a query, which may be too long for a URL (RFC 10008).
    pub(crate) const QUERY: Self =
        Self { list: &[Method::GET, Method::QUERY, Method::POST], names: "GET, QUERY, POST" };

    pub(crate) fn contains(self, method: &Method) -> bool {
        self.list.contains(method)
    }

    pub(crate) fn names(self) -> &'static str {
        self.names
    }
}

impl ClientRequest {
    /// The subject that stands behind the route's path.
    ///
    /// # Errors
    /// `bad_subject`.
    pub(crate) fn subject(&self) -> Result<String, Refusal> {
        let path = self.request.uri().path();
        subject_path::subject(path, &path[..self.route_bytes])
    }

    /// Names and decoded values of the query's parameters, without the token.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        parameters(self.request.uri().query().unwrap_or_default(), self.token_parameter.as_deref())
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connection(_) => "Connection",
            Self::Public(_) => "Public",
            Self::Client(_) => "Client",
            Self::Stream(_) => "Stream",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_named_as_they_are_listed() {
        for methods in [Methods::GET, Methods::READ, Methods::POST, Methods::QUERY] {
            let list: Vec<&str> = methods.list.iter().map(Method::as_str).collect();
            assert_eq!(methods.names, list.join(", "));
        }
    }
}
