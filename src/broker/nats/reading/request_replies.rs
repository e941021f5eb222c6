//! Replies of services to requests that wait for them. The first reply counts,
//! whichever service gives it; ADR-32 says how a service tells that it failed.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::oneshot;

use crate::{
    broker::{
        nats::reading::{headers, parser::Raw},
        request_error::RequestError,
    },
    proto::Envelope,
    sync::Mutex,
};

/// The server's word for: nobody listens there.
const NOBODY: u16 = 503;

/// Names of the headers that say that a service failed.
const ERROR: &str = "Nats-Service-Error";
const ERROR_CODE: &str = "Nats-Service-Error-Code";

/// Characters of what a service says of its error; the rest is left out. A
/// sentence, and not a page.
const ERROR_CHARS: usize = 512;

type Answer = Result<Envelope, RequestError>;

/// Requests by the number that ends their reply subject.
#[derive(Debug, Default)]
pub(crate) struct RequestReplies {
    pending: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
}

/// A request that waits for its answer. Dropping it gives it up.
#[derive(Debug)]
pub(crate) struct Awaited {
    number: u64,
    request_replies: Arc<RequestReplies>,
    answer: oneshot::Receiver<Answer>,
}

impl RequestReplies {
    /// Awaits an answer under a number.
    pub(crate) fn expect(self: &Arc<Self>, number: u64) -> Awaited {
        let (done, answer) = oneshot::channel();
        self.pending.lock().insert(number, done);
        Awaited { number, request_replies: self.clone(), answer }
    }

    /// Takes an answer in.
    pub(crate) fn receive(&self, raw: &Raw<'_>, read: impl FnOnce() -> Answer) {
        let nobody =
            raw.payload.is_empty() && raw.headers.and_then(headers::status).is_some_and(|(status, _)| status == NOBODY);
        self.end(raw.subject, || if nobody { Err(RequestError::NoResponders) } else { read() });
    }

    /// An answer was too large to be read.
    pub(crate) fn too_large(&self, subject: &[u8]) {
        self.end(subject, || Err(RequestError::AnswerTooLarge));
    }

    /// The connection is gone, and with it what was under way.
    pub(crate) fn lost(&self) {
        for (_, done) in self.pending.lock().drain() {
            let _ = done.send(Err(RequestError::Lost));
        }
    }

    fn end(&self, subject: &[u8], answer: impl FnOnce() -> Answer) {
        // A second answer, or one to a request that was given up.
        let Some(done) = number(subject).and_then(|number| self.pending.lock().remove(&number)) else { return };
        // Nobody waits for it any more: so be it.
        let _ = done.send(answer());
    }
}

impl Awaited {
    /// The end of the reply subject.
    pub(crate) fn name(&self) -> String {
        format!("{:016x}", self.number)
    }

    /// Waits for the answer.
    pub(crate) async fn answer(&mut self) -> Answer {
        (&mut self.answer).await.unwrap_or(Err(RequestError::Lost))
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.request_replies.pending.lock().remove(&self.number);
    }
}

/// The number that ends a reply subject.
pub(crate) fn number(subject: &[u8]) -> Option<u64> {
    let digits = subject.rsplit(|byte| *byte == b'.').next().and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| u64::from_str_radix(digits, 16).ok())
}

/// The error that a service's headers tell, if they do.
pub(crate) fn failure(headers: &[(&str, &str)]) -> Option<RequestError> {
    let value = |wanted: &str| {
        let mut same = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        same.next_back().map(|(_, value)| value.chars().take(ERROR_CHARS).collect::<String>())
    };
    let (code, text) = (value(ERROR_CODE), value(ERROR));
    (code.is_some() || text.is_some())
        .then(|| RequestError::Service { code: code.unwrap_or_default(), text: text.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::type_complexity)] // a table of rows
    fn a_service_says_that_it_failed_in_two_headers_or_one() {
        let error = |code: &str, text: &str| Some(RequestError::Service { code: code.into(), text: text.into() });
        let long = "x".repeat(ERROR_CHARS + 1);
        let rows: [(&[(&str, &str)], Option<RequestError>); 5] = [
            (&[("ce-id", "1")], None),
            (&[(ERROR_CODE, "409"), (ERROR, "sold out")], error("409", "sold out")),
            (&[("nats-service-error", "sold out")], error("", "sold out")),
            (&[(ERROR_CODE, "1"), (ERROR_CODE, "2")], error("2", "")),
            (&[(ERROR, &long)], error("", &long[1..])),
        ];
        for (headers, expected) in rows {
            assert_eq!(failure(headers), expected, "{headers:?}");
        }
    }

    #[tokio::test]
    async fn the_first_answer_counts_and_one_that_nobody_awaits_is_passed_over() {
        let request_replies = Arc::<RequestReplies>::default();
        let raw = |subject: &'static str| Raw { sid: 1, subject: subject.as_bytes(), headers: None, payload: b"" };
        let told = |id: &str| Ok(Envelope { id: id.into(), ..Envelope::default() });
        let (mut first, second) = (request_replies.expect(0x1f), request_replies.expect(0x20));
        for subject in ["_INBOX.n.zz", "_INBOX.n.\u{e9}", "_INBOX.n.21", ""] {
            request_replies.receive(&raw(subject), || panic!("nobody asked for {subject}"));
        }
        request_replies.receive(&raw("_INBOX.n.1f"), || told("a"));
        request_replies.receive(&raw("_INBOX.n.1f"), || panic!("a second answer"));
        assert_eq!(first.answer().await, told("a"));
        assert_eq!(first.name(), "000000000000001f");
        drop(second);
        assert!(request_replies.pending.lock().is_empty());
        let mut third = request_replies.expect(3);
        request_replies.lost();
        assert_eq!(third.answer().await, Err(RequestError::Lost));
    }
}
