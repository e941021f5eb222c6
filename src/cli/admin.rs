//! `notifier admin`: what operators ask a node for, on behalf of all of them.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use bytes::Bytes;
use clap::{Args, Subcommand};
use http_body_util::Full;
use hyper::{Method, Request, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::cli::internal::{Answer, ask, report};

/// How long a node takes at most: it waits for the others.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Subcommand)]
pub(crate) enum AdminVerb {
    /// End connections: those of a user, of a token, or one.
    Disconnect {
        #[command(flatten)]
        node: InternalNodeArgs,
        #[command(flatten)]
        whom: TargetArgs,
        /// Issuer of the user's token, or of the token; needed where several
        /// issuers are configured.
        #[arg(long, value_name = "NAME", conflicts_with = "connection")]
        issuer: Option<String>,
        /// Refuse these tokens from now on.
        #[arg(long, conflicts_with = "connection")]
        revoke: bool,
        /// Why, for the log.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Have a user's clients bring new tokens.
    Reevaluate {
        #[command(flatten)]
        node: InternalNodeArgs,
        /// The user.
        #[arg(long)]
        user: String,
        /// Issuer of the user's token; needed where several issuers are configured.
        #[arg(long, value_name = "NAME")]
        issuer: Option<String>,
        /// Why, for the log.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// List connections.
    Connections {
        #[command(flatten)]
        node: InternalNodeArgs,
        /// Of this user only.
        #[arg(long)]
        user: Option<String>,
        /// Of those with a token of this issuer only.
        #[arg(long, value_name = "NAME")]
        issuer: Option<String>,
    },
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct TargetArgs {
    /// All of this user.
    #[arg(long)]
    user: Option<String>,
    /// All that came in by the token with this `jti`.
    #[arg(long)]
    token_id: Option<String>,
    /// The one that `welcome` called so.
    #[arg(long)]
    connection: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct InternalNodeArgs {
    /// The internal address of any node.
    #[arg(long, value_name = "ADDR", env = "NOTIFIER_SERVER__INTERNAL_LISTEN", default_value = "127.0.0.1:9090")]
    internal: SocketAddr,
    /// Token of the internal listener, if that asks for one.
    #[arg(long, value_name = "TOKEN", env = "NOTIFIER_SERVER__INTERNAL_TOKEN", hide_env_values = true)]
    internal_token: Option<String>,
}

pub(crate) async fn admin(verb: AdminVerb) -> ExitCode {
    let (node, path, body) = match verb {
        AdminVerb::Disconnect { node, whom: TargetArgs { user, token_id, connection }, issuer, revoke, reason } => {
            let mut body = json!({"user": user, "tokenId": token_id, "connection": connection, "reason": reason});
            if revoke {
                body["revoke"] = true.into();
            }
            (node, "/admin/disconnect".to_owned(), Some(with_issuer(body, issuer)))
        }
        AdminVerb::Reevaluate { node, user, issuer, reason } => {
            let body = json!({"user": user, "reason": reason});
            (node, "/admin/reevaluate".to_owned(), Some(with_issuer(body, issuer)))
        }
        AdminVerb::Connections { node, user, issuer } => {
            let wanted =
                [("user", user), ("issuer", issuer)].into_iter().filter_map(|(name, value)| Some((name, value?)));
            let query: Vec<String> = wanted
                .map(|(name, value)| format!("{name}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC)))
                .collect();
            (node, format!("/admin/connections?{}", query.join("&")), None)
        }
    };
    report(&format!("http://{}", node.internal), PATIENCE, node.ask(&path, body)).await
}

/// Only where it is said: nodes of before refuse the field.
fn with_issuer(mut body: Value, issuer: Option<String>) -> Value {
    if let Some(issuer) = issuer {
        body["issuer"] = issuer.into();
    }
    body
}

impl InternalNodeArgs {
    async fn ask(&self, path: &str, body: Option<Value>) -> Answer {
        let stream = TcpStream::connect(self.internal).await?;
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.internal.to_string())
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = &self.internal_token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        ask(stream, request.body(Full::new(body))?).await
    }
}
