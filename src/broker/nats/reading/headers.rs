//! A header block as publishers write it (NATS ADR-4): the version, then
//! `Name: value` lines. Read as a whole or not at all: nats-server passes on
//! whatever it was given, and half a truth about an event is worse than none.
//! Free of I/O.

use std::mem;

use memchr::{memchr, memchr_iter};

const VERSION: &str = "NATS/1.0";

/// Headers that a server adds to a message that it has stored.
pub(crate) const ADDED: [&str; 6] =
    ["Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp", "Nats-Last-Sequence", "Nats-Num-Pending"];

/// The block cannot be read; its message has no headers then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadHeader;

/// Names and values in the order of the block.
pub(crate) fn parse(block: &[u8]) -> Result<Vec<(&str, &str)>, BadHeader> {
    let text = std::str::from_utf8(block).map_err(|_| BadHeader)?;
    let (version, mut rest) = line(text).ok_or(BadHeader)?;
    let status = version.strip_prefix(VERSION).ok_or(BadHeader)?.trim_ascii_start();
    if !is_status(status.split(' ').next().unwrap_or_default()) {
        return Err(BadHeader);
    }
    let mut headers = Vec::with_capacity(8);
    while !rest.is_empty() {
        let (header, after) = line(rest).unwrap_or((rest, ""));
        rest = after;
        if header.is_empty() {
            continue;
        }
        let colon = memchr(b':', header.as_bytes()).ok_or(BadHeader)?;
        let (name, value) = (&header[..colon], &header[colon + 1..]);
        if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadHeader);
        }
        headers.push((name, value.trim_ascii()));
    }
    Ok(headers)
}

/// The first line, and what follows it.
fn line(text: &str) -> Option<(&str, &str)> {
    let end = line_end(text.as_bytes())?;
    Some((&text[..end], &text[end + 2..]))
}

/// Where the first line ends. A value may hold either half of a line's end;
/// looking for one byte is several times faster than looking for both.
fn line_end(bytes: &[u8]) -> Option<usize> {
    memchr_iter(b'\r', bytes).find(|at| bytes.get(at + 1) == Some(&b'\n'))
}

/// Headers of a server about a stored message, and about the end of an answer.
/// The server APPENDS them to the publisher's: so the last value of a name
/// counts, and any value before it, readable or not, is the publisher's.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Added<'b> {
    /// Where it is stored.
    pub(crate) seq: Option<u64>,
    /// Where it was published.
    pub(crate) subject: Option<&'b [u8]>,
    /// When it was stored (RFC 3339).
    pub(crate) time: Option<&'b str>,
    /// Of an answer's end: how much is left.
    pub(crate) pending: Option<u64>,
    /// Of an answer's end: the sequence that it reaches.
    pub(crate) last: Option<u64>,
    /// Whether the publisher has written any header.
    pub(crate) others: bool,
    /// Whether the stream drops older events for it: `Nats-Rollup` (also what a
    /// key-value purge writes), or `Nats-Marker-Reason`, which a server writes
    /// where the last event of a subject has ended.
    pub(crate) ends_older: bool,
    /// Whether it is the last event of an atomic batch.
    pub(crate) commits: bool,
}

/// Reads what a server has added.
pub(crate) fn added(block: &[u8]) -> Added<'_> {
    let mut added = Added::default();
    let mut named = false;
    let mut rest = block.strip_prefix(b"NATS/1.0\r\n").unwrap_or(block);
    while !rest.is_empty() {
        let end = line_end(rest).unwrap_or(rest.len());
        let header = &rest[..end];
        rest = rest.get(end + 2..).unwrap_or_default();
        if header.is_empty() {
            continue;
        }
        let colon = if header.starts_with(b"Nats-") { memchr(b':', header) } else { None };
        let Some(colon) = colon else {
            added.others = true;
            continue;
        };
        let (name, value) = (&header[b"Nats-".len()..colon], header[colon + 1..].trim_ascii());
        let text = || std::str::from_utf8(value).ok();
        let number = || text().and_then(|digits| digits.parse().ok());
        // A name that is there already was the publisher's.
        added.others |= match name {
            b"Stream" => mem::replace(&mut named, true),
            b"Sequence" => mem::replace(&mut added.seq, number()).is_some(),
            b"Subject" => added.subject.replace(value).is_some(),
            b"Time-Stamp" => mem::replace(&mut added.time, text()).is_some(),
            b"Num-Pending" => mem::replace(&mut added.pending, number()).is_some(),
            b"Last-Sequence" => mem::replace(&mut added.last, number()).is_some(),
            b"Rollup" | b"Marker-Reason" => {
                added.ends_older = true;
                true
            }
            b"Batch-Commit" => {
                added.commits = true;
                true
            }
            _ => true,
        };
    }
    added
}

/// The status of a request, in the first line of a message without data.
pub(crate) fn status(block: &[u8]) -> Option<(u16, &str)> {
    let line = block.strip_prefix(VERSION.as_bytes())?;
    let line = std::str::from_utf8(&line[..line_end(line)?]).ok()?.trim_ascii();
    let (code, words) = line.split_once(' ').unwrap_or((line, ""));
    Some((code.parse().ok()?, words))
}

/// None for a message, three digits for what a server says of a request.
fn is_status(code: &str) -> bool {
    code.is_empty() || (code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_read_in_order_with_repeated_names() {
        let block = b"NATS/1.0\r\nA: 1\r\nempty:\r\nA:  two words \r\n: no name\r\nB:x:y\r\n\r\n";
        let expected = vec![("A", "1"), ("empty", ""), ("A", "two words"), ("", "no name"), ("B", "x:y")];
        assert_eq!(parse(block), Ok(expected));
        assert_eq!(parse(b"NATS/1.0 503\r\n\r\n"), Ok(vec![]));
        assert_eq!(parse(b"NATS/1.0 404 Not Found\r\nA: 1\r\n\r\n"), Ok(vec![("A", "1")]));
    }

    #[test]
    fn what_the_server_adds_counts_whatever_its_publisher_wrote() {
        let block = b"NATX\r\nNats-Sequence: 999\r\nName: J\xfcrgen\r\nNats-Subject: forged\r\nNats-Stream: S\r\n\
            Nats-Subject: a.b\r\nNats-Sequence: 7\r\nNats-Time-Stamp: 2026-11-22T10:00:00.5Z\r\n\r\n";
        let expected = Added {
            seq: Some(7),
            subject: Some(b"a.b"),
            time: Some("2026-11-22T10:00:00.5Z"),
            others: true,
            ..Added::default()
        };
        assert_eq!(added(block), expected);
        let end = b"NATS/1.0 204 EOB\r\nNats-Num-Pending: 3\r\nNats-Last-Sequence: 9\r\n\r\n";
        assert_eq!(status(end), Some((204, "EOB")));
        assert_eq!((added(end).pending, added(end).last), (Some(3), Some(9)));
        assert_eq!(status(b"NATS/1.0 404 Message Not Found\r\n\r\n"), Some((404, "Message Not Found")));
        assert_eq!(status(b"NATS/1.0\r\nA: 1\r\n\r\n"), None);
        assert_eq!(added(b""), Added::default());
    }

    #[test]
    fn it_is_known_whether_a_publisher_has_written_anything() {
        let servers = "Nats-Stream: S\r\nNats-Subject: a.b\r\nNats-Sequence: 7\r\n\
            Nats-Time-Stamp: 2026-11-22T10:00:00.5Z\r\nNats-Last-Sequence: 6\r\n\r\n";
        assert!(!added(format!("NATS/1.0\r\n{servers}").as_bytes()).others);
        for publishers in [
            "NATS/1.0\r\nNats-Msg-Id: 1\r\n",
            "NATS/1.0\r\na: 1\r\n",
            "NATS/1.0\r\nNats-Sequence: 9\r\n",
            "NATS/1.0\r\nNats-Stream: S\r\n",
            "NATS/1.0\r\nNats-nothing\r\n",
            "NATX\r\n",
            "x",
        ] {
            assert!(added(format!("{publishers}{servers}").as_bytes()).others, "{publishers}");
        }
    }

    #[test]
    fn a_rollup_and_a_marker_say_that_older_events_end() {
        for header in ["Nats-Rollup: sub", "Nats-Rollup: all", "Nats-Marker-Reason: MaxAge"] {
            let read = |block: String| added(block.as_bytes()).ends_older;
            assert!(read(format!("NATS/1.0\r\nKV-Operation: PURGE\r\n{header}\r\nNats-Sequence: 7\r\n\r\n")));
            assert!(!read(format!("NATS/1.0\r\nx: {header}\r\nNats-Sequence: 7\r\n\r\n")));
        }
    }

    #[test]
    fn half_a_line_end_is_a_part_of_the_value() {
        assert_eq!(parse(b"NATS/1.0\r\nA: x\ny\rz\r\n\r\n"), Ok(vec![("A", "x\ny\rz")]));
    }

    #[test]
    fn a_block_with_one_bad_line_is_not_read_at_all() {
        let rows: [&[u8]; 9] = [
            b"",
            b"NATS/1.0",
            b"NATX/9.0\r\n\r\n",
            b"NATS/1.0 abc\r\n\r\n",
            b"NATS/1.0 50\r\n\r\n",
            b"NATS/1.0\r\nA: 1\r\nno colon\r\n\r\n",
            b"NATS/1.0\r\na b: 1\r\n\r\n",
            b"NATS/1.0\r\na\x01b: 1\r\n\r\n",
            b"NATS/1.0\r\nName: J\xfcrgen\r\n\r\n",
        ];
        for block in rows {
            assert_eq!(parse(block), Err(BadHeader), "{}", String::from_utf8_lossy(block));
        }
    }
}
