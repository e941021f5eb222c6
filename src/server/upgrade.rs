//! From an HTTP request to a session: the checks of RFC 6455 section 4.2.1,
//! made strictly, because neither the HTTP nor the WebSocket library makes them.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Request, Version,
    body::Incoming,
    header::{self, HeaderName, HeaderValue},
};

use crate::{
    codec::Encoding,
    error::{Code, Refusal},
    server::{
        header_list::elements,
        response::Refused,
        route::{Answered, ConnectionRequest},
    },
    session, socket,
};

/// Answers an upgrade request; the session starts once the answer is sent. The
/// token of the request is judged with `connect`: a browser would not be told
/// why its upgrade failed.
pub(crate) fn upgrade(request: ConnectionRequest) -> Answered {
    let ConnectionRequest { mut request, sessions, client, permit, token } = request;
    check(&request)?;
    let services = sessions.services.clone();
    if services.leaving.is_cancelled() {
        return Err(Refusal::new(Code::Draining, "this node is leaving; connect again to reach another one").into());
    }
    let (encoding, echo) = subprotocol(request.headers())?;
    // Known only now where a proxy speaks for it.
    permit.count_for_address(client).map_err(|closed| permit.refusal(closed))?;
    let Some((response, upgrade)) = socket::accept(&mut request) else {
        return Err(bad("the WebSocket key is missing"));
    };
    services.tasks.spawn(async move {
        if let Some((wire, ahead)) = upgrade.wire().await {
            session::serve(wire, ahead, token, encoding, permit, sessions).await;
        }
    });
    let mut response = response.map(BodyExt::boxed_unsync);
    if let Some(name) = echo {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name));
    }
    Ok(response)
}

fn check(request: &Request<Incoming>) -> Result<(), Refused> {
    let headers = request.headers();
    if request.version() != Version::HTTP_11 {
        return Err(bad("a WebSocket is opened with HTTP/1.1"));
    }
    if headers.contains_key(header::CONTENT_LENGTH) || headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(bad("a WebSocket request has no body; leave out Content-Length and Transfer-Encoding"));
    }
    one(headers, header::HOST)?;
    if !has_token(headers, &header::UPGRADE, "websocket") || !has_token(headers, &header::CONNECTION, "upgrade") {
        return Err(bad("this path speaks WebSocket; send `Upgrade: websocket` and `Connection: Upgrade`"));
    }
    if headers.get_all(header::SEC_WEBSOCKET_VERSION).iter().ne(["13"]) {
        let refusal = Refusal::new(Code::UnsupportedVersion, "WebSocket version 13 is served");
        return Err(Refused::from(refusal).with(header::SEC_WEBSOCKET_VERSION, "13"));
    }
    let key = BASE64_STANDARD.decode(one(headers, header::SEC_WEBSOCKET_KEY)?.as_bytes());
    if key.is_ok_and(|key| key.len() == 16) { Ok(()) } else { Err(bad("Sec-WebSocket-Key must be 16 bytes in base64")) }
}

/// The encoding, and the name to echo: exactly one of those offered, or none
/// when none was.
fn subprotocol(headers: &HeaderMap) -> Result<(Encoding, Option<&'static str>), Refused> {
    if !headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
        return Ok((Encoding::Json, None));
    }
    let chosen = elements(headers, &header::SEC_WEBSOCKET_PROTOCOL)
        .find_map(|token| Encoding::OFFERED.into_iter().find(|encoding| encoding.subprotocol() == token));
    match chosen {
        Some(encoding) => Ok((encoding, Some(encoding.subprotocol()))),
        None => Err(bad("offer the subprotocol notifier.v1.proto or notifier.v1.json")),
    }
}

/// The value of a header that must stand exactly once.
fn one(headers: &HeaderMap, name: HeaderName) -> Result<&HeaderValue, Refused> {
    let mut values = headers.get_all(&name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        _ => Err(bad(format!("the header {name} must stand exactly once"))),
    }
}

fn has_token(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    elements(headers, name).any(|token| token.eq_ignore_ascii_case(wanted))
}

fn bad(message: impl Into<String>) -> Refused {
    Refusal::new(Code::BadRequest, message).into()
}
