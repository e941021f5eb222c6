//! Every refusal, in one table: its code on the wire, HTTP status, close code,
//! metric label, and whether trying again may help.

use std::{fmt, time::Duration};

use crate::{close::CloseReason, proto, subject::SUBJECT_BYTES};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident, $label:literal, $status:literal, $retryable:literal;)+) => {
        /// The kinds of refusal.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name in `error` frames, HTTP bodies and metrics.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }

            /// The HTTP status that carries it.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }

            /// Whether the same may succeed later without being changed.
            pub const fn retryable(self) -> bool {
                match self { $(Self::$name => $retryable,)+ }
            }

            /// The meaning, for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

codes! {
    /// Not a frame of the protocol, or a frame out of place. Ends the connection with 4500.
    BadFrame, "bad_frame", 400, false;
    /// Not a subject or pattern, or one with a wildcard where a concrete subject is needed.
    BadSubject, "bad_subject", 400, false;
    /// The HTTP request is malformed, or a field or header of the event, or a position, or a field stands where it means nothing.
    BadRequest, "bad_request", 400, false;
    /// The token is missing or does not hold. Ends the connection with 4501.
    Unauthorized, "unauthorized", 401, false;
    /// The keys to verify the token with cannot be read now. Ends the connection with 4010.
    KeysUnavailable, "keys_unavailable", 503, true;
    /// No grant covers it, one denies it, or the subject belongs to the messaging system.
    Forbidden, "forbidden", 403, false;
    /// Pages of this origin may not use the node. Told over HTTP, before the upgrade.
    OriginRefused, "origin_refused", 403, false;
    /// Nothing stores events of these subjects.
    NotStored, "not_stored", 404, false;
    /// There is no such path, or no event there.
    NotFound, "not_found", 404, false;
    /// The path takes another HTTP method.
    MethodNotAllowed, "method_not_allowed", 405, false;
    /// The event is larger than the limit.
    TooLarge, "too_large", 413, false;
    /// The body of the HTTP request is compressed or encoded otherwise; it is taken as it is.
    UnsupportedEncoding, "unsupported_encoding", 415, false;
    /// The WebSocket version is not served.
    UnsupportedVersion, "unsupported_version", 426, false;
    /// The connection holds as many subscriptions as it may.
    SubscriptionLimit, "subscription_limit", 429, false;
    /// The user holds patterns of as many shapes of wildcards as they may.
    WildcardLimit, "wildcard_limit", 429, false;
    /// The user holds as many connections as they may. Ends the connection with 4510.
    UserLimit, "user_limit", 429, false;
    /// The user holds as many connections as they may, and some of these may be dead: try again. Ends the connection with 4410.
    UserFull, "user_full", 429, true;
    /// The client's address holds as many connections as it may.
    AddressLimit, "address_limit", 429, true;
    /// The client's address opens connections or makes HTTP requests, or the user publishes, asks or reads, faster than they may.
    RateLimited, "rate_limited", 429, true;
    /// As many requests of the connection wait for their answers as may.
    RequestLimit, "request_limit", 429, true;
    /// As many publishes, fetches or refreshes of the connection wait for their turn as may.
    InFlightLimit, "in_flight_limit", 429, true;
    /// HTTP answers that the user, or the client's address, has not read take as many bytes as they may.
    AnswerLimit, "answer_limit", 429, true;
    /// The frame is part of the protocol but this node does not serve it.
    Unsupported, "unsupported", 501, false;
    /// The service answered with an error of its own; `serviceCode` is its code.
    ServiceError, "service_error", 502, false;
    /// The service's answer cannot be relayed: it is too large, or no envelope though it claims to be one.
    BadResponse, "bad_response", 502, false;
    /// No service listens on the subject.
    NoResponders, "no_responders", 503, true;
    /// The event's stream does not take it.
    StreamRefused, "stream_refused", 507, true;
    /// The node has no connection to its broker, or nobody serves the stream now.
    BrokerUnavailable, "broker_unavailable", 503, true;
    /// The broker refuses the node this subscription. It stays, and `subscribed` follows once events flow.
    BrokerRefused, "broker_refused", 503, true;
    /// The node is leaving; another one takes over.
    Draining, "draining", 503, true;
    /// The node holds as many connections as it may.
    ConnectionLimit, "connection_limit", 503, true;
    /// The node takes in as many new connections per second, or holds as many bytes of HTTP answers, as it may.
    Overloaded, "overloaded", 503, true;
    /// The request took longer than it may.
    Timeout, "timeout", 504, true;
}

impl Code {
    /// The close code of a connection that this refusal ends.
    pub const fn close(self) -> Option<CloseReason> {
        match self {
            Self::BadFrame => Some(CloseReason::BadFrame),
            Self::Unauthorized => Some(CloseReason::Unauthorized),
            Self::KeysUnavailable => Some(CloseReason::KeysUnavailable),
            Self::UserLimit => Some(CloseReason::UserLimit),
            Self::UserFull => Some(CloseReason::UserFull),
            _ => None,
        }
    }
}

/// A refusal, told to whoever asked: over WebSocket as an `error` frame, over
/// HTTP as a JSON body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.label())]
pub struct Refusal {
    /// The kind of refusal.
    pub code: Code,
    /// For people: names the thing and the remedy.
    pub message: String,
    /// The subject it concerns, where there is one.
    pub subject: Option<String>,
    /// The service's own code for its error, where the refusal is one.
    pub service_code: Option<String>,
    /// How long to wait before the same may succeed, where that is known.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal that concerns no subject.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), subject: None, service_code: None, retry_after: None }
    }

    /// A refusal of a malformed subject or pattern; `why` tells the fault.
    pub fn bad_subject(subject: &str, why: impl fmt::Display) -> Self {
        Self::of(Code::BadSubject, subject, format!("the subject {why}"))
    }

    /// A refusal of a position that no node has told.
    pub fn bad_position(subject: &str) -> Self {
        let message = "the `seq` of a position is below 2^53; send positions as nodes have told them";
        Self::of(Code::BadRequest, subject, message)
    }

    /// A refusal of something done with a subject.
    pub fn of(code: Code, subject: &str, message: impl Into<String>) -> Self {
        // A text that is not a subject may have any length, so only its
        // beginning is shown.
        let shown = subject.chars().take(SUBJECT_BYTES).collect();
        Self { code, message: message.into(), subject: Some(shown), service_code: None, retry_after: None }
    }

    /// The same, and when to try again.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }
}

impl From<Refusal> for proto::Error {
    fn from(refusal: Refusal) -> Self {
        Self {
            code: refusal.code.label().into(),
            message: refusal.message,
            retryable: refusal.code.retryable(),
            subject: refusal.subject.unwrap_or_default(),
            service_code: refusal.service_code.unwrap_or_default(),
            // Never less than it takes: a part of a millisecond is one.
            retry_after_ms: refusal.retry_after.map_or(0, |wait| wait.as_nanos().div_ceil(1_000_000) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_connection_says_so_and_with_which_code() {
        for code in Code::ALL {
            let told = code.meaning().split("Ends the connection with ").nth(1).map(|rest| rest.trim_end_matches('.'));
            assert_eq!(told, code.close().map(|reason| reason.code().to_string()).as_deref(), "{}", code.label());
        }
    }

    #[test]
    fn a_subject_of_any_length_is_told_in_part() {
        let refusal = Refusal::bad_subject(&"\u{e4}".repeat(SUBJECT_BYTES + 1), "is longer than that");
        let told = proto::Error::from(refusal);
        assert_eq!((told.code.as_str(), told.message.as_str()), ("bad_subject", "the subject is longer than that"));
        assert_eq!((told.subject, told.retryable), ("\u{e4}".repeat(SUBJECT_BYTES), false));
    }
}
