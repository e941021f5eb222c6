//! Stored events over plain HTTP: history, and newest values.

use std::borrow::Cow;

use crate::{
    error::{Code, Refusal},
    proto::{Fetch, server_frame::Body},
    server::{
        response::{self, room},
        route::{Answered, ClientRequest},
    },
    subject::Subject,
};

/// `GET /v1/fetch?subject=..&after=STREAM/EPOCH/SEQ&last=true&limit=..`: one page.
pub(crate) async fn fetch(request: ClientRequest) -> Answered {
    let fetch = page(request.parameters())?;
    let ClientRequest { services, grants, mut visit, .. } = request;
    // Before anything is read: an answer holds its bytes until the client has taken it.
    visit.reserve(room(services.fetcher.answer_bytes(fetch.limit))).await?;
    let fetched = services.fetcher.fetch(&grants, fetch).await?;
    response::frame(Body::Fetched(fetched), visit).await
}

/// `GET /v1/last/{subject}`: the newest event of one subject.
pub(crate) async fn last(request: ClientRequest) -> Answered {
    let subject = request.subject()?;
    // A concrete subject: a pattern would have the newest of several.
    Subject::parse(&subject).map_err(|why| Refusal::bad_subject(&subject, why))?;
    let ClientRequest { services, grants, mut visit, .. } = request;
    let fetch = Fetch { subject: subject.clone(), last: true, limit: 1, ..Fetch::default() };
    visit.reserve(room(services.fetcher.answer_bytes(fetch.limit))).await?;
    let fetched = services.fetcher.fetch(&grants, fetch).await?;
    match fetched.events.into_iter().next() {
        Some(event) => response::frame(Body::Event(event), visit).await,
        None => Err(Refusal::of(Code::NotFound, &subject, "nothing is stored under this subject").into()),
    }
}

/// The page that a query asks for.
fn page<'q>(parameters: impl Iterator<Item = (&'q str, Cow<'q, str>)>) -> Result<Fetch, Refusal> {
    let mut fetch = Fetch::default();
    let wrong = |message: String| Refusal::new(Code::BadRequest, message);
    for (name, value) in parameters {
        match name {
            "subject" => fetch.subject = value.into_owned(),
            "after" => fetch.after.push(value.parse().map_err(|_| {
                wrong(format!("`after={value}` is no position; write it as STREAM/EPOCH/SEQ, as `positions` tells it"))
            })?),
            "last" => {
                fetch.last = value.parse().map_err(|_| wrong(format!("`last={value}` is neither true nor false")))?;
            }
            "limit" => fetch.limit = value.parse().map_err(|_| wrong(format!("`limit={value}` is no number")))?,
            _ => {
                return Err(wrong(format!("there is no parameter `{name}`; there are subject, after, last and limit")));
            }
        }
    }
    Ok(fetch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{proto::Position, server::query::parameters};

    #[test]
    fn a_query_says_what_is_wanted_or_what_is_wrong_with_it() {
        let query = "subject=a.%3E&after=SHOP/17/42&last=true&t=x&limit=5&after=B/1/2";
        let asked = page(parameters(query, Some("t"))).expect("a question");
        assert_eq!((asked.subject.as_str(), asked.last, asked.limit), ("a.>", true, 5));
        let position = Position { stream: "SHOP".into(), epoch: "17".into(), seq: 42, ..Position::default() };
        assert_eq!((asked.after.len(), &asked.after[0]), (2, &position));
        for (query, named) in [
            ("after=42", "after=42"),
            ("after=S/1/x", "after=S/1/x"),
            ("limit=many", "limit=many"),
            ("last=yes", "last=yes"),
            ("subjct=a", "subjct"),
        ] {
            let refusal = page(parameters(query, None)).expect_err(query);
            assert!(refusal.code == Code::BadRequest && refusal.message.contains(named), "{query}: {refusal}");
        }
    }
}
