//! Reads of stored events for one connection: a bounded number at the same time,
//! each answered once the client has taken the answer before it.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{task::yield_now, time::Instant};

use crate::{
    error::{Code, Refusal},
    fetch::ANSWER_TIME,
    proto::{Fetch, Fetched},
    session::{
        cancellable::Cancellable,
        queue::{Queue, QueueRoom},
        requester::Requester,
    },
};

/// Bytes that a question takes beside its text, and each of its positions.
const FETCH_BYTES: usize = 256;

/// A read that has not begun.
#[derive(Debug)]
struct Unread {
    reply_to: u64,
    fetch: Fetch,
    came: Instant,
}

type Answer = (u64, Result<Fetched, Refusal>);

/// The reads of one connection.
pub(crate) struct Fetching {
    queue: Queue<Unread>,
    reading: FuturesUnordered<Cancellable<Answer>>,
    /// The result of a read that is not told yet.
    read: VecDeque<Answer>,
    /// Resolves when the client has room for an answer.
    room: Option<BoxFuture<'static, bool>>,
    /// Whether the last read failed because a stream does not answer.
    silent: bool,
}

impl Fetching {
    pub(crate) fn new(services: Arc<QueueRoom>) -> Self {
        Self {
            queue: Queue::new(services),
            reading: FuturesUnordered::new(),
            read: VecDeque::new(),
            room: None,
            silent: false,
        }
    }

    /// Takes a question in.
    ///
    /// # Errors
    /// `in_flight_limit`.
    pub(crate) fn push(&mut self, requester: &Requester<'_>, reply_to: u64, fetch: Fetch) -> Result<(), Refusal> {
        let (most, bytes) = requester.queue_limits();
        let texts = fetch.after.iter().map(|after| after.stream.len() + after.epoch.len() + FETCH_BYTES);
        let cost = FETCH_BYTES + fetch.subject.len() + texts.sum::<usize>();
        let message = format!("{most} reads of this connection wait for their turn; await some, and ask again");
        let refusal = Refusal::of(Code::InFlightLimit, &fetch.subject, message);
        let unread = Unread { reply_to, fetch, came: Instant::now() };
        if self.queue.push(unread, cost, (most, bytes)) { Ok(()) } else { Err(refusal) }
    }

    /// Goes on as far as it can; ready with an answer that the client has room for.
    pub(crate) fn poll_next(&mut self, requester: &Requester<'_>, context: &mut Context<'_>) -> Poll<Answer> {
        loop {
            if let Poll::Ready(Some(answered)) = self.reading.poll_next_unpin(context) {
                let Some(answer) = answered else { continue };
                self.silent = matches!(&answer.1, Err(why) if why.code == Code::BrokerUnavailable);
                self.read.push_back(answer);
            } else if self.reading.len() + self.read.len() < requester.services.limits.fetches_in_flight
                && let Some(unread) = self.queue.pop()
            {
                self.reading.push(unread.read(requester, self.silent));
            } else {
                break;
            }
        }
        if self.read.is_empty() {
            return Poll::Pending;
        }
        let room = self.room.get_or_insert_with(|| {
            let outbox = requester.outbox.clone();
            Box::pin(async move { outbox.room().await })
        });
        ready!(room.poll_unpin(context));
        self.room = None;
        self.read.pop_front().map_or(Poll::Pending, Poll::Ready)
    }

    /// Gives up the reads with this number; their answers do not come.
    pub(crate) fn cancel(&mut self, id: u64) {
        self.queue.remove(|unread| unread.reply_to == id);
        self.reading.iter().filter(|read| read.id() == id).for_each(Cancellable::cancel);
        self.read.retain(|(reply_to, _)| *reply_to != id);
    }

    /// Whether nothing is to be told.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.reading.is_empty() && self.read.is_empty()
    }
}

impl Unread {
    /// By what the connection may read now. While its stream is silent, the time
    /// in which it waited for others counts: all are refused together.
    fn read(self, requester: &Requester<'_>, silent: bool) -> Cancellable<Answer> {
        let Self { reply_to, fetch, came } = self;
        let (fetcher, grants) = (requester.services.fetcher.clone(), requester.grants.clone());
        let deadline = if silent { came } else { Instant::now() } + ANSWER_TIME;
        Cancellable::new(reply_to, async move {
            // Events in memory are read without waiting: other tasks run in between.
            yield_now().await;
            (reply_to, fetcher.fetch_by(deadline, &grants, fetch).await)
        })
    }
}
