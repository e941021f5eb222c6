//! The cursor of an event stream as one text: `v1.` and a position per stream,
//! `STREAM~EPOCH~SEQ`, between commas. Clients do not look into it. The text is no
//! capability: grants are checked whenever a client resumes.

use std::{fmt, str::FromStr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::proto::generated::Position;

/// The version, in front of all positions.
const VERSION: &str = "v1.";

/// Bytes of the longest text that is read: 64 streams with names of 100 bytes.
const TEXT_BYTES: usize = 8 * 1024;

/// Characters of names that stand for themselves, in a URL too.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// The positions of an event stream, at most one per stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamCursor(pub Vec<Position>);

/// A text that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no cursor; send the last `id` of an event stream, or the last `cursor` of a poll, as it came")]
pub struct BadCursor;

impl FromStr for StreamCursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let listed = text.strip_prefix(VERSION).filter(|_| text.len() <= TEXT_BYTES).ok_or(BadCursor)?;
        let mut positions: Vec<Position> = Vec::new();
        for part in listed.split(',').filter(|_| !listed.is_empty()) {
            let position = position(part).ok_or(BadCursor)?;
            if positions.iter().any(|other| other.stream == position.stream) {
                return Err(BadCursor);
            }
            positions.push(position);
        }
        Ok(Self(positions))
    }
}

fn position(text: &str) -> Option<Position> {
    let mut parts = text.split('~');
    let (stream, epoch, seq) = (parts.next()?, parts.next()?, parts.next()?);
    let plain = |text: &str| percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned());
    let (stream, epoch) = (plain(stream)?, plain(epoch)?);
    // A parser of numbers takes a sign too.
    let digits = !seq.is_empty() && seq.bytes().all(|byte| byte.is_ascii_digit());
    let seq = seq.parse().ok().filter(|_| digits && parts.next().is_none())?;
    Some(Position { stream, epoch, seq, ..Position::default() })
        .filter(|position| !position.stream.is_empty() && position.is_plausible())
}

impl fmt::Display for StreamCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(VERSION)?;
        for (index, Position { stream, epoch, seq, .. }) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let [stream, epoch] = [stream, epoch].map(|text| utf8_percent_encode(text, ESCAPED));
            write!(f, "{comma}{stream}~{epoch}~{seq}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn position(stream: &str, epoch: &str, seq: u64) -> Position {
        Position { stream: stream.into(), epoch: epoch.into(), seq, ..Position::default() }
    }

    #[test]
    fn a_cursor_names_each_stream_once() {
        let cursor = StreamCursor(vec![position("SHOP", "17", 42), position("A~B,%", "1", 0)]);
        assert_eq!(cursor.to_string(), "v1.SHOP~17~42,A%7EB%2C%25~1~0");
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        assert_eq!("v1.".parse(), Ok(StreamCursor::default()));
        for text in ["", "v1", "v2.", "v1.SHOP", "v1.SHOP~1", "v1.SHOP~1~x", "v1.SHOP~1~+1", "v1.SHOP~1~1~1", "v1.~1~1"]
        {
            assert_eq!(text.parse::<StreamCursor>(), Err(BadCursor), "{text}");
        }
        for text in ["v1.S~1~1,", "v1.S~1~1,S~1~2", "v1.S~1~9007199254740992", "v1.%ff~1~1", "v1.S~1~1 "] {
            assert_eq!(text.parse::<StreamCursor>(), Err(BadCursor), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_cursor_is_one_line_for_a_url_and_comes_back(
            positions in vec((".{1,20}", ".{0,20}", 0..1_u64 << 53), 0..5),
        ) {
            let mut cursor = StreamCursor::default();
            for (stream, epoch, seq) in positions {
                if cursor.0.iter().all(|other| other.stream != stream) {
                    cursor.0.push(position(&stream, &epoch, seq));
                }
            }
            let text = cursor.to_string();
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && !b"&=#+?\"".contains(&byte)), "{}", text);
            prop_assert_eq!(text.parse(), Ok(cursor));
        }

        #[test]
        fn no_text_is_read_as_a_cursor_that_would_be_written_otherwise_and_differ(text in "v1\\.[A-Z0-9~,%.]{0,40}") {
            if let Ok(cursor) = text.parse::<StreamCursor>() {
                prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
            }
        }
    }
}
