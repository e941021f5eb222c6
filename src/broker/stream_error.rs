//! Why a stream cannot be served, with the remedy.

use std::fmt;

/// The command that brings streams into shape.
pub(crate) const APPLY: &str = "run `notifier streams apply --config FILE`";

/// Why a stream cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// There is no connection at the moment.
    #[error("NATS is not connected")]
    Away,
    /// No server that can be reached offers it; those that do may be away.
    #[error(
        "JetStream is not enabled; add `jetstream {{}}` to the configuration of nats-server, or to the account's, or \
         let the NATS user be one of the account that has it"
    )]
    Disabled,
    /// JetStream is there and cannot say now, as while it elects a leader.
    #[error("JetStream cannot answer at the moment: {0}")]
    Unavailable(String),
    /// No answer came. A cluster without a leader is silent, and a refusal NATS
    /// tells to the connection, not to the request.
    #[error(
        "no answer to `{subject}`: JetStream may be without a leader, or the NATS user without the permission to \
         publish there and to subscribe to the replies (broker.nats.inbox_prefix)"
    )]
    Silence {
        /// Where the request went.
        subject: String,
    },
    /// The user may not ask for it.
    #[error("NATS refuses it ({said}); allow the NATS user to publish to `{subject}` and to subscribe to its replies")]
    Denied {
        /// Where the request went.
        subject: String,
        /// The server's words.
        said: String,
    },
    /// Nobody answers a Direct Get.
    #[error(
        "nobody answers `{subject}`: the stream has no leader now, or `allow_direct` is off; {APPLY}, and look into \
         the log of nats-server"
    )]
    NoDirectGet {
        /// Where the request went.
        subject: String,
    },
    /// The server is too old.
    #[error("nats-server {found} is too old for stored events; install 2.11 or newer, better 2.12")]
    Outdated {
        /// The server's version, in its words.
        found: String,
    },
    /// The stream does not exist.
    #[error(
        "the stream does not exist; {APPLY}, let a node create it (`manage = true`), or use a NATS user of the account \
         that has it"
    )]
    Missing,
    /// It is not as it has to be.
    #[error("{0}")]
    Differs(Differences),
    /// JetStream refuses a change.
    #[error("JetStream refuses: {description} (error {code})")]
    Refused {
        /// JetStream's own number.
        code: u64,
        /// JetStream's words.
        description: String,
    },
    /// It is changed by somebody else again and again.
    #[error("the stream does not stay as it is set; are there nodes with other settings?")]
    Contested,
    /// An answer that does not read as one.
    #[error("JetStream's answer to `{subject}` cannot be read: {problem}")]
    Unreadable {
        /// Where the request went.
        subject: String,
        /// The problem.
        problem: String,
    },
}

impl StreamError {
    /// Whether it may pass by itself.
    pub const fn retryable(&self) -> bool {
        matches!(self, Self::Away | Self::Disabled | Self::Unavailable(_) | Self::Silence { .. } | Self::Contested)
    }
}

/// How a stream is not as it has to be; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differences(pub Vec<Difference>);

/// One setting of a stream that is not as it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its name in JetStream.
    pub setting: &'static str,
    /// The value that it has.
    pub found: String,
    /// The value that it has to have.
    pub wanted: String,
    /// The remedy.
    pub remedy: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, found, wanted, remedy } = self;
        write!(f, "{setting}: is {found}, has to be {wanted}; {remedy}")
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, difference) in self.0.iter().enumerate() {
            // In one line: the last one on standard error names all that is wrong.
            let separator = if place == 0 { "" } else { "; and " };
            write!(f, "{separator}{difference}")?;
        }
        Ok(())
    }
}
