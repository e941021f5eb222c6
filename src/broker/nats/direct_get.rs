//! Direct Get (ADR-31) reads events that streams keep: any server that has a copy
//! answers, and the answer comes in on the reading connection, which no publisher
//! can break.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    broker::{
        nats::reading::{DirectGetReplies, Interest},
        stored::{Page, Purpose, Query, ReadError},
    },
    classes::StreamIndex,
    event::{PageSize, headers},
    metrics::{Metrics, StreamRequest},
    retry,
};

/// Reads in order for clients at the same time: a few keep a server busy.
const SEQUENTIAL: usize = 4;

/// Reads with which the node follows its streams at the same time. A stream
/// has one at most; at the start all of them fill their windows.
const FOLLOWING: usize = 4;

/// Reads stored events by Direct Get.
#[derive(Debug)]
pub(crate) struct DirectGet {
    interest: Arc<Interest>,
    direct_get_replies: Arc<DirectGetReplies>,
    /// The inbox that answers come to, without the number.
    inbox: String,
    /// The prefix of the subjects of requests.
    prefix: String,
    /// Names, in the order of the configuration.
    streams: Arc<[Arc<str>]>,
    /// Storms of clients must not become storms at NATS.
    reads: Semaphore,
    /// Reading in order is shared by many: it does not wait for the others.
    sequential: Semaphore,
    /// Reads that close holes do not wait for reads of clients.
    following: Semaphore,
    metrics: Arc<Metrics>,
}

impl DirectGet {
    /// Asks at most `most` questions at the same time.
    pub(crate) fn new(
        interest: Arc<Interest>,
        direct_get_replies: Arc<DirectGetReplies>,
        inbox: String,
        jetstream_prefix: &str,
        streams: Arc<[Arc<str>]>,
        reads: usize,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            interest,
            direct_get_replies,
            inbox,
            prefix: format!("{jetstream_prefix}.DIRECT.GET"),
            streams,
            reads: Semaphore::new(reads),
            sequential: Semaphore::new(SEQUENTIAL),
            following: Semaphore::new(FOLLOWING),
            metrics,
        }
    }

    /// Where a stream is asked.
    pub(crate) fn subject(&self, stream: StreamIndex) -> String {
        format!("{}.{}", self.prefix, self.streams[stream.0])
    }

    /// Reads one page.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub(crate) async fn read(
        &self,
        stream: StreamIndex,
        query: &Query,
        size: PageSize,
        purpose: Purpose,
    ) -> Result<Page, ReadError> {
        let permits = match (purpose, query) {
            (Purpose::Follow, _) => &self.following,
            (Purpose::Serve, Query::From(_)) => &self.sequential,
            (Purpose::Serve, _) => &self.reads,
        };
        let _permit = permits.acquire().await.map_err(|_| ReadError::Unavailable)?;
        let (kind, mut question) = question(query);
        let batch = if matches!(query, Query::Since(_)) { 1 } else { size.events };
        question["batch"] = batch.into();
        question["max_bytes"] = size.bytes.into();
        let question = question.to_string();
        let mut asked = self.direct_get_replies.ask(stream);
        let command = format!(
            "PUB {} {}.{} {}\r\n{question}\r\n",
            self.subject(stream),
            self.inbox,
            asked.number,
            question.len()
        );
        self.metrics.stream_requests.of(kind).increment(1);
        self.interest.send(&[command.as_bytes()], question.len()).map_err(|_| ReadError::Unavailable)?;
        timeout(retry::PAGE.patience(), asked.answer()).await.unwrap_or(Err(ReadError::Timeout))
    }
}

fn question(query: &Query) -> (StreamRequest, Value) {
    match query {
        Query::From(seq) => (StreamRequest::Sequential, json!({"seq": seq, "next_by_subj": ">"})),
        Query::Of(subject, seq) => (StreamRequest::Subject, json!({"seq": seq, "next_by_subj": subject.as_str()})),
        Query::Since(millis) => {
            let time = headers::rfc3339(*millis).unwrap_or_default();
            (StreamRequest::Since, json!({"start_time": time, "next_by_subj": ">"}))
        }
        Query::Newest { patterns, upto, from } => {
            let patterns: Vec<&str> = patterns.iter().map(|pattern| pattern.as_str()).collect();
            (StreamRequest::Newest, json!({"multi_last": patterns, "up_to_seq": upto, "seq": from}))
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;
    use crate::broker::degraded::Degraded;

    const ALL: PageSize = PageSize { events: 64, bytes: 1 << 20 };

    /// Whether a question for what follows a sequence has been sent.
    fn is_asked(interest: &Interest, seq: u64) -> bool {
        String::from_utf8_lossy(&interest.take().bytes).contains(&format!("\"seq\":{seq}}}"))
    }

    #[tokio::test]
    async fn following_a_stream_waits_for_no_reads_of_clients() {
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let interest = Arc::new(Interest::new(Arc::new(Degraded::new(metrics.clone()))));
        interest.begin();
        let direct_get_replies = Arc::<DirectGetReplies>::default();
        let direct_get = DirectGet::new(
            interest.clone(),
            direct_get_replies,
            "i".into(),
            "$JS.API",
            [Arc::from("S")].into(),
            1,
            metrics,
        );
        let read = |query, purpose| {
            let direct_get = &direct_get;
            async move { direct_get.read(StreamIndex(0), &query, ALL, purpose).await }
        };
        // Nobody answers any of them.
        let mut crowd: Vec<_> =
            (1..=2 * SEQUENTIAL as u64).map(|seq| Box::pin(read(Query::From(seq), Purpose::Serve))).collect();
        for reader in &mut crowd {
            assert!(poll!(reader).is_pending());
        }
        let mut since = Box::pin(read(Query::Since(1), Purpose::Serve));
        assert!(poll!(&mut since).is_pending());
        interest.take();
        let mut late = Box::pin(read(Query::From(77), Purpose::Serve));
        assert!(poll!(&mut late).is_pending() && !is_asked(&interest, 77), "it waits for its turn");
        let mut hole = Box::pin(read(Query::From(78), Purpose::Follow));
        assert!(poll!(&mut hole).is_pending() && is_asked(&interest, 78), "it does not");
        let mut begin = Box::pin(read(Query::Since(2), Purpose::Follow));
        assert!(poll!(&mut begin).is_pending() && !interest.take().bytes.is_empty());
    }
}
