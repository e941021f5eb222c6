//! The messages of an event stream, by the HTML Standard, however its bytes are cut.
//! Free of I/O.

/// What has come of an event stream and is no whole message yet.
#[derive(Debug, Default)]
pub struct EventStreamReader {
    ahead: Vec<u8>,
}

/// A whole message.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct StreamMessage {
    /// Where to go on, if the message tells it.
    pub id: Option<String>,
    /// The lines of its data.
    pub data: String,
}

impl EventStreamReader {
    pub fn take(&mut self, bytes: &[u8]) {
        self.ahead.extend_from_slice(bytes);
    }

    /// The next message: one that is cut short counts for nothing.
    pub fn next(&mut self) -> Option<StreamMessage> {
        let end = self.ahead.windows(2).position(|bytes| bytes == b"\n\n")?;
        let text = String::from_utf8(self.ahead.drain(..end + 2).collect()).expect("UTF-8");
        let (mut message, mut data) = (StreamMessage::default(), Vec::new());
        for line in text.trim_end_matches('\n').split('\n') {
            match line.split_once(": ") {
                Some(("id", id)) => message.id = Some(id.to_owned()),
                Some(("data", line)) => data.push(line),
                Some(("retry", _)) => {}
                _ => panic!("no field of an event stream: {line:?}"),
            }
        }
        message.data = data.join("\n");
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_whole_wherever_their_bytes_are_cut() {
        let text = "retry: 5\nid: v1.\ndata: {\"a\":1}\n\ndata: b\ndata: c\n\nid: v1.S~1~2\ndata: cut sh";
        let message = |id: Option<&str>, data: &str| StreamMessage { id: id.map(String::from), data: data.into() };
        for cut in 0..text.len() {
            let (mut reader, mut messages) = (EventStreamReader::default(), Vec::new());
            for part in [&text[..cut], &text[cut..]] {
                reader.take(part.as_bytes());
                messages.extend(std::iter::from_fn(|| reader.next()));
            }
            assert_eq!(messages, [message(Some("v1."), "{\"a\":1}"), message(None, "b\nc")], "{cut}");
        }
    }
}
