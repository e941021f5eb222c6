//! Why the gate stays closed to somebody, and what that is called.

use crate::{error::Code, metrics::AcceptFailure};

/// Why somebody does not come in, or not further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// There are as many connections as there may be.
    Full,
    /// New connections come too fast.
    Fast,
    /// The address has as many as it may.
    Address,
    /// The address opens them too fast.
    AddressFast,
    /// The address makes too many HTTP requests.
    Requests,
    /// The user has as many as they may.
    User,
    /// The user, or the address, has as many unread bytes of answers as they may.
    Answers,
    /// All together have.
    AnswersFull,
}

impl Rejected {
    /// What it is called towards clients.
    pub fn code(self) -> Code {
        match self {
            Self::Full => Code::ConnectionLimit,
            Self::Fast => Code::Overloaded,
            Self::Address => Code::AddressLimit,
            Self::AddressFast | Self::Requests => Code::RateLimited,
            Self::User => Code::UserLimit,
            Self::Answers => Code::AnswerLimit,
            Self::AnswersFull => Code::Overloaded,
        }
    }

    /// What it counts as, where it ends a connection before a request.
    pub fn failure(self) -> AcceptFailure {
        match self {
            Self::Full => AcceptFailure::ConnectionLimit,
            Self::Fast => AcceptFailure::ConnectionRate,
            Self::Address => AcceptFailure::AddressLimit,
            Self::AddressFast => AcceptFailure::AddressRate,
            // Known only later than that.
            Self::Requests | Self::User | Self::Answers | Self::AnswersFull => AcceptFailure::Other,
        }
    }
}
