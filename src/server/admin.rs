//! The operators' verbs: end connections, revoke tokens, have clients bring new
//! ones, list who is there, explain what somebody may do. Any node may be
//! asked; all of them do it.

use std::{str::FromStr, sync::Arc, time::Duration};

use hyper::{Method, Request, body::Incoming, header};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    access::{
        Access,
        grants::BadAction,
        revocation::{IssuerName, Name, NoName, Revoked},
    },
    config::Auth,
    control::{Command, CommandRejected, CommandTarget, Control, LISTED, Outcome},
    error::{Code, Refusal},
    server::{
        body,
        query::parameters,
        response::{self, HttpResponse, Refused},
    },
    session::Connections,
    socket::ConnectionId,
    subject::Pattern,
};

/// Where the verbs are.
pub(crate) const ADMIN: &str = "/admin/";

/// Bytes of a request's body: a name, and a reason for the log.
const BODY_BYTES: usize = 8 * 1024;

/// How long a request's body may take.
const BODY_TIME: Duration = Duration::from_secs(5);

/// Characters of a reason that are logged.
const REASON: usize = 256;

/// The commands of operators.
#[derive(Debug)]
pub struct Admin {
    control: Arc<Control>,
    access: Arc<Access>,
    registry: Arc<Connections>,
    /// Names of the issuers whose tokens are taken.
    issuers: Vec<String>,
    /// Whether it has to be said whose user is meant.
    several: bool,
    /// How long a revocation is kept.
    kept: Duration,
    /// How long clients have to bring a new token, unless the request says it.
    within: Duration,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Disconnect {
    user: Option<Name>,
    issuer: Option<IssuerName>,
    connection: Option<String>,
    token_id: Option<Name>,
    #[serde(default)]
    revoke: bool,
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Reevaluate {
    user: Name,
    issuer: Option<IssuerName>,
    within_ms: Option<u64>,
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Explain {
    token: Option<String>,
    connection: Option<String>,
    verb: String,
    subject: String,
}

impl Admin {
    /// The verbs.
    pub fn new(control: Arc<Control>, access: Arc<Access>, registry: Arc<Connections>, auth: &Auth) -> Arc<Self> {
        let (kept, within) = (auth.revocation_time.duration(), auth.expiry_warning.duration());
        let issuers = auth.issuers.iter().map(|issuer| issuer.issuer.clone()).collect();
        Arc::new(Self { control, access, registry, issuers, several: auth.has_several_issuers(), kept, within })
    }

    /// Answers a request below `/admin/`.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> HttpResponse {
        let answered = match request.uri().path() {
            "/admin/disconnect" => self.disconnect(request).await,
            "/admin/reevaluate" => self.reevaluate(request).await,
            "/admin/connections" => self.connections(&request).await,
            "/admin/explain" => self.explain(request).await,
            _ => {
                let message = "there are /admin/disconnect, /admin/reevaluate, /admin/connections and /admin/explain";
                Err(Refusal::new(Code::NotFound, message).into())
            }
        };
        answered.unwrap_or_else(Refused::into_response)
    }

    /// `POST {user | tokenId | connection, issuer?, revoke?, reason?}`.
    async fn disconnect(&self, request: Request<Incoming>) -> Result<HttpResponse, Refused> {
        let Disconnect { user, issuer, connection, token_id, revoke, reason } = read(request).await?;
        let issuer = match (&connection, issuer) {
            (None, issuer) => self.issuer(issuer)?,
            (Some(_), None) => None,
            (Some(_), Some(_)) => return Err(bad("a connection is one of its kind; leave `issuer` out").into()),
        };
        let whom = match (user, token_id, connection) {
            (Some(user), None, None) => CommandTarget::User(user),
            (None, Some(token), None) => CommandTarget::TokenId(token),
            (None, None, Some(connection)) => {
                named(&connection)?;
                CommandTarget::Connection(
                    Name::try_from(connection).map_err(|why| bad(format!("`connection`: {why}")))?,
                )
            }
            _ => return Err(bad("name one of `user`, `tokenId` and `connection`").into()),
        };
        let revocation = |what| Command::Revoke(vec![Control::revocation(what, issuer.clone(), self.kept)]);
        let order = match (revoke, whom.clone()) {
            (false, whom) => Command::Disconnect(whom),
            (true, CommandTarget::User(user)) => revocation(Revoked::User(user)),
            (true, CommandTarget::TokenId(id)) => revocation(Revoked::TokenId(id)),
            (true, CommandTarget::Connection(_)) => {
                return Err(bad("a connection cannot be revoked; revoke its `user` or `tokenId`").into());
            }
        };
        let outcome = self.ask(order, issuer.clone()).await?;
        let closed = total(&outcome);
        let reason: String = reason.chars().take(REASON).collect();
        let issuer = issuer.as_ref().map(|issuer| issuer.as_str());
        let missing = outcome.missing.as_slice();
        tracing::info!(?whom, issuer, revoke, ?reason, closed, ?missing, "an operator ends connections");
        Ok(outcome_response(&outcome, "closed", json!({})))
    }

    /// `POST {user, issuer?, withinMs?, reason?}`.
    async fn reevaluate(&self, request: Request<Incoming>) -> Result<HttpResponse, Refused> {
        let Reevaluate { user, issuer, within_ms, reason } = read(request).await?;
        let issuer = self.issuer(issuer)?;
        let within_ms = within_ms.unwrap_or(self.within.as_millis() as u64);
        let outcome = self.ask(Command::Reevaluate { user: user.clone(), within_ms }, issuer.clone()).await?;
        let asked = total(&outcome);
        let reason: String = reason.chars().take(REASON).collect();
        let issuer = issuer.as_ref().map(|issuer| issuer.as_str());
        let missing = outcome.missing.as_slice();
        tracing::info!(%user, issuer, within_ms, ?reason, asked, ?missing, "an operator has a user's clients bring new tokens");
        Ok(outcome_response(&outcome, "asked", json!({})))
    }

    /// `GET ?user=&issuer=`. Without an issuer it lists all of that name.
    async fn connections(&self, request: &Request<Incoming>) -> Result<HttpResponse, Refused> {
        if request.method() != Method::GET {
            let refusal = Refusal::new(Code::MethodNotAllowed, "connections are listed with GET");
            return Err(Refused::from(refusal).with(header::ALLOW, "GET"));
        }
        let (user, issuer) = whose(request.uri().query().unwrap_or_default())?;
        issuer.as_ref().map_or(Ok(()), |issuer| self.knows(issuer))?;
        let outcome = self.ask(Command::List { user, most: LISTED }, issuer).await?;
        let listed: Vec<Value> = outcome
            .answers
            .iter()
            .flat_map(|(node, answer)| answer.listed.iter().map(move |listed| (node, listed)))
            .take(LISTED)
            .map(|(node, listed)| {
                let mut listed = serde_json::to_value(listed).unwrap_or_default();
                listed["node"] = node.as_str().into();
                listed
            })
            .collect();
        Ok(outcome_response(&outcome, "connections", json!({ "listed": listed })))
    }

    /// `POST {token | connection, verb, subject}`: may somebody do something, and
    /// by which grant? For a connection, which is one of this node, also the
    /// patterns that it has subscribed and that the subject is among.
    async fn explain(&self, request: Request<Incoming>) -> Result<HttpResponse, Refused> {
        let Explain { token, connection, verb, subject } = read(request).await?;
        let verb = verb.parse().map_err(|why: BadAction| bad(format!("`verb` {why}")))?;
        let (grants, subscribed) = match (token, connection) {
            (token, None) => (self.access.admit(token.as_deref()).await?, None),
            (None, Some(connection)) => {
                let id = named(&connection)?;
                let unknown = "this node has no such connection; /admin/connections tells which does";
                let grants = self.registry.grants(id).ok_or_else(|| Refusal::new(Code::NotFound, unknown))?;
                (grants, self.registry.subscriptions(id).await)
            }
            (Some(_), Some(_)) => {
                return Err(bad("name `token` or `connection`, or neither for an anonymous client").into());
            }
        };
        let mut explained = serde_json::to_value(grants.explain(verb, &subject)).unwrap_or_default();
        if let (Some(subscribed), Ok(asked)) = (subscribed, Pattern::parse(&subject)) {
            let among: Vec<_> =
                subscribed.iter().filter(|pattern| pattern.overlaps(&asked)).map(Pattern::as_str).collect();
            explained["subscriptions"] = among.into();
        }
        Ok(response::json(format!("{explained}\n")))
    }

    /// The issuer of a name that an operator means. With several issuers it has
    /// to be named: the same name of another issuer is another user.
    fn issuer(&self, named: Option<IssuerName>) -> Result<Option<IssuerName>, Refusal> {
        match &named {
            Some(issuer) => self.knows(issuer)?,
            None if self.several => {
                let known = self.issuers.join(", ");
                return Err(bad(format!("name the `issuer` too, since each has users of its own; there are: {known}")));
            }
            None => {}
        }
        Ok(named)
    }

    fn knows(&self, named: &IssuerName) -> Result<(), Refusal> {
        if self.issuers.iter().any(|issuer| issuer == named.as_str()) {
            return Ok(());
        }
        Err(bad(format!("`issuer`: `{named}` is none of auth.issuers; there are: {}", self.issuers.join(", "))))
    }

    async fn ask(&self, order: Command, issuer: Option<IssuerName>) -> Result<Outcome, Refusal> {
        self.control.ask(order, issuer).await.map_err(|why| {
            let code = if why == CommandRejected::Busy { Code::Timeout } else { Code::TooLarge };
            Refusal::new(code, why.to_string())
        })
    }
}

fn total(outcome: &Outcome) -> u64 {
    outcome.answers.iter().map(|(_, answer)| answer.connections).sum()
}

/// How many connections it concerned in all and on each node, whether a node's answer may be missing, and more.
fn outcome_response(outcome: &Outcome, what: &str, mut more: Value) -> HttpResponse {
    let nodes: Vec<Value> =
        outcome.answers.iter().map(|(node, answer)| json!({"node": node, what: answer.connections})).collect();
    more[what] = total(outcome).into();
    more["nodes"] = nodes.into();
    more["broker"] = if outcome.reached { "ok" } else { "down" }.into();
    if outcome.partial {
        more["partial"] = true.into();
        more["missing"] = outcome.missing.as_slice().into();
    }
    response::json(format!("{more}\n"))
}

async fn read<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Refused> {
    if request.method() != Method::POST {
        let refusal = Refusal::new(Code::MethodNotAllowed, "an operator's verb is sent with POST");
        return Err(Refused::from(refusal).with(header::ALLOW, "POST"));
    }
    // A page of another site could have an operator's browser send anything else.
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        return Err(bad("send `Content-Type: application/json`").into());
    }
    let too_large = || Refusal::new(Code::TooLarge, format!("the body is longer than {BODY_BYTES} bytes"));
    let body = body::read(request.into_body(), BODY_BYTES, BODY_TIME, too_large).await?;
    serde_json::from_slice(&body).map_err(|why| bad(format!("the body: {why}")).into())
}

/// The user and the issuer that a query asks for, if any.
fn whose(query: &str) -> Result<(Option<Name>, Option<IssuerName>), Refusal> {
    let (mut user, mut issuer) = (None, None);
    for (name, value) in parameters(query, None) {
        let wrong = |why: NoName| bad(format!("`{name}`: {why}"));
        match name {
            "user" => user = Some(Name::try_from(value.into_owned()).map_err(wrong)?),
            "issuer" => issuer = Some(IssuerName::try_from(value.into_owned()).map_err(wrong)?),
            _ => return Err(bad(format!("there is no parameter `{name}`; there are user and issuer"))),
        }
    }
    Ok((user, issuer))
}

fn named(connection: &str) -> Result<ConnectionId, Refusal> {
    ConnectionId::from_str(connection).map_err(|why| bad(format!("`connection`: {why}")))
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::BadRequest, message)
}
