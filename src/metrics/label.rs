//! The labels of series, each a fixed list of values: input of clients never
//! adds a series.

use std::marker::PhantomData;

use crate::{close::CloseReason, error::Code};

/// A fixed list of label values.
pub trait Label: Copy + 'static {
    /// The label's name.
    const NAME: &'static str;
    /// Every value; `index` is the place in this list.
    const ALL: &'static [Self];
    /// The place of this value in `ALL`.
    fn index(self) -> usize;
    /// The value as text.
    fn value(self) -> &'static str;
}

/// One handle for each value of a label.
pub struct By<L, H> {
    handles: Vec<H>,
    label: PhantomData<fn(L)>,
}

impl<L: Label, H> By<L, H> {
    pub(crate) fn new(handle: impl Fn(&'static str, &'static str) -> H) -> Self {
        let handles = L::ALL.iter().map(|label| handle(L::NAME, label.value())).collect();
        Self { handles, label: PhantomData }
    }

    /// The handle of one label value.
    pub fn of(&self, label: L) -> &H {
        &self.handles[label.index()]
    }
}

macro_rules! label {
    ($(#[doc = $doc:literal])+ $type:ident = $name:literal { $($(#[doc = $value_doc:literal])+ $value:ident = $text:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type { $($(#[doc = $value_doc])+ $value,)+ }

        impl Label for $type {
            const NAME: &'static str = $name;
            const ALL: &'static [Self] = &[$(Self::$value,)+];
            fn index(self) -> usize { self as usize }
            fn value(self) -> &'static str { match self { $(Self::$value => $text,)+ } }
        }
    };
}

label! {
    /// How events reach a client.
    Transport = "transport" {
        /// A WebSocket.
        WebSocket = "websocket",
        /// An event stream, `/v1/events`.
        Events = "events",
        /// A long poll, `/v1/poll`.
        Poll = "poll",
    }
}

label! {
    /// Why an event did not reach all clients that it was for.
    Drop = "reason" {
        /// The events waited for a connection whose queue was full; the connection was closed.
        SlowConsumer = "slow_consumer",
        /// The events waited for a connection that may not have them any more: its token expired or was revoked, or an operator ended it.
        Revoked = "revoked",
        /// The event is larger than `limits.event_bytes`.
        TooLarge = "too_large",
        /// No client could subscribe to its subject.
        BadSubject = "bad_subject",
        /// The subject belongs to the messaging system; a leading wildcard matched it.
        ReservedSubject = "reserved_subject",
        /// The event is marked as an envelope and cannot be decoded as one.
        BadEnvelope = "bad_envelope",
        /// The event is marked as a CloudEvent in structured mode and cannot be read as one.
        BadCloudEvent = "bad_cloud_event",
        /// Events of the pattern arrived faster than they could be fanned out.
        BrokerOverflow = "broker_overflow",
    }
}

label! {
    /// Requests to a stream.
    StreamRequest = "kind" {
        /// Events from a sequence on.
        Sequential = "sequential",
        /// Events of one subject from a sequence on.
        Subject = "subject",
        /// The first event from a time on.
        Since = "since",
        /// The newest event of each subject.
        Newest = "newest",
        /// First and last sequence, and whether it is still the same stream.
        State = "state",
        /// Events from a sequence on, read from the leader because a copy does not advance.
        Leader = "leader",
        /// Deleted sequences, if a copy has no answer.
        Deleted = "deleted",
    }
}

label! {
    /// Why a connection did not get an event that was due to it.
    Undelivered = "reason" {
        /// The connection was closed, before or by this delivery.
        Closed = "closed",
        /// The queue of the connection was full; the client got a `gap`.
        Overflow = "overflow",
        /// The stream dropped the event before it was read; the client was told.
        Expired = "expired",
        /// A newer value of the same subject took its place.
        Conflated = "conflated",
        /// The subscription or the connection ended first.
        GivenUp = "given_up",
        /// A grant denies the user the subject, which a wider pattern matched.
        Denied = "denied",
    }
}

label! {
    /// Outcome of a token that a client brought without reconnecting.
    Refresh = "outcome" {
        /// The token is valid and in use.
        Accepted = "accepted",
        /// The token belongs to another user.
        OtherUser = "other_user",
        /// The token is invalid.
        Refused = "refused",
    }
}

label! {
    /// Outcome of a message between nodes.
    Control = "what" {
        /// Sent.
        Sent = "sent",
        /// Not sent, because the broker was away.
        Unsent = "unsent",
        /// Received and carried out.
        Received = "received",
        /// Received, but malformed.
        Refused = "refused",
    }
}

label! {
    /// Why a TCP connection never became a request.
    AcceptFailure = "reason" {
        /// `limits.connections` is reached.
        ConnectionLimit = "connection_limit",
        /// `limits.connections_per_second` is reached.
        ConnectionRate = "connection_rate",
        /// `limits.address_connections` is reached.
        AddressLimit = "address_limit",
        /// `limits.address_connections_per_second` is reached.
        AddressRate = "address_rate",
        /// The process has no file descriptor left.
        Descriptors = "descriptors",
        /// No complete request head arrived within `limits.handshake_time`.
        HandshakeTime = "handshake_time",
        /// The data is not an HTTP request head, or the head is larger than `limits.header_bytes`.
        BadHead = "bad_head",
        /// The TLS handshake failed, or the client did not speak TLS.
        Tls = "tls",
        /// The TLS handshake took longer than `limits.handshake_time`.
        TlsTimeout = "tls_timeout",
        /// Any other error of `accept`.
        Other = "other",
    }
}

label! {
    /// Why the internal listener refused a connection or request.
    InternalRefusal = "reason" {
        /// Too many open connections, in all or from the address, or too many new ones.
        Connections = "connections",
        /// Too many requests from the address.
        Requests = "requests",
        /// Without the required token or certificate, from a page, or under a foreign name.
        Denied = "denied",
        /// The client did not read its answer in time.
        AnswerTime = "answer_time",
    }
}

label! {
    /// Why a token was refused.
    TokenRefusal = "reason" {
        /// No token was sent.
        Missing = "missing",
        /// Longer than `auth.token_bytes`.
        TooLarge = "too_large",
        /// Not a signed JWT, or an encrypted or nested one.
        Malformed = "malformed",
        /// The algorithm is not configured for the issuer or does not fit the key; includes `none`.
        Algorithm = "algorithm",
        /// The token has critical extensions (`crit`).
        Critical = "critical",
        /// `typ` is neither JWT nor at+jwt.
        Type = "type",
        /// `iss` is not configured.
        Issuer = "issuer",
        /// `aud` does not name this service.
        Audience = "audience",
        /// `exp` is in the past.
        Expired = "expired",
        /// `nbf` is in the future.
        NotYetValid = "not_yet_valid",
        /// `iat` is in the future.
        IssuedInFuture = "issued_in_future",
        /// A claim is missing or invalid.
        Claim = "claim",
        /// The issuer has no key of that name.
        UnknownKey = "unknown_key",
        /// The signature is wrong.
        Signature = "signature",
        /// The token was revoked.
        Revoked = "revoked",
        /// The issuer's keys could not be read.
        KeysUnavailable = "keys_unavailable",
    }
}

label! {
    /// Result of a fetch of keys.
    JwksFetch = "result" {
        /// The keys were read.
        Fetched = "fetched",
        /// No answer, or a status other than 200.
        Failed = "failed",
        /// The answer is not a set of keys, or no key in it can be used.
        Unusable = "unusable",
    }
}

label! {
    /// The listeners of a node.
    Listener = "listener" {
        /// `server.listen`.
        Clients = "clients",
        /// `server.internal_listen`.
        Internal = "internal",
    }
}

label! {
    /// Why a published key is not used.
    PassedOver = "reason" {
        /// The key is for encryption.
        Use = "use",
        /// No configured algorithm works with the key.
        Kind = "kind",
        /// RSA with fewer than 2048 bits.
        Weak = "weak",
        /// The key cannot be read.
        Broken = "broken",
        /// Another key has the same name.
        Duplicate = "duplicate",
    }
}

label! {
    /// Outcome of changed certificate files.
    Reload = "result" {
        /// New handshakes use them.
        Taken = "taken",
        /// The files are invalid; the previous ones stay in use.
        Refused = "refused",
    }
}

label! {
    /// Events of a broker connection.
    BrokerEvent = "event" {
        /// A connection was made.
        Connected = "connected",
        /// The connection was lost.
        Disconnected = "disconnected",
        /// The server announced that it is leaving.
        LameDuck = "lame_duck",
        /// This node read too slowly; events may be lost.
        SlowConsumer = "slow_consumer",
        /// The server reported an error, for example a missing permission.
        ServerError = "server_error",
        /// An error on this side, for example a failed attempt to connect.
        ClientError = "client_error",
        /// A message had a header block that cannot be read; its event was delivered without headers.
        BadHeaders = "bad_headers",
    }
}

impl Label for CloseReason {
    const NAME: &'static str = "reason";
    const ALL: &'static [Self] = CloseReason::ALL;
    fn index(self) -> usize {
        self as usize
    }
    fn value(self) -> &'static str {
        self.label()
    }
}

impl Label for Code {
    const NAME: &'static str = "code";
    const ALL: &'static [Self] = Code::ALL;
    fn index(self) -> usize {
        self as usize
    }
    fn value(self) -> &'static str {
        self.label()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_of_a_label_is_its_place_in_the_list() {
        fn check<L: Label>() {
            for (place, label) in L::ALL.iter().enumerate() {
                assert_eq!(label.index(), place, "{}", label.value());
            }
        }
        check::<CloseReason>();
        check::<Code>();
        check::<Transport>();
        check::<Drop>();
        check::<AcceptFailure>();
        check::<InternalRefusal>();
        check::<Listener>();
        check::<Reload>();
        check::<BrokerEvent>();
        check::<StreamRequest>();
        check::<Undelivered>();
        check::<TokenRefusal>();
        check::<JwksFetch>();
        check::<PassedOver>();
        check::<Refresh>();
        check::<Control>();
    }
}
