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
        credentials::{RequestCredentials, admit},
        health::Health,
        response::{self, HttpResponse, Refused},
        route::{Answered, ClientRequest, ConnectionRequest, Handler, HttpRoute, Methods, OriginPolicy, PublicRequest},
        routes::Routes,
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
            routes: Routes::new(server, health),
            sessions,
            admission,
            cors,
            credentials: RequestCredentials::new(auth),
        }
    }

    /// The answer to a request of the client with this address.
    pub(crate) async fn answer(&self, request: Request<Incoming>, client: IpAddr, permit: Arc<Permit>) -> HttpResponse {
        let found = self.routes.find(request.uri().path());
        let route = found.map(|(route, _)| route);
        let policy = route.map_or(OriginPolicy::Listed, |route| route.origins);
        let origin = self.cors.origin(policy, request.headers());
        let answered = match (&origin, self.cors.preflight(&request, route.map(|route| route.methods))) {
            (RequestOrigin::Refused, _) => Err(self.cors.refusal(request.headers())),
            (_, Some(preflight)) => Ok(preflight),
            _ => self.admitted(found, request, &origin, client, permit).await,
        };
        let mut response = answered.unwrap_or_else(|refused| {
            self.sessions.services.metrics.errors.of(refused.code()).increment(1);
            refused.into_response()
        });
        self.cors.add_headers(policy, &origin, &mut response);
        response
    }

    /// The answer to a request that its page may make.
    async fn admitted(
        &self,
        found: Option<(&HttpRoute, usize)>,
        request: Request<Incoming>,
        origin: &RequestOrigin,
        client: IpAddr,
        permit: Arc<Permit>,
    ) -> Answered {
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
            return other_method(route.methods, request.method());
        }
        let mut response = match &route.handler {
            Handler::Connection(handler) => {
                let token = self.credentials.token(&request, origin);
                let sessions = self.sessions.clone();
                return handler(ConnectionRequest { request, sessions, client, permit, token });
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
                handler(ClientRequest { request, services, grants, visit, route_bytes, token_parameter }).await?
            }
        };
        route.add_headers(&mut response);
        Ok(response)
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
