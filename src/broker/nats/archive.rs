//! Reading what streams keep, by Direct Get (ADR-31): any server that has a
//! copy answers, and the answer comes in on the reading connection, which no
//! publisher can break.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    broker::{
        headers,
        nats::reading::{Answers, Interest},
        stored::{Page, PageSize, Query, ReadError},
    },
    classes::StreamIndex,
    metrics::{Metrics, StreamRequest},
};

/// For one page, from the question to its last event.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// Reads in order at the same time: a few keep a server busy.
const SEQUENTIAL: usize = 4;

/// Asks for what is stored.
#[derive(Debug)]
pub(crate) struct Archive {
    interest: Arc<Interest>,
    answers: Arc<Answers>,
    /// What answers come to, without the number.
    inbox: String,
    /// Names, in the order of the configuration.
    streams: Arc<[Arc<str>]>,
    /// Storms of clients must not become storms at NATS.
    reads: Semaphore,
    /// Reading in order is what closes holes, and is shared: it does not wait
    /// for the others.
    sequential: Semaphore,
    metrics: Arc<Metrics>,
}

impl Archive {
    /// Asks at most so many questions at the same time.
    pub(crate) fn new(
        interest: Arc<Interest>,
        answers: Arc<Answers>,
        inbox: String,
        streams: Arc<[Arc<str>]>,
        reads: usize,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            interest,
            answers,
            inbox,
            streams,
            reads: Semaphore::new(reads),
            sequential: Semaphore::new(SEQUENTIAL),
            metrics,
        }
    }

    /// Reads one page.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub(crate) async fn read(&self, stream: StreamIndex, query: &Query, size: PageSize) -> Result<Page, ReadError> {
        let permits = if matches!(query, Query::From(_)) { &self.sequential } else { &self.reads };
        let _permit = permits.acquire().await.map_err(|_| ReadError::Unavailable)?;
        let (kind, mut question) = question(query);
        let batch = if matches!(query, Query::Since(_)) { 1 } else { size.events };
        question["batch"] = batch.into();
        question["max_bytes"] = size.bytes.into();
        let question = question.to_string();
        let mut asked = self.answers.ask(stream);
        let command = format!(
            "PUB $JS.API.DIRECT.GET.{} {}.{} {}\r\n{question}\r\n",
            self.streams[stream.0],
            self.inbox,
            asked.number,
            question.len()
        );
        self.metrics.stream_requests.of(kind).increment(1);
        self.interest.send(&[command.as_bytes()], question.len()).map_err(|_| ReadError::Unavailable)?;
        timeout(ANSWER_TIME, asked.answer()).await.unwrap_or(Err(ReadError::Timeout))
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
