//! The credentials of a request, looked for in this one place. They are secret: only
//! `access` gets to see them.

use hyper::{HeaderMap, Request, header};
use percent_encoding::percent_decode_str;

use crate::{
    access::{Access, grants::Grants},
    config::Secret,
    error::Code,
    server::{response::Refused, visit::Visit},
    services::NodeServices,
};

/// The token of a request: the one in `Authorization: Bearer`, where that of a
/// cookie has been put too (`cookie`), else that of the query where `auth.query_parameter` says so.
pub(crate) fn token<B>(request: &Request<B>, access: &Access) -> Option<Secret> {
    let query = || in_query(request.uri().query()?, access.query_parameter()?);
    bearer(request.headers()).or_else(query)
}

/// Admits the client that makes a request, which counts for its user from now on.
///
/// # Errors
/// The refusal to tell; `unauthorized` says how to do better (RFC 6750 section 3).
pub(crate) async fn admit<B>(
    request: &Request<B>,
    services: &NodeServices,
    visit: &mut Visit,
) -> Result<Grants, Refused> {
    let token = token(request, &services.access);
    let admitted = services.access.admit(token.as_ref().map(Secret::reveal)).await;
    let grants = admitted.map_err(|refusal| {
        let challenge = if token.is_some() { "Bearer error=\"invalid_token\"" } else { "Bearer" };
        match refusal.code {
            Code::Unauthorized => Refused::from(refusal).with(header::WWW_AUTHENTICATE, challenge),
            _ => refusal.into(),
        }
    })?;
    visit.count_for_user(grants.identity().user_key())?;
    Ok(grants)
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
    use super::*;

    #[test]
    fn a_token_is_found_where_it_may_be() {
        let header = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().expect("a value"));
            bearer(&headers).map(|token| token.reveal().to_owned())
        };
        assert_eq!(header("Bearer a.b.c").as_deref(), Some("a.b.c"));
        assert_eq!(header("bEARER  a.b.c ").as_deref(), Some("a.b.c"));
        assert_eq!(header("Basic dTpw"), None);
        assert_eq!(header("a.b.c"), None);
        let query = |query| in_query(query, "token").map(|token| token.reveal().to_owned());
        assert_eq!(query("subject=a&token=a.b%2Ec").as_deref(), Some("a.b.c"));
        assert_eq!(query("tokens=a&mytoken=b&token"), None);
    }
}
