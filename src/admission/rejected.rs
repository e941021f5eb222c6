//! Reasons for which a connection or request is rejected, and their codes.

use crate::{error::Code, metrics::AcceptFailure};

/// Reason for which a connection or request is rejected.
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
    /// The user has as many as they may, and some of these may be dead.
    UserFull,
    /// The user, or the address, has as many unread bytes of answers as they may.
    Answers,
    /// All together have.
    AnswersFull,
}

impl Rejected {
    /// The code that clients are told.
    pub fn code(self) -> Code {
        match self {
            Self::Full => Code::ConnectionLimit,
            Self::Fast => Code::Overloaded,
            Self::Address => Code::AddressLimit,
            Self::AddressFast | Self::Requests => Code::RateLimited,
            Self::User => Code::UserLimit,
            Self::UserFull => Code::UserFull,
            Self::Answers => Code::AnswerLimit,
            Self::AnswersFull => Code::Overloaded,
        }
    }

    /// The label that counts it, where it ends a connection before a request.
    pub fn failure(self) -> AcceptFailure {
        match self {
            Self::Full => AcceptFailure::ConnectionLimit,
            Self::Fast => AcceptFailure::ConnectionRate,
            Self::Address => AcceptFailure::AddressLimit,
            Self::AddressFast => AcceptFailure::AddressRate,
            // Known only later than that.
            Self::Requests | Self::User | Self::UserFull | Self::Answers | Self::AnswersFull => AcceptFailure::Other,
        }
    }
}
