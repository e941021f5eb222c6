//! The header block of what this node publishes by a connection of its own (ADR-4).

use crate::{event::headers, proto::Envelope};

/// The header block of an event, with `more` behind the event's own headers.
/// Neither values of clients nor those that a node adds hold the end of a line.
pub(crate) fn block(envelope: &Envelope, more: &[(&str, &str)]) -> String {
    let mut block = String::from("NATS/1.0\r\n");
    let written = headers::written(envelope);
    let written = written.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in written.chain(more.iter().copied()) {
        block.extend([name, ": ", value, "\r\n"]);
    }
    block.push_str("\r\n");
    block
}
