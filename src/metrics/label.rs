//! The labels of series, each a fixed list of values: whatever clients send, no
//! series is added by it.

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
    /// Why an event reached nobody, or not everybody.
    Drop = "reason" {
        /// They waited for a connection whose queue was full; the connection was closed.
        SlowConsumer = "slow_consumer",
        /// They waited for a connection that was not to have them any more: its token had expired or was revoked, or an operator ended it.
        Revoked = "revoked",
        /// The event is larger than `limits.event_bytes`.
        TooLarge = "too_large",
        /// Its subject is none that a client could ask for.
        BadSubject = "bad_subject",
        /// Its subject belongs to the messaging system; a leading wildcard matched it.
        ReservedSubject = "reserved_subject",
        /// It claims to be an envelope and is none.
        BadEnvelope = "bad_envelope",
        /// Events of its pattern came faster than they could be fanned out.
        BrokerOverflow = "broker_overflow",
    }
}

label! {
    /// What a stream is asked.
    StreamRequest = "kind" {
        /// Events from a sequence on.
        Sequential = "sequential",
        /// Events of one subject from a sequence on.
        Subject = "subject",
        /// The first event from a time on.
        Since = "since",
        /// The newest event of each subject.
        Newest = "newest",
        /// First and last sequence, and whether it is the same stream still.
        State = "state",
        /// Events from a sequence on, of its leader, where a copy does not get on.
        Leader = "leader",
        /// What was deleted, where a copy has nothing.
        Deleted = "deleted",
    }
}

label! {
    /// Why a connection did not get an event that it was to get.
    Undelivered = "reason" {
        /// It was closed, or was by this.
        Closed = "closed",
        /// Its queue was full; it was told of a gap.
        Overflow = "overflow",
        /// The stream had dropped the event before it was read; the client was told.
        Expired = "expired",
        /// A newer value of the same subject took its place.
        Conflated = "conflated",
        /// The subscription or the connection ended before.
        GivenUp = "given_up",
        /// A grant of its user denies the subject, and its pattern reaches beyond.
        Denied = "denied",
    }
}

label! {
    /// What became of a token that a client brought without reconnecting.
    Refresh = "outcome" {
        /// It holds from now on.
        Accepted = "accepted",
        /// It is another user's.
        OtherUser = "other_user",
        /// It does not hold.
        Refused = "refused",
    }
}

label! {
    /// What became of a message between nodes.
    Control = "what" {
        /// It was sent.
        Sent = "sent",
        /// It could not be sent; the broker was away.
        Unsent = "unsent",
        /// It was heard and done.
        Received = "received",
        /// It was heard and made no sense.
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
        /// No complete request head came within `limits.handshake_time`.
        HandshakeTime = "handshake_time",
        /// What came is no HTTP request head, or one larger than `limits.header_bytes`.
        BadHead = "bad_head",
        /// The TLS handshake failed, or the client spoke no TLS.
        Tls = "tls",
        /// The TLS handshake took longer than `limits.handshake_time`.
        TlsTimeout = "tls_timeout",
        /// Any other error of `accept`.
        Other = "other",
    }
}

label! {
    /// Why the internal listener turned somebody away.
    InternalRefusal = "reason" {
        /// As many connections are open as may be, of all or of the address, or they come too fast.
        Connections = "connections",
        /// The address asks faster than it may.
        Requests = "requests",
        /// Without the token or certificate that is asked for, from a page, or by a name that is none of the listener's.
        Denied = "denied",
        /// The answer was not taken in time.
        AnswerTime = "answer_time",
    }
}

label! {
    /// Why a token was refused.
    TokenRefusal = "reason" {
        /// There was none.
        Missing = "missing",
        /// Longer than `auth.token_bytes`.
        TooLarge = "too_large",
        /// No signed JWT, or an encrypted or nested one.
        Malformed = "malformed",
        /// Signed in a way that is not configured for its issuer or not meant for its key; `none`, too.
        Algorithm = "algorithm",
        /// It demands that something be understood (`crit`).
        Critical = "critical",
        /// Its `typ` is neither JWT nor at+jwt.
        Type = "type",
        /// Its `iss` is not configured.
        Issuer = "issuer",
        /// Its `aud` does not name this service.
        Audience = "audience",
        /// Its `exp` is over.
        Expired = "expired",
        /// Its `nbf` is still to come.
        NotYetValid = "not_yet_valid",
        /// Its `iat` is still to come.
        IssuedInFuture = "issued_in_future",
        /// A claim is missing, or is not as it has to be.
        Claim = "claim",
        /// Its issuer has no key of that name.
        UnknownKey = "unknown_key",
        /// The signature is wrong.
        Signature = "signature",
        /// It was revoked.
        Revoked = "revoked",
        /// The issuer's keys could not be read.
        KeysUnavailable = "keys_unavailable",
    }
}

label! {
    /// How a fetch of keys ended.
    JwksFetch = "result" {
        /// The keys are here.
        Fetched = "fetched",
        /// There was no answer, or another than 200.
        Failed = "failed",
        /// The answer is no set of keys, or holds none that can be used.
        Unusable = "unusable",
    }
}

label! {
    /// Whom a listener is for.
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
        /// It is for encryption.
        Use = "use",
        /// No configured algorithm works with it.
        Kind = "kind",
        /// RSA with less than 2048 bits.
        Weak = "weak",
        /// It cannot be read.
        Broken = "broken",
        /// Another one has the same name.
        Duplicate = "duplicate",
    }
}

label! {
    /// What became of changed certificate files.
    Reload = "result" {
        /// New handshakes use them.
        Taken = "taken",
        /// They do not hold; those before are kept.
        Refused = "refused",
    }
}

label! {
    /// What a broker connection reports.
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
        /// A message came with a header block that cannot be read; its event was delivered without headers.
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
