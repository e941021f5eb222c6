//! An event stream for readers that want events and nothing else: each event is a
//! message without a name, which is what `onmessage` of an `EventSource` is called
//! for. Each other frame is a message with the name of its body, and with the body
//! alone as its data. A body of the framing is whole messages but for the empty line
//! that ends the last one.

use std::sync::Arc;

use crate::{
    codec::{cloud_event, event_format::EventFormat, json},
    encoded_message::EncodedMessage,
    event::{BatchMark, Message, batch_parts::shown},
    framing::Framing,
    proto::{ServerFrame, StreamCursor},
};

/// The framing of these messages.
const FRAMING: Framing = Framing::EventMessages;

/// The beginning of an `id` line, with the version of cursors.
const ID: &[u8] = b"id: v1.";

/// Events, each behind the `id` that says that its reader has it: `id` writes it for the event of a sequence, and for
/// the last one where none is given. So a stream that is cut off anywhere is resumed behind the last whole message, or
/// before the atomic batch that was cut: only the last event of one has an `id`.
pub(crate) fn events(
    format: EventFormat,
    messages: &[Arc<Message>],
    in_batches: bool,
    id: impl Fn(Option<u64>, &mut Vec<u8>),
) -> EncodedMessage {
    let mark = |at| if in_batches { shown(messages, at) } else { None };
    if let [message] = messages {
        let fill = |out: &mut Vec<u8>| write(format, message, mark(0), out);
        return EncodedMessage::data_led(FRAMING, |out| id(None, out), fill).carrying(1);
    }
    let fill = |out: &mut Vec<u8>| {
        for (at, message) in messages.iter().enumerate() {
            if at > 0 {
                out.push(b'\n');
            }
            match messages.get(at + 1) {
                None => id(None, out),
                Some(next) if in_batches && message.goes_on(next) => {}
                Some(_) => id(Some(message.seq()), out),
            }
            write(format, message, mark(at), out);
        }
    };
    EncodedMessage::data(FRAMING, fill).carrying(messages.len())
}

/// Frames without events, the last of them behind an `id`.
pub(crate) fn frames(frames: &[ServerFrame], id: impl FnOnce(&mut Vec<u8>)) -> EncodedMessage {
    match frames {
        [] => EncodedMessage::data_led(FRAMING, id, |_| {}),
        [frame] => EncodedMessage::data_led(FRAMING, id, |out| write_named(frame, out)),
        [before @ .., last] => EncodedMessage::data(FRAMING, |out| {
            for frame in before {
                write_named(frame, out);
                out.push(b'\n');
            }
            id(out);
            write_named(last, out);
        }),
    }
}

/// The same message for a reader that follows further streams: each `id` names its positions there too. Without them
/// the message has no `id`, and one that holds comes later.
pub fn with_positions(message: &EncodedMessage, others: Option<&StreamCursor>) -> EncodedMessage {
    let body = message.body();
    EncodedMessage::data(FRAMING, |out| {
        for line in body.split_inclusive(|byte| *byte == b'\n') {
            match (line.strip_prefix(ID), others) {
                (Some(_), None) => {}
                (Some(own), Some(others)) if !others.0.is_empty() => {
                    out.extend_from_slice(format!("id: {others},").as_bytes());
                    out.extend_from_slice(own);
                }
                _ => out.extend_from_slice(line),
            }
        }
    })
    .carrying(message.events() as usize)
}

/// Appends a frame with its name.
pub(crate) fn write_named(frame: &ServerFrame, out: &mut Vec<u8>) {
    if let Some((name, body)) = frame.body_in_json() {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        out.extend_from_slice(&body);
        out.push(b'\n');
    }
}

fn write(format: EventFormat, message: &Message, batch: Option<(&BatchMark, bool)>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    match format {
        EventFormat::CloudEvents => cloud_event::write(message, batch, out),
        EventFormat::Frames | EventFormat::Event => json::write_event_object(message, batch, out),
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::Place,
        proto::{Envelope, Gap, Ping, server_frame::Body},
        subject::Subject,
    };

    fn stored(seq: u64) -> Arc<Message> {
        let envelope = Envelope { id: format!("m{seq}"), time: 5, data: seq.to_string().into(), ..Envelope::default() };
        let place = Some(Place { stream: "S".into(), seq });
        Arc::new(Message { place, ..Message::new(Subject::parse("a.b").expect("a subject"), envelope) })
    }

    fn text(message: &EncodedMessage) -> String {
        String::from_utf8(message.as_bytes().to_vec()).expect("text")
    }

    fn id(upto: Option<u64>, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("id: v1.S~1~{}\n", upto.unwrap_or(9)).as_bytes());
    }

    #[test]
    fn each_event_is_a_message_behind_its_own_id() {
        let event = |seq: u64| {
            let fields = format!("\"stream\":\"S\",\"seq\":{seq},\"id\":\"m{seq}\",\"time\":5,\"data\":{seq}");
            format!("data: {{\"subject\":\"a.b\",{fields}}}\n\n")
        };
        let one = events(EventFormat::Event, &[stored(7)], true, id);
        assert_eq!(text(&one), format!("id: v1.S~1~9\n{}", event(7)));
        assert_eq!((text(&one.with_lead(b"id: v1.\n")), one.events()), (format!("id: v1.\n{}", event(7)), 1));
        let three = events(EventFormat::Event, &[stored(4), stored(7), stored(8)], true, id);
        let expected = format!("id: v1.S~1~4\n{}id: v1.S~1~7\n{}id: v1.S~1~9\n{}", event(4), event(7), event(8));
        assert_eq!((text(&three), three.events()), (expected, 3));
    }

    #[test]
    fn of_an_atomic_batch_only_the_last_event_has_an_id() {
        let marked = |seq, index, commits| {
            let mark = BatchMark { id: "b".into(), index, commits, parted: false };
            Arc::new(Message { batch: Some(Box::new(mark)), ..Message::clone(&stored(seq)) })
        };
        let batch = [stored(3), marked(4, 1, false), marked(5, 2, true), stored(6)];
        let told = text(&events(EventFormat::Event, &batch, true, id));
        let ids: Vec<_> =
            told.split("\n\n").map(|message| message.lines().find(|line| line.starts_with("id"))).collect();
        let expected = [Some("id: v1.S~1~3"), None, Some("id: v1.S~1~5"), Some("id: v1.S~1~9"), None];
        assert_eq!(ids, expected, "{told}");
        assert!(told.contains(r#""batch":{"id":"b","index":2,"last":true}"#), "{told}");
        let told = text(&events(EventFormat::CloudEvents, &batch, true, id));
        assert!(told.contains(r#""notifierbatch":"b","notifierbatchindex":"2","notifierbatchlast":true"#), "{told}");
        assert!(!text(&events(EventFormat::Event, &batch, false, id)).contains("batch"), "a state");
    }

    #[test]
    fn a_reader_of_further_streams_has_its_positions_in_each_id() {
        let shared = events(EventFormat::Event, &[stored(4), stored(7)], true, id);
        let others: StreamCursor = "v1.P~2~5,Q~3~6".parse().expect("a cursor");
        let own = with_positions(&shared, Some(&others));
        let expected = text(&shared).replace("id: v1.", "id: v1.P~2~5,Q~3~6,");
        assert_eq!((text(&own), own.events()), (expected, 2));
        let none = with_positions(&shared, None);
        assert_eq!(text(&none).matches("id: ").count(), 0);
        assert_eq!(text(&none).matches("\n\n").count(), 2);
    }

    #[test]
    fn other_frames_are_named_and_the_last_has_the_id() {
        let gap = Body::Gap(Gap { subject: "a".into(), reason: "expired".into(), ..Gap::default() });
        let gap = ServerFrame { reply_to: 7, body: Some(gap) };
        let ping = Body::Ping(Ping { broker: "ok".into(), ..Ping::default() });
        let ping = ServerFrame { reply_to: 0, body: Some(ping) };
        let named = "event: gap\ndata: {\"subject\":\"a\",\"reason\":\"expired\"}\n\n";
        let all = frames(&[gap.clone(), ping], |out| id(None, out));
        assert_eq!(text(&all), format!("{named}id: v1.S~1~9\nevent: ping\ndata: {{\"broker\":\"ok\"}}\n\n"));
        let one = frames(&[gap], |out| id(None, out));
        assert_eq!(text(&one), format!("id: v1.S~1~9\n{named}"));
        assert_eq!(text(&one.with_lead(b"")), named);
    }
}
