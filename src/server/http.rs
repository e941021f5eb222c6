//! Events and requests to services that clients send over plain HTTP.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use hyper::{
    HeaderMap,
    header::{self, HeaderName},
};

use crate::{
    access::grants::Grants,
    error::{Code, Refusal},
    event::{
        gone::OPERATION,
        headers::{HeaderReader, MSG_ID, is_media_type},
    },
    proto::{self, Envelope, server_frame::Body},
    publish::{EVENT_LIMIT, Sender, check_name, too_large},
    request::ServiceRequest,
    server::{
        body,
        response::{self, Refused},
        route::{Answered, ClientRequest},
        visit::Visit,
    },
    services::NodeServices,
};

/// The media type of a form, and of whatever else a library sends that was told
/// nothing.
const FORM: &str = "application/x-www-form-urlencoded";

/// Headers of a request that travel with the event, besides `ce-*`.
const TRACE: [&str; 2] = ["traceparent", "tracestate"];

/// `POST /v1/publish/{subject}`: the body is the event's data.
pub(crate) async fn publish(request: ClientRequest) -> Answered {
    let Post { services, grants, visit, subject, envelope } = read(request).await?;
    let sender = Sender { grants: &grants, connection: None };
    let published = services.publisher.publish(sender, &subject, envelope).await?;
    response::frame(Body::Published(published), visit).await
}

/// `POST /v1/request/{subject}?timeoutMs=..`: the body is the question's data.
pub(crate) async fn request(request: ClientRequest) -> Answered {
    let timeout_ms = patience(request.parameters())?;
    let Post { services, grants, visit, subject, envelope } = read(request).await?;
    let sender = Sender { grants: &grants, connection: None };
    let event = services.requests.ask(sender, ServiceRequest { subject, envelope, timeout_ms }).await?;
    response::frame(Body::Response(proto::Response { event: Some(event) }), visit).await
}

/// How long the client wants to wait, milliseconds; 0 where it does not say.
fn patience<'q>(mut parameters: impl Iterator<Item = (&'q str, Cow<'q, str>)>) -> Result<u64, Refusal> {
    parameters.try_fold(0, |_, (name, value)| {
        let milliseconds = if name == "timeoutMs" { value.parse().ok() } else { None };
        milliseconds.ok_or_else(|| {
            let pair = format!("{name}={value}");
            let problem = format!("{pair:?} is no parameter here; `timeoutMs` is, with a whole number");
            Refusal::new(Code::BadRequest, problem)
        })
    })
}

/// An event for a subject, and who sends it.
struct Post {
    services: Arc<NodeServices>,
    grants: Grants,
    visit: Visit,
    subject: String,
    envelope: Envelope,
}

async fn read(request: ClientRequest) -> Result<Post, Refused> {
    let subject = request.subject()?;
    let ClientRequest { request, services, grants, visit, .. } = request;
    let (head, body) = request.into_parts();
    plain(&head.headers)?;
    let event_bytes = services.publisher.event_bytes();
    let time = services.limits.message_time.duration();
    let data = body::read(body, event_bytes, time, || too_large(&subject, event_bytes, EVENT_LIMIT)).await?;
    let envelope = envelope(&subject, &head.headers, data)?;
    Ok(Post { services, grants, visit, subject, envelope })
}

/// Refuses a body that is encoded: nobody behind this node would be told.
pub(crate) fn plain(headers: &HeaderMap) -> Result<(), Refused> {
    let encoded = |name: HeaderName, plain: &str| {
        let values = headers.get_all(name).into_iter().map(|value| value.to_str().unwrap_or("?"));
        let codings = values.flat_map(|value| value.split(',')).map(str::trim).filter(|coding| !coding.is_empty());
        codings.into_iter().find(|coding| !coding.eq_ignore_ascii_case(plain)).map(str::to_owned)
    };
    let coding =
        encoded(header::CONTENT_ENCODING, "identity").or_else(|| encoded(header::TRANSFER_ENCODING, "chunked"));
    let Some(coding) = coding else { return Ok(()) };
    let problem = format!("the body is encoded as {coding:?}; send it as it is");
    Err(Refused::from(Refusal::new(Code::UnsupportedEncoding, problem)).with(header::ACCEPT_ENCODING, "identity"))
}

fn envelope(subject: &str, headers: &HeaderMap, data: Bytes) -> Result<Envelope, Refusal> {
    for name in headers.keys().filter(|name| !name.as_str().eq_ignore_ascii_case(MSG_ID)) {
        check_name(subject, name.as_str())?;
    }
    let readable = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    // Curl and libraries send this type with any body; it says nothing about
    // the data.
    let told = readable.filter(|(name, value)| *name != header::CONTENT_TYPE.as_str() || !is_media_type(value, FORM));
    let mut envelope = HeaderReader::new(&TRACE.map(String::from))
        .read(told, data)
        .map_err(|why| Refusal::new(Code::BadRequest, format!("the body is no envelope: {why}")))?;
    // Spelled as NATS compares it: HTTP has no capitals.
    if let Some(operation) = headers.get(OPERATION).and_then(|operation| operation.to_str().ok()) {
        envelope.headers.insert(OPERATION.into(), operation.into());
    }
    Ok(envelope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::query::parameters;

    #[test]
    fn a_token_in_the_query_is_no_parameter_of_the_question() {
        let asked = |query, token| patience(parameters(query, token));
        assert_eq!(asked("timeoutMs=20&access_token=a.b.c", Some("access_token")), Ok(20));
        assert_eq!(asked("access_token=a.b.c", Some("access_token")), Ok(0));
        for query in ["access_token=a.b.c", "timeoutMs=x", "timeoutMs", "timeout=1"] {
            assert_eq!(asked(query, None).expect_err(query).code, Code::BadRequest);
        }
    }
}
