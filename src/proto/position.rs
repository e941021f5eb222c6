//! A position as people write it: `STREAM/EPOCH/SEQ`. No name of a stream has a
//! slash in it.

use std::{fmt, str::FromStr};

use crate::proto::generated::Position;

/// The limit of sequences in positions: from here on JSON parsers do not tell
/// one number from the next.
const SEQ_LIMIT: u64 = 1 << 53;

impl Position {
    /// Whether it can be one that a node has told.
    pub fn is_plausible(&self) -> bool {
        self.seq < SEQ_LIMIT
    }
}

/// A text that is not a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no position; write it as STREAM/EPOCH/SEQ")]
pub struct BadPosition;

impl FromStr for Position {
    type Err = BadPosition;

    fn from_str(text: &str) -> Result<Self, BadPosition> {
        let mut parts = text.split('/');
        let (Some(stream), Some(epoch), Some(seq), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(BadPosition);
        };
        let seq = seq.parse().map_err(|_| BadPosition)?;
        let position = Self { stream: stream.to_owned(), epoch: epoch.to_owned(), seq, ..Self::default() };
        if position.is_plausible() { Ok(position) } else { Err(BadPosition) }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.stream, self.epoch, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let position = Position { stream: "SHOP".into(), epoch: "17".into(), seq: 42, ..Position::default() };
        assert_eq!(position.to_string(), "SHOP/17/42");
        assert_eq!("SHOP/17/42".parse(), Ok(position));
        assert!("SHOP/17/9007199254740991".parse::<Position>().is_ok_and(|position| position.is_plausible()));
        for text in ["", "SHOP", "SHOP/17", "SHOP/17/x", "SHOP/17/42/1", "SHOP/17/9007199254740992"] {
            assert_eq!(text.parse::<Position>(), Err(BadPosition), "{text}");
        }
    }
}
