//! How a client reads events, and how often it changes that.

use std::ops::Range;

use notifier::codec::Encoding;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    WebSocket(Encoding),
    /// `/v1/events`.
    Events,
    /// `/v1/poll`.
    Poll,
}

impl Transport {
    pub const ALL: [Self; 4] =
        [Self::WebSocket(Encoding::Json), Self::WebSocket(Encoding::Proto), Self::Events, Self::Poll];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::WebSocket(Encoding::Proto) => "websocket, protobuf",
            Self::WebSocket(_) => "websocket, JSON",
            Self::Events => "event stream",
            Self::Poll => "poll",
        }
    }
}

/// The habits of a client.
#[derive(Clone, Debug)]
pub struct Habits {
    /// Each connection has one of these.
    pub transports: Vec<Transport>,
    /// Events after which it changes its connection of its own accord.
    pub changes_after: Option<Range<u64>>,
}

impl Habits {
    /// One transport for good.
    pub fn only(transport: Transport) -> Self {
        Self { transports: vec![transport], changes_after: None }
    }

    /// Another one with each connection.
    pub fn any() -> Self {
        Self { transports: Transport::ALL.to_vec(), changes_after: None }
    }

    /// Another one after a few events.
    pub fn restless() -> Self {
        Self { changes_after: Some(1..8), ..Self::any() }
    }
}
