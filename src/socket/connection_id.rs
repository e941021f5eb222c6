//! The name of a connection: in `welcome`, in the headers that services see, and in
//! commands of operators. The name is public and proves nothing.

use std::{
    fmt,
    str::FromStr,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// The first number of this process, random among 2^64, so that two processes of a
/// cluster never give out the same one.
static FIRST: LazyLock<u64> = LazyLock::new(|| fastrand::u64(..));

/// Connections of this process so far.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// The name of one connection, unique over all nodes: 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId(u64);

impl ConnectionId {
    /// A hash in which connections that follow each other are far apart.
    pub(crate) fn hash(self) -> u64 {
        // Fibonacci hashing: 2^64 by the golden ratio.
        self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
    }
}

/// The text names no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a connection is named by 16 hexadecimal digits, as `welcome.connection` tells them")]
pub struct NoConnectionId;

/// The part of its name that a connection keeps: the wire has room for four bytes.
#[derive(Debug)]
pub(crate) struct Number(u32);

impl Number {
    /// The next one of this process.
    pub(crate) fn next() -> Self {
        Self(COUNT.fetch_add(1, Ordering::Relaxed))
    }

    /// The whole name.
    pub(crate) fn id(&self) -> ConnectionId {
        ConnectionId(FIRST.wrapping_add(self.0.into()))
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for ConnectionId {
    type Err = NoConnectionId;

    fn from_str(text: &str) -> Result<Self, NoConnectionId> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = digits.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        number.map(Self).ok_or(NoConnectionId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_and_nothing_else_is_one() {
        for id in [ConnectionId(0), ConnectionId(u64::MAX), Number::next().id()] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for text in ["", "1", "+000000000000001", "00000000000000001", "000000000000000g", "00000000000000\u{e9}"] {
            assert_eq!(text.parse::<ConnectionId>(), Err(NoConnectionId), "{text:?}");
        }
    }
}
