//! Replies to Direct Gets (ADR-31) that wait to be complete. JetStream answers
//! with one message per event, without flow control, and a status at the end.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::oneshot;

use crate::{
    broker::{
        nats::reading::{headers, parser::Raw},
        stored::{Page, ReadError, Stored},
    },
    classes::StreamIndex,
    sync::Mutex,
};

/// End of a batch.
const END: u16 = 204;
/// Nothing matches.
const NOTHING: u16 = 404;
/// More subjects match than a server tells at once.
const TOO_MANY: u16 = 413;
/// Nobody serves the stream.
const NOBODY: u16 = 503;

/// Direct Gets by the number that ends their reply subject.
#[derive(Debug, Default)]
pub(crate) struct DirectGetReplies {
    pending: Mutex<HashMap<u64, Pending>>,
    numbers: AtomicU64,
}

#[derive(Debug)]
struct Pending {
    stream: StreamIndex,
    page: Page,
    done: oneshot::Sender<Result<Page, ReadError>>,
}

/// A Direct Get that waits for its page. Dropping it gives it up.
#[derive(Debug)]
pub(crate) struct AwaitedPage {
    pub(crate) number: u64,
    direct_get_replies: Arc<DirectGetReplies>,
    answer: oneshot::Receiver<Result<Page, ReadError>>,
}

impl DirectGetReplies {
    /// Notes a question to a stream.
    pub(crate) fn ask(self: &Arc<Self>, stream: StreamIndex) -> AwaitedPage {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (done, answer) = oneshot::channel();
        self.pending.lock().insert(number, Pending { stream, page: Page::default(), done });
        AwaitedPage { number, direct_get_replies: self.clone(), answer }
    }

    /// Takes a part of an answer in.
    pub(crate) fn receive(&self, raw: &Raw<'_>, read: impl FnOnce(&Raw<'_>, StreamIndex) -> Option<Stored>) {
        let number = raw.subject.rsplit(|byte| *byte == b'.').next().and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            digits.parse::<u64>().ok()
        });
        let mut pending = self.pending.lock();
        // Of a question that was given up.
        let Some(number) = number.filter(|number| pending.contains_key(number)) else { return };
        let added = headers::added(raw.headers.unwrap_or_default());
        // A publisher can make the first line of a stored message look like a
        // status; only what is stored has a sequence.
        if added.seq.is_some() {
            if let Some(Pending { stream, page, .. }) = pending.get_mut(&number) {
                page.events.extend(read(raw, *stream));
            }
            return;
        }
        let (status, words) = raw.headers.and_then(headers::status).unwrap_or_default();
        let Some(Pending { mut page, done, .. }) = pending.remove(&number) else { return };
        let answer = match status {
            END => {
                page.more = added.pending.is_some_and(|pending| pending > 0);
                let newest = page.events.last().map(|stored| stored.seq);
                page.through = added.last.max(newest).unwrap_or_default();
                Ok(page)
            }
            NOTHING => Ok(Page::default()),
            TOO_MANY => Err(ReadError::TooManySubjects),
            NOBODY => Err(ReadError::NoResponders),
            _ => Err(ReadError::Refused(format!("{status} {words}"))),
        };
        // Nobody waits for it any more: so be it.
        let _ = done.send(answer);
    }

    /// A part of some answer was too large to be read.
    pub(crate) fn pass_over(&self) {
        for Pending { page, .. } in self.pending.lock().values_mut() {
            page.passed_over = true;
        }
    }

    /// The connection is gone, and with it what was under way.
    pub(crate) fn lost(&self) {
        for (_, Pending { done, .. }) in self.pending.lock().drain() {
            let _ = done.send(Err(ReadError::Unavailable));
        }
    }
}

impl AwaitedPage {
    /// Waits for the whole answer.
    pub(crate) async fn answer(&mut self) -> Result<Page, ReadError> {
        (&mut self.answer).await.unwrap_or(Err(ReadError::Unavailable))
    }
}

impl Drop for AwaitedPage {
    fn drop(&mut self) {
        self.direct_get_replies.pending.lock().remove(&self.number);
    }
}
