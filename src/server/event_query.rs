//! The request for events without a WebSocket, as a query and a body say it.

use std::borrow::Cow;

use crate::{
    codec::{EventFormat, UnknownFormat},
    error::{Code, Refusal},
    proto::{ClientFrame, Position, StreamCursor, Subscription, client_frame::Body, read_frame},
    server::query::parameters,
    session::EventStreamRequest,
};

/// The request that is read so far.
#[derive(Debug, Default)]
pub(crate) struct EventQuery {
    subjects: Vec<String>,
    after: Vec<Position>,
    snapshot: bool,
    request: EventStreamRequest,
}

impl EventQuery {
    /// Takes a parameter; false for one that is not about subscriptions.
    ///
    /// # Errors
    /// `bad_request`.
    pub(crate) fn take(&mut self, name: &str, value: Cow<'_, str>) -> Result<bool, Refusal> {
        match name {
            "subject" => self.subjects.push(value.into_owned()),
            "snapshot" => {
                let wrong = |_| bad(format!("`snapshot={value}` is neither true nor false"));
                self.snapshot = value.parse().map_err(wrong)?;
            }
            // An empty one stands for none: it is the cursor of a client that has none yet.
            "after" if value.is_empty() => {}
            "after" if value.contains('/') => {
                let wrong = |_| bad(format!("`after={value}` is no position; write it as STREAM/EPOCH/SEQ"));
                self.after.push(value.parse().map_err(wrong)?);
            }
            "after" => self.resume("after", &value)?,
            "format" => {
                self.request.format = value.parse().map_err(|why: UnknownFormat| bad(why.to_string()))?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Takes the cursor up to which the client has everything; a later one counts.
    ///
    /// # Errors
    /// `bad_request`.
    pub(crate) fn resume(&mut self, name: &str, text: &str) -> Result<(), Refusal> {
        let cursor: StreamCursor = text.parse().map_err(|why| bad(format!("`{name}`: {why}")))?;
        self.request.cursor = Some(cursor);
        Ok(())
    }

    /// Takes a body: the fields of `connect` that say what is subscribed.
    ///
    /// # Errors
    /// `bad_request`.
    pub(crate) fn take_body(&mut self, body: &[u8]) -> Result<(), Refusal> {
        const EXAMPLE: &str = r#"{"subscriptions": [{"subject": "shop.cart.u42"}]}"#;
        let frame = [b"{\"connect\":", body, b"}"].concat();
        let read = read_frame(&frame).map_err(|why| bad(format!("the body is not JSON as in {EXAMPLE}: {why}")))?;
        let connect = match read {
            Ok(ClientFrame { body: Some(Body::Connect(connect)), .. }) => connect,
            Ok(_) => return Err(bad(format!("the body is not JSON as in {EXAMPLE}"))),
            Err(invalid) => return Err(bad(format!("the body: {invalid}"))),
        };
        if !connect.token.is_empty() {
            return Err(bad("a token stands in `Authorization`, not in the body".to_owned()));
        }
        self.request.subscriptions.extend(connect.subscriptions);
        self.after.extend(connect.after);
        Ok(())
    }

    /// The whole request.
    pub(crate) fn finish(self) -> EventStreamRequest {
        let Self { subjects, after, snapshot, mut request } = self;
        let subscription = |subject| Subscription { subject, snapshot, ..Subscription::default() };
        request.subscriptions.extend(subjects.into_iter().map(subscription));
        request.after = after.into();
        request
    }
}

/// The form in which a client is told that it is refused: as it asks for events, where that can be known.
pub(crate) fn format_of(query: &str) -> EventFormat {
    let named = parameters(query, None).filter(|(name, _)| *name == "format").last();
    named.and_then(|(_, value)| value.parse().ok()).unwrap_or_default()
}

fn bad(message: String) -> Refusal {
    Refusal::new(Code::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parameters: &[(&str, &str)], body: &str) -> Result<EventStreamRequest, Refusal> {
        let mut query = EventQuery::default();
        for (name, value) in parameters {
            assert!(query.take(name, (*value).into())?, "{name}");
        }
        if !body.is_empty() {
            query.take_body(body.as_bytes())?;
        }
        Ok(query.finish())
    }

    #[test]
    fn all_subscriptions_share_the_positions_that_are_none_of_their_own() {
        let request = read(
            &[("subject", "a.>"), ("after", "S/17/42"), ("subject", "b")],
            "{\"subscriptions\": [\n{\"subject\": \"c\", \"snapshot\": true}]}",
        );
        let after = vec![Position { stream: "S".into(), epoch: "17".into(), seq: 42, ..Position::default() }];
        let subscription =
            |subject: &str, snapshot| Subscription { subject: subject.into(), snapshot, ..Subscription::default() };
        let subscriptions = vec![subscription("c", true), subscription("a.>", false), subscription("b", false)];
        let expected = EventStreamRequest { subscriptions, after: after.clone().into(), ..Default::default() };
        assert_eq!(request, Ok(expected));
        let resumed = read(&[("subject", "a"), ("after", "v1.S~17~42"), ("after", "")], "").expect("a request");
        assert_eq!(resumed.cursor, Some(StreamCursor(after)));
    }

    #[test]
    fn a_format_is_one_of_three() {
        for (name, format) in
            [("frames", EventFormat::Frames), ("event", EventFormat::Event), ("cloudevents", EventFormat::CloudEvents)]
        {
            assert_eq!(read(&[("subject", "a"), ("format", name)], "").map(|request| request.format), Ok(format));
            assert_eq!(format_of(&format!("subject=a&format={name}")), format);
        }
        assert_eq!((format_of(""), format_of("format=xml")), (EventFormat::Frames, EventFormat::Frames));
    }

    #[test]
    fn a_fault_is_named() {
        for (parameters, body, named) in [
            (&[("after", "S/1")][..], "", "after=S/1"),
            (&[("after", "5")], "", "`after`"),
            (&[("snapshot", "yes")], "", "snapshot=yes"),
            (&[("format", "xml")], "", "`format=xml` is unknown; write frames, event or cloudevents"),
            (&[], "subject=a", "not JSON"),
            (&[], "[]", "the body"),
            (&[], "{\"subscriptions\": [{\"subject\": 1}]}", "subscriptions"),
            (&[], "{\"token\": \"a.b.c\"}", "Authorization"),
        ] {
            let refusal = read(parameters, body).expect_err(named);
            assert!(refusal.code == Code::BadRequest && refusal.message.contains(named), "{refusal}");
        }
    }
}
