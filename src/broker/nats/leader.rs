//! Reading from a stream's leader, one event at a time: slow, and right where a
//! copy does not get on. The answers are the server's own, so no publisher can
//! break the connection that they come in on.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::{
    broker::{
        nats::{
            jetstream::{JetStream, StoredMessage, next},
            reading::{MessageRouter, Raw, ReadTime, StoredAt},
        },
        stored::{Page, Stored},
        stream_error::StreamError,
    },
    classes::StreamIndex,
    event::headers,
};

/// Events in one page: about 20 ms of questions.
const PAGE: usize = 64;

/// Reads one page of what the leader has from a sequence on.
pub(crate) async fn read(
    jetstream: &JetStream,
    message_router: &MessageRouter,
    name: &str,
    index: StreamIndex,
    from: u64,
) -> Result<Page, StreamError> {
    let mut page = Page::default();
    let mut seq = from;
    while page.events.len() < PAGE {
        let Some(kept) = next(jetstream, name, seq).await? else { return Ok(page) };
        seq = kept.seq + 1;
        page.through = kept.seq;
        page.events.push(stored(message_router, &kept, index));
    }
    page.more = true;
    Ok(page)
}

fn stored(message_router: &MessageRouter, kept: &StoredMessage, index: StreamIndex) -> Stored {
    let read_time = ReadTime::now();
    let unix_millis = headers::unix_millis(&kept.time).unwrap_or_default();
    let at = StoredAt { index, seq: kept.seq, unix_millis };
    let decoded = |text: &str| BASE64_STANDARD.decode(text).unwrap_or_default();
    let (block, payload) = (decoded(&kept.hdrs), decoded(&kept.data));
    let block = (!block.is_empty()).then_some(&block[..]);
    message_router.kept(
        &Raw { sid: 0, subject: kept.subject.as_bytes(), headers: block, payload: &payload },
        at,
        read_time,
    )
}
