//! Every reason for which a WebSocket connection ends, in one table.
//!
//! The RANGE of a code decides what a client does, so that old clients obey
//! new codes: 4000-4499 reconnect with backoff, 4500-4999 stop. The codes
//! below 4000 are those of RFC 6455 section 7.4.1; `docs/protocol.md` shows
//! the same table and a test compares the two.

macro_rules! close_reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $label:literal;)+) => {
        /// Why a connection ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum CloseReason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl CloseReason {
            /// Every reason, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The code of the WebSocket Close frame.
            pub const fn code(self) -> u16 {
                match self { $(Self::$name => $code,)+ }
            }

            /// Its name on the wire (the Close frame's reason) and in metrics.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }

            /// The meaning, for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

close_reasons! {
    /// The client closed the connection, or replaced it by another one.
    Normal = 1000, "normal";
    /// The frame breaks RFC 6455: mask, reserved bits, opcode, length or fragmentation.
    ProtocolError = 1002, "protocol_error";
    /// A binary message on notifier.v1.json, or a text message on notifier.v1.proto.
    WrongKind = 1003, "wrong_kind";
    /// The connection ended without a Close frame. Never sent.
    Lost = 1006, "lost";
    /// A text message that is not UTF-8.
    InvalidUtf8 = 1007, "invalid_utf8";
    /// Reserved for a message that is too large (RFC 6455). Never sent: 4011 says it.
    TooBig = 1009, "too_big";
    /// The node failed; the fault is logged there.
    Internal = 1011, "internal";
    /// The node is leaving: reconnect, another node takes over.
    Draining = 4001, "draining";
    /// The client reads slower than events arrive, and its queue is full.
    SlowConsumer = 4002, "slow_consumer";
    /// Nothing was heard from the client for two heartbeats.
    PingTimeout = 4003, "ping_timeout";
    /// The client sends more frames or bytes than the limits told in `welcome`.
    RateLimited = 4004, "rate_limited";
    /// The client sent no `connect` in time.
    ConnectTimeout = 4005, "connect_timeout";
    /// A message was begun and not finished in time.
    MessageTimeout = 4006, "message_timeout";
    /// The token has expired and no new one came: connect with one.
    TokenExpired = 4007, "token_expired";
    /// An operator ended the connection.
    Disconnected = 4008, "disconnected";
    /// The keys to verify the token with cannot be read now.
    KeysUnavailable = 4010, "keys_unavailable";
    /// The message is larger than the limit told in `welcome`: connect again, and do not send it again.
    MessageTooBig = 4011, "message_too_big";
    /// The client has no subscription and has asked for nothing for `limits.idle_time`.
    Idle = 4020, "idle";
    /// The user holds as many connections as they may, and some of these may be dead: connect again after `retryAfterMs`.
    UserFull = 4410, "user_full";
    /// A message that is no frame of the protocol, or a frame out of place.
    BadFrame = 4500, "bad_frame";
    /// The token is missing or does not hold.
    Unauthorized = 4501, "unauthorized";
    /// The token was revoked: do not come back with it.
    Revoked = 4502, "revoked";
    /// The user holds as many connections as they may.
    UserLimit = 4510, "user_limit";
}

impl CloseReason {
    /// Whether a client should connect again, by the range rule above.
    pub const fn reconnect(self) -> bool {
        matches!(self.code(), 1001 | 1006 | 1011 | 1012 | 1013 | 4000..=4499)
    }

    /// Whether what waits for the client is dropped: it reads too slowly, or is
    /// not to have it any more.
    pub const fn drops_queue(self) -> bool {
        matches!(self, Self::SlowConsumer | Self::TokenExpired | Self::Disconnected | Self::Revoked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_decides_whether_to_reconnect() {
        for reason in [CloseReason::Draining, CloseReason::SlowConsumer, CloseReason::Internal] {
            assert!(reason.reconnect(), "{reason:?}");
        }
        for reason in [CloseReason::BadFrame, CloseReason::ProtocolError, CloseReason::TooBig] {
            assert!(!reason.reconnect(), "{reason:?}");
        }
    }

    #[test]
    fn who_may_not_have_it_or_does_not_read_it_gets_nothing_more() {
        for reason in [CloseReason::SlowConsumer, CloseReason::TokenExpired, CloseReason::Revoked] {
            assert!(reason.drops_queue(), "{reason:?}");
        }
        for reason in [CloseReason::Draining, CloseReason::RateLimited, CloseReason::BadFrame] {
            assert!(!reason.drops_queue(), "{reason:?}");
        }
    }

    #[test]
    fn reasons_fit_a_control_frame_and_have_codes_of_their_own() {
        let mut codes: Vec<u16> = CloseReason::ALL.iter().map(|reason| reason.code()).collect();
        codes.dedup();
        assert_eq!(codes.len(), CloseReason::ALL.len());
        // RFC 6455 5.5: a control frame carries at most 125 bytes, two of them the code.
        assert!(CloseReason::ALL.iter().all(|reason| reason.label().len() <= 123));
    }
}
