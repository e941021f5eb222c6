//! The contract of a broker: everything that the floors above know of one.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use crate::{
    broker::{
        arrived::Arrived,
        bus::Bus,
        feed::Feed,
        publish_error::PublishError,
        request_error::RequestError,
        state::BrokerState,
        stored::{Page, Purpose, Query, ReadError, Receipt, StreamState},
        stream_error::StreamError,
    },
    classes::{Classes, StreamIndex},
    event::{PageSize, message::Message},
    proto::Envelope,
    subject::Pattern,
};

/// A connection to a broker. Its events come out of its [`Intake`]s.
#[async_trait]
pub trait Broker: fmt::Debug + Send + Sync {
    /// The class of each subject.
    fn classes(&self) -> &Arc<Classes>;

    /// Whether the broker is there, now and as it changes.
    fn state(&self) -> &BrokerState;

    /// Opens a feed of one pattern. An intake tells when it is open; while the
    /// broker is away, that is once it is back.
    fn open(&self, pattern: &Pattern) -> Feed;

    /// The same, by the intake that the feed of another pattern comes in by, so
    /// that what both bring is in one order. Where there is one intake it is that.
    fn open_beside(&self, pattern: &Pattern, _other: &Pattern) -> Feed {
        self.open(pattern)
    }

    /// Follows a stream: once the feed is open, every stored event arrives. An
    /// event that is lost on the way shows as a hole in the sequences, or, if
    /// it was the last, by comparison with [`Self::stream_state`]. An intake
    /// tells again that the feed is open whenever something may have been lost.
    fn tail(&self, stream: StreamIndex) -> Feed;

    /// Publishes one event that nothing stores.
    ///
    /// # Errors
    /// See [`PublishError`].
    async fn publish(&self, message: Message) -> Result<(), PublishError>;

    /// Hands one event over for its stream. Events that are handed over one after
    /// the other come to the stream in that order; the answer resolves once this
    /// one is stored, and is not needed for it to be.
    ///
    /// # Errors
    /// See [`PublishError`].
    async fn submit(&self, stream: StreamIndex, message: Message) -> Result<Acknowledgement, PublishError>;

    /// Publishes one event into its stream, and returns once it is stored.
    ///
    /// # Errors
    /// See [`PublishError`].
    async fn store(&self, stream: StreamIndex, message: Message) -> Result<Receipt, PublishError> {
        self.submit(stream, message).await?.await
    }

    /// Reads a page of a stream. The server that answers may lag behind the
    /// stream: only sequences that [`Page::through`] covers are certain.
    ///
    /// # Errors
    /// See [`ReadError`].
    async fn read(
        &self,
        stream: StreamIndex,
        query: &Query,
        size: PageSize,
        purpose: Purpose,
    ) -> Result<Page, ReadError>;

    /// Reads a page of what a stream keeps from a sequence on, without going by
    /// a copy that may lag: slow, for when one does.
    ///
    /// # Errors
    /// See [`ReadError`].
    async fn read_leader(&self, stream: StreamIndex, from: u64) -> Result<Page, ReadError>;

    /// The state of a stream, certain as of the question.
    ///
    /// # Errors
    /// See [`ReadError`].
    async fn stream_state(&self, stream: StreamIndex) -> Result<StreamState, ReadError>;

    /// Through which sequence a stream keeps nothing, from one on and at most to
    /// another, up to which something was stored at some time; nothing when it
    /// keeps the first of them. Certain as of the question.
    ///
    /// # Errors
    /// See [`ReadError`].
    async fn deleted_through(&self, stream: StreamIndex, from: u64, to: u64) -> Result<Option<u64>, ReadError>;

    /// The state of a stream, and all its sequences behind the first without an
    /// event, ascending. The list has no bound: the caller knows the number of
    /// holes beforehand.
    ///
    /// # Errors
    /// See [`ReadError`].
    async fn deleted(&self, stream: StreamIndex) -> Result<(StreamState, Vec<u64>), ReadError>;

    /// Makes each stream what it has to be, or finds that it is; a stream can be
    /// read from then on.
    ///
    /// # Errors
    /// The name of the first stream that cannot be served, and why; a broker
    /// that is away is waited for.
    async fn ensure_streams(&self) -> Result<(), (String, StreamError)> {
        Ok(())
    }

    /// Asks the services on a subject, and waits at most `wait` for the first
    /// answer. A broker that cannot reach services answers as if nobody
    /// listened.
    ///
    /// # Errors
    /// See [`RequestError`].
    async fn request(&self, _message: Message, _wait: Duration) -> Result<Envelope, RequestError> {
        Err(RequestError::NoResponders)
    }

    /// Returns when all that was published has left this process, or will not.
    async fn flush(&self) {}

    /// The bus between the nodes that share this broker.
    fn bus(&self) -> &Arc<dyn Bus>;
}

/// A stream's word on an event that was handed over: that it is stored, or why not.
pub type Acknowledgement = BoxFuture<'static, Result<Receipt, PublishError>>;

/// Where events come in: all that arrives for some of the feeds. A feed stays
/// with one intake.
#[async_trait]
pub trait Intake: fmt::Debug + Send {
    /// Waits until something has arrived. Events that are not read stay with
    /// the broker as long as it has room.
    async fn next(&mut self, arrived: &mut Arrived);

    /// Whether it reads a socket, so that each look wakes somebody up.
    fn is_remote(&self) -> bool;
}

/// A broker, and where its events come in.
pub type Connection = (Arc<dyn Broker>, Vec<Box<dyn Intake>>);
