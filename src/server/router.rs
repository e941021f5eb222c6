//! From a request of the clients' listener to its answer: the route, the origin
//! of the page, the method and the admission are looked at here, and nowhere
//! else, in this order.

use std::{net::IpAddr, sync::Arc};

use hyper::{Method, Request, StatusCode, body::Incoming, header};

use crate::{
    admission::{Admission, Permit},
    config,
    error::{Code, Refusal},
    server::{
        cors::{Cors, RequestOrigin},
        credentials::{RequestCredentials, admit, grants},
        event_query::format_of,
        events::is_event_source,
        health::Health,
        response::{self, HttpResponse, Refused},
        route::{
            Answered, ClientRequest, ConnectionRequest, Handler, HttpRoute, Methods, OriginPolicy, PublicRequest,
            StreamHandler, StreamRequest,
        },
        routes::Routes,
        started_stream::StartedStream,
        visit::Visit,
    },
    session::Sessions,
};

/// Answers the requests of clients.
#[derive(Debug)]
pub(crate) struct Router {
    routes: Routes,
    sessions: Arc<Sessions>,
    /// Counts requests.
    admission: Arc<Admission>,
    cors: Cors,
    credentials: RequestCredentials,
}

/// The reply to a request.
pub(crate) enum Reply {
    /// A response that the HTTP library sends.
    Whole(HttpResponse),
    /// An event stream, for which the connection is to be taken over.
    Stream(Box<StartedStream>),
}

impl Router {
    /// As the settings say; they have been checked.
    pub(crate) fn new(
        sessions: Arc<Sessions>,
        admission: Arc<Admission>,
        server: &config::Server,
        auth: &config::Auth,
        health: &Arc<Health>,
    ) -> Self {
        let cors = Cors::new(server, auth.cookie.is_some());
        Self {
            routes: Routes::new(server, auth, health),
            sessions,
            admission,
            cors,
            credentials: RequestCredentials::new(auth),
        }
    }

    /// The answer to a request of the client with this address.
    pub(crate) async fn answer(&self, request: Request<Incoming>, client: IpAddr, permit: Arc<Permit>) -> Reply {
        let found = self.routes.find(request.uri().path());
        let route = found.map(|(route, _)| route);
        let policy = route.map_or(OriginPolicy::Listed, |route| route.origins);
        let origin = self.cors.origin(policy, request.headers());
        let is_stream = route.is_some_and(|route| matches!(route.handler, Handler::Stream(_)));
        let comes_back = is_stream && is_event_source(request.headers());
        let format = comes_back.then(|| format_of(request.uri().query().unwrap_or_default()));
        let answered = match (&origin, self.cors.preflight(&request, route.map(|route| route.methods))) {
            (RequestOrigin::Refused, _) => Err(self.cors.refusal(request.headers())),
            (_, Some(preflight)) => Ok(Reply::Whole(preflight)),
            _ => self.admitted(found, request, &origin, client, permit).await,
        };
        let mut reply = answered.unwrap_or_else(|refused| {
            self.sessions.services.metrics.errors.of(refused.code()).increment(1);
            let ends_stream = format.filter(|_| refused.code().retryable());
            Reply::Whole(match ends_stream {
                Some(format) => refused.into_event_stream(format),
                None => refused.into_response(),
            })
        });
        self.cors.add_headers(policy, &origin, reply.head());
        reply
    }

    /// The answer to a request that its page may make.
    async fn admitted(
        &self,
        found: Option<(&HttpRoute, usize)>,
        request: Request<Incoming>,
        origin: &RequestOrigin,
        client: IpAddr,
        permit: Arc<Permit>,
    ) -> Result<Reply, Refused> {
        if found.is_none_or(|(route, _)| route.handler.counts_requests()) {
            self.admission.request(client).map_err(|closed| self.admission.refusal(closed))?;
        }
        let Some((route, route_bytes)) = found else {
            return Err(Refusal::new(
                Code::NotFound,
                format!("there is nothing here; clients connect to {}/v1/ws", self.routes.prefix()),
            )
            .into());
        };
        if !route.methods.contains(request.method()) {
            return other_method(route.methods, request.method()).map(Reply::Whole);
        }
        let mut response = match &route.handler {
            Handler::Connection(handler) => {
                let token = self.credentials.token(&request, origin);
                let sessions = self.sessions.clone();
                return handler(ConnectionRequest { request, sessions, client, permit, token }).map(Reply::Whole);
            }
            Handler::Stream(handler) => {
                let mut started = self.stream(*handler, request, origin, client, &permit).await?;
                route.add_headers(&mut started.head);
                return Ok(Reply::Stream(Box::new(started)));
            }
            Handler::Public(handler) => {
                let rest = &request.uri().path()[route_bytes..];
                handler(&PublicRequest { headers: request.headers(), rest })?
            }
            Handler::Client(handler) => {
                let services = self.sessions.services.clone();
                let mut visit = Visit::new(self.admission.clone(), client);
                let token = self.credentials.token(&request, origin);
                let grants = admit(token, &services.access, &mut visit).await?;
                let token_parameter = self.credentials.query_parameter().map(str::to_owned);
                let sessions = self.sessions.clone();
                handler(ClientRequest {
                    request,
                    services,
                    sessions,
                    permit,
                    grants,
                    visit,
                    route_bytes,
                    token_parameter,
                })
                .await?
            }
        };
        route.add_headers(&mut response);
        Ok(Reply::Whole(response))
    }

    /// An event stream: its connection counts as that of a WebSocket does.
    async fn stream(
        &self,
        handler: StreamHandler,
        request: Request<Incoming>,
        origin: &RequestOrigin,
        client: IpAddr,
        permit: &Permit,
    ) -> Result<StartedStream, Refused> {
        let services = &self.sessions.services;
        if services.leaving.is_cancelled() {
            return Err(Refusal::new(Code::Draining, "this node is leaving; connect again to reach another one").into());
        }
        permit.count_for_address(client).map_err(|closed| permit.refusal(closed))?;
        let grants = grants(self.credentials.token(&request, origin), &services.access).await?;
        permit.count_for_user(grants.identity().user_key()).map_err(|closed| permit.refusal(closed))?;
        let token_parameter = self.credentials.query_parameter().map(str::to_owned);
        handler(StreamRequest { request, sessions: self.sessions.clone(), grants, token_parameter }).await
    }
}

impl Reply {
    /// The response, for headers that are added to it.
    fn head(&mut self) -> &mut HttpResponse {
        match self {
            Self::Whole(response) => response,
            Self::Stream(started) => &mut started.head,
        }
    }
}

/// The answer to a method that the route does not take. `OPTIONS` asks for those
/// that it does (RFC 9110 9.3.7).
fn other_method(methods: Methods, method: &Method) -> Answered {
    if method == Method::OPTIONS {
        let mut response = response::empty(StatusCode::NO_CONTENT);
        response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(methods.names()));
        return Ok(response);
    }
    let refusal = Refusal::new(Code::MethodNotAllowed, format!("this path takes {}", methods.names()));
    Err(Refused::from(refusal).with(header::ALLOW, methods.names()))
}
