//! The end of a value: of a `latest` subject whose newest event says that there is none
//! any more. Servers and clients of key-value buckets say so in headers.

/// Why a server has ended a subject's events.
const MARKER: &str = "Nats-Marker-Reason";

/// The operation that a client of a key-value bucket has done instead of writing a value.
pub const OPERATION: &str = "KV-Operation";

/// Why a value is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Its time is over.
    Expired,
    /// It was deleted.
    Deleted,
    /// It was purged, with all that was before it.
    Purged,
}

impl Gone {
    /// What the headers of an event say, of which the last value of a name counts.
    pub fn of(headers: &[(&str, &str)]) -> Option<Self> {
        headers.iter().rev().find_map(|(name, value)| match (*name, *value) {
            (MARKER, "MaxAge") => Some(Self::Expired),
            (MARKER, "Purge") | (OPERATION, "PURGE") => Some(Self::Purged),
            // A reason of later servers ends the value too.
            (MARKER, _) | (OPERATION, "DEL") => Some(Self::Deleted),
            _ => None,
        })
    }

    /// Its name in events.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Deleted => "deleted",
            Self::Purged => "purged",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_servers_and_of_buckets_say_why_a_value_is_gone() {
        type Row = (&'static [(&'static str, &'static str)], Option<&'static str>);
        let rows: [Row; 9] = [
            (&[("Nats-Marker-Reason", "MaxAge"), ("Nats-Rollup", "sub")], Some("expired")),
            (&[("Nats-Marker-Reason", "Remove")], Some("deleted")),
            (&[("Nats-Marker-Reason", "Purge")], Some("purged")),
            (&[("Nats-Marker-Reason", "Later")], Some("deleted")),
            (&[("KV-Operation", "DEL")], Some("deleted")),
            (&[("KV-Operation", "PURGE"), ("Nats-Rollup", "sub")], Some("purged")),
            (&[("KV-Operation", "PUT")], None),
            (&[("Nats-Rollup", "sub")], None),
            (&[], None),
        ];
        for (headers, expected) in rows {
            assert_eq!(Gone::of(headers).map(Gone::label), expected, "{headers:?}");
        }
    }
}
