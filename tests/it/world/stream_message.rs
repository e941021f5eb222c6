//! The messages of an event stream, by the HTML Standard, however its bytes are cut. Free of I/O.

/// A whole message.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct StreamMessage {
    /// Where to go on, if the message tells it.
    pub id: Option<String>,
    /// The time after which an `EventSource` comes back, if the message tells it.
    pub retry: Option<u64>,
    pub name: String,
    /// The lines of its data, if it has any.
    pub data: Option<String>,
}

impl StreamMessage {
    /// Takes the next one out of what has come: one that is cut short counts for nothing.
    pub fn take(ahead: &mut Vec<u8>) -> Option<Self> {
        let end = ahead.windows(2).position(|bytes| bytes == b"\n\n")?;
        let text = String::from_utf8(ahead.drain(..end + 2).collect()).expect("UTF-8");
        let (mut message, mut data) = (Self::default(), Vec::new());
        for line in text.trim_end_matches('\n').split('\n') {
            let (field, value) = line.split_once(": ").unwrap_or((line, ""));
            match field {
                "id" => message.id = Some(value.to_owned()),
                "retry" => message.retry = Some(value.parse().expect("a number")),
                "event" => message.name = value.to_owned(),
                "data" => data.push(value),
                _ => panic!("no field of an event stream: {line:?}"),
            }
        }
        message.data = (!data.is_empty()).then(|| data.join("\n"));
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_whole_wherever_their_bytes_are_cut() {
        let text = "retry: 5\nid: v1.\ndata: {\"a\":1}\n\nevent: n\ndata: b\ndata: c\n\nid: v1.S~1~2\ndata: cut sh";
        let first = StreamMessage {
            id: Some("v1.".into()),
            retry: Some(5),
            data: Some("{\"a\":1}".into()),
            ..StreamMessage::default()
        };
        let second = StreamMessage { name: "n".into(), data: Some("b\nc".into()), ..StreamMessage::default() };
        for cut in 0..text.len() {
            let (mut ahead, mut messages) = (Vec::new(), Vec::new());
            for part in [&text[..cut], &text[cut..]] {
                ahead.extend_from_slice(part.as_bytes());
                messages.extend(std::iter::from_fn(|| StreamMessage::take(&mut ahead)));
            }
            assert!(messages.iter().eq([&first, &second]), "{cut}: {messages:?}");
        }
    }
}
