//! A position as people write it: `STREAM/EPOCH/SEQ`. No name of a stream has a
//! slash in it.

use std::{fmt, str::FromStr};

use crate::proto::generated::Position;

/// A text that is no position.
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
        Ok(Self { stream: stream.to_owned(), epoch: epoch.to_owned(), seq })
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
        let position = Position { stream: "SHOP".into(), epoch: "17".into(), seq: 42 };
        assert_eq!(position.to_string(), "SHOP/17/42");
        assert_eq!("SHOP/17/42".parse(), Ok(position));
        for text in ["", "SHOP", "SHOP/17", "SHOP/17/x", "SHOP/17/42/1"] {
            assert_eq!(text.parse::<Position>(), Err(BadPosition), "{text}");
        }
    }
}
