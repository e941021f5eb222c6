//! The session on one reading connection, from the subscriptions that it begins
//! with to its end: it reads, sends commands, and checks that the server answers.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use crate::broker::{
    arrived::Arrived,
    feed::FeedId,
    nats::reading::{
        denial::{Denial, denial},
        interest::{Commands, Interest},
        message_router::{MessageRouter, ReadTime},
        nats_connection::{ConnectionError, NatsConnection, info, readable},
        parser::{BadStream, Op},
    },
};

/// When a server announces that it is leaving, this node goes to another one
/// within this time; nats-server lets clients be for 10 s before it closes the
/// first (`lame_duck_grace_period`).
const LAME_DUCK_TIME: Duration = Duration::from_secs(2);

/// A connection that ends sooner has not worked. Servers that break each one
/// are not to be asked without a pause.
pub(crate) const LASTING: Duration = Duration::from_secs(1);

/// An open connection.
#[derive(Debug)]
pub(crate) struct Session {
    connection: NatsConnection,
    begun: Instant,
    /// Subscriptions that each `PONG` still to come confirms, in order.
    asked: VecDeque<ServerQuestion>,
    heard: Instant,
    pings: Interval,
    leave: Option<Instant>,
    /// When something that was refused is tried again.
    retry: Option<Instant>,
}

#[derive(Debug, Default)]
struct ServerQuestion {
    opening: Vec<FeedId>,
    /// It follows all that was wanted when the connection began.
    ready: bool,
    /// Refusals of the server since the `PONG` before.
    denials: Vec<Denial>,
}

/// News of the connection, besides messages.
#[derive(Debug)]
pub(crate) enum News {
    /// The server knows of everything that is wanted.
    Ready,
    /// The `INFO` about its cluster.
    Cluster { urls: Vec<String>, leaving: bool },
    /// It refuses feeds; in its words, and those that it had not refused before.
    Refused { said: Vec<String>, feeds: Vec<FeedId> },
    /// So many feeds are open that it had refused.
    Allowed(usize),
    /// The server's objection; where it ends the connection, the server says so
    /// by closing it.
    Error(String),
}

/// Reason for which a session ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionEnd {
    #[error(transparent)]
    NatsConnection(#[from] ConnectionError),
    #[error("it was silent for too long")]
    Stale,
    #[error("the server is leaving")]
    LameDuck,
}

impl Session {
    /// Subscribes to everything that is wanted.
    pub(crate) async fn begin(
        connection: NatsConnection,
        interest: &Interest,
        ping_interval: Duration,
    ) -> Result<Self, ConnectionError> {
        let now = Instant::now();
        let mut pings = interval_at(now + ping_interval, ping_interval);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut session =
            Self { connection, begun: now, asked: VecDeque::new(), heard: now, pings, leave: None, retry: None };
        let Commands { bytes, opening } = interest.begin();
        match session.ask(bytes, ServerQuestion { opening, ready: true, ..ServerQuestion::default() }).await {
            Ok(()) => Ok(session),
            Err(error) => {
                session.end(interest);
                Err(error)
            }
        }
    }

    /// Whether it was of any use.
    pub(crate) fn lasted(&self) -> bool {
        self.begun.elapsed() >= LASTING
    }

    /// Subscriptions that were not confirmed have to be told to the next server.
    pub(crate) fn end(self, interest: &Interest) {
        interest.offline(self.asked.into_iter().flat_map(|asked| asked.opening));
    }

    /// Goes to another server soon, not at the same moment as all others do.
    pub(crate) fn leave(&mut self) {
        self.leave.get_or_insert(Instant::now() + LAME_DUCK_TIME.mul_f64(fastrand::f64()));
    }

    /// Waits for one thing to happen, and does what it asks for.
    pub(crate) async fn turn(
        &mut self,
        interest: &Arc<Interest>,
        message_router: &MessageRouter,
        arrived: &mut Arrived,
    ) -> Result<Vec<News>, SessionEnd> {
        enum Wake {
            Read,
            Changed,
            Ping,
            Leave,
            Retry,
        }
        let (leave, retry) = (self.leave, self.retry);
        let wake = tokio::select! {
            biased;
            read = self.connection.read() => { read?; Wake::Read }
            () = interest.changed() => Wake::Changed,
            _ = self.pings.tick() => Wake::Ping,
            () = async { sleep_until(leave.unwrap_or_else(Instant::now)).await }, if leave.is_some() => Wake::Leave,
            () = async { sleep_until(retry.unwrap_or_else(Instant::now)).await }, if retry.is_some() => Wake::Retry,
        };
        match wake {
            Wake::Read => {
                self.heard = Instant::now();
                let (news, pings) = self.sort(interest, message_router, arrived).map_err(ConnectionError::from)?;
                for _ in 0..pings {
                    self.connection.write(b"PONG\r\n").await?;
                }
                // A busy connection must not leave new subscribers waiting.
                self.send(interest.take()).await?;
                if self.retry.is_some_and(|at| at <= self.heard) {
                    self.try_again(interest).await?;
                }
                return Ok(news);
            }
            Wake::Changed => self.send(interest.take()).await?,
            Wake::Ping if self.heard.elapsed() > 2 * self.pings.period() => return Err(SessionEnd::Stale),
            Wake::Ping => self.ask(Vec::new(), ServerQuestion::default()).await?,
            Wake::Retry => self.try_again(interest).await?,
            Wake::Leave => return Err(SessionEnd::LameDuck),
        }
        Ok(Vec::new())
    }

    /// Sorts what was read: events, what they confirm, and the rest.
    fn sort(
        &mut self,
        interest: &Interest,
        message_router: &MessageRouter,
        arrived: &mut Arrived,
    ) -> Result<(Vec<News>, usize), BadStream> {
        let read_time = ReadTime::now();
        let (mut news, mut pings, mut received) = (Vec::new(), 0, 0);
        let (mut said, mut denials, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        let asked = &mut self.asked;
        let end = self.connection.each(|op| match op {
            Op::Message(raw) => {
                received += 1;
                message_router.sort(&raw, read_time, arrived);
            }
            Op::Oversized { sid, subject } => {
                received += 1;
                message_router.too_large(FeedId(sid), subject);
            }
            Op::Pong => {
                if let Some(ServerQuestion { mut opening, ready, denials }) = asked.pop_front() {
                    if !denials.is_empty() {
                        refused.extend(interest.refuse(&denials, &opening, ready, Instant::now()));
                        opening.retain(|feed| !interest.is_refused(*feed));
                    }
                    let allowed = interest.allow(&opening);
                    news.extend((allowed > 0).then_some(News::Allowed(allowed)));
                    arrived.opened.extend(opening);
                    if ready {
                        news.push(News::Ready);
                    }
                }
            }
            Op::Ping => pings += 1,
            Op::Info(json) => {
                news.extend(info(json).map(|info| News::Cluster { urls: info.connect_urls, leaving: info.ldm }));
            }
            Op::Error(text) => match (denial(&readable(text)), asked.front_mut()) {
                (None, _) => news.push(News::Error(readable(text))),
                (Some(denial), waiting) => {
                    said.push(readable(text));
                    // The commands that were answered so far tell which feed
                    // this is about.
                    waiting.map_or(&mut denials, |asked| &mut asked.denials).push(denial);
                }
            },
            Op::Ok => {}
        });
        message_router.received(received);
        if !denials.is_empty() {
            refused.extend(interest.refuse(&denials, &[], false, Instant::now()));
        }
        if !said.is_empty() || !news.is_empty() {
            self.retry = interest.retry_at();
        }
        if !said.is_empty() || !refused.is_empty() {
            arrived.refuse(refused.iter().copied());
            news.push(News::Refused { said, feeds: refused });
        }
        end.map(|()| (news, pings))
    }

    /// Sends commands, if there are any, and asks whether they were obeyed: a
    /// server handles one client's commands in order.
    async fn send(&mut self, commands: Commands) -> Result<(), ConnectionError> {
        let Commands { bytes, opening } = commands;
        if !opening.is_empty() {
            return self.ask(bytes, ServerQuestion { opening, ..ServerQuestion::default() }).await;
        }
        if bytes.is_empty() { Ok(()) } else { self.connection.write(&bytes).await }
    }

    /// Asks again for what was refused.
    async fn try_again(&mut self, interest: &Interest) -> Result<(), ConnectionError> {
        for commands in interest.retry(Instant::now()) {
            self.send(commands).await?;
        }
        self.retry = interest.retry_at();
        Ok(())
    }

    async fn ask(&mut self, mut bytes: Vec<u8>, asked: ServerQuestion) -> Result<(), ConnectionError> {
        // Noted first: should the write fail, what is opening is not forgotten.
        self.asked.push_back(asked);
        bytes.extend_from_slice(b"PING\r\n");
        self.connection.write(&bytes).await
    }
}
