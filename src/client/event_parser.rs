//! The messages of an event stream (HTML Standard, section 9.2.6), out of bytes in
//! whatever pieces they come. Free of I/O.

use std::mem;

/// Largest message taken from a node, bytes: a replay can be large.
const MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// Reads an event stream. A message counts once its empty line has come, and so does its `id`.
#[derive(Debug, Default)]
pub(crate) struct EventParser {
    /// The line that is coming.
    line: Vec<u8>,
    /// The lines of data of the message that is coming, each with its line feed.
    data: Vec<u8>,
    /// The `id` of the message that is coming.
    id: Option<String>,
    /// The `id` to resume from.
    last_id: String,
    retry_ms: Option<u64>,
}

/// A message that is larger than any that a node sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message has more than {MESSAGE_BYTES} bytes")]
pub(crate) struct MessageTooLong;

impl EventParser {
    /// A reader that has everything up to this `id`.
    #[must_use]
    pub(crate) fn after(last_id: String) -> Self {
        Self { last_id, ..Self::default() }
    }

    /// The `id` of the last whole message that had one.
    #[must_use]
    pub(crate) fn last_id(&self) -> &str {
        &self.last_id
    }

    /// The time after which the reader is to come back, milliseconds, once it has been told.
    #[must_use]
    pub(crate) fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    /// Takes bytes; the data of each message that they complete goes to `message`.
    ///
    /// # Errors
    /// [`MessageTooLong`].
    pub(crate) fn push(&mut self, bytes: &[u8], mut message: impl FnMut(&[u8])) -> Result<(), MessageTooLong> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.len() + self.data.len() > MESSAGE_BYTES {
                return Err(MessageTooLong);
            }
            if part.ends_with(b"\n") {
                let line = mem::take(&mut self.line);
                self.take(line.trim_ascii_end(), &mut message);
            }
        }
        Ok(())
    }

    fn take(&mut self, line: &[u8], message: &mut impl FnMut(&[u8])) {
        if line.is_empty() {
            self.last_id = self.id.take().unwrap_or_else(|| mem::take(&mut self.last_id));
            if let [data @ .., b'\n'] = &*mem::take(&mut self.data) {
                message(data);
            }
            return;
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let text = || String::from_utf8_lossy(value).into_owned();
        match &line[..colon] {
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"id" => self.id = Some(text()),
            b"retry" => self.retry_ms = text().parse().ok().or(self.retry_ms),
            // Comments, and names, which frames have none of.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &str = "retry: 1500\nid: v1.\n\n: a comment\nid: v1.S~1~1\ndata: {\"a\":1}\ndata:{\"b\":2}\n\n\
                          event: named\r\ndata: c\r\n\r\ndata: cut\nid: v1.S~1~2\n";

    proptest! {
        #[test]
        fn messages_are_the_same_in_whatever_pieces_they_come(cuts in proptest::collection::vec(1..20_usize, 1..20)) {
            let (mut parser, mut messages) = (EventParser::after("v1.S~1~0".into()), Vec::new());
            let (mut rest, mut cuts) = (STREAM.as_bytes(), cuts.into_iter().cycle());
            while !rest.is_empty() {
                let (part, more) = rest.split_at(cuts.next().unwrap_or(1).min(rest.len()));
                let pushed = parser.push(part, |data| messages.push(String::from_utf8_lossy(data).into_owned()));
                prop_assert_eq!(pushed, Ok(()));
                rest = more;
            }
            prop_assert_eq!(messages, ["{\"a\":1}\n{\"b\":2}", "c"]);
            // That of a message that was cut off counts for nothing.
            prop_assert_eq!((parser.last_id(), parser.retry_ms()), ("v1.S~1~1", Some(1_500)));
        }
    }
}
