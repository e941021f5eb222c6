//! A header block as publishers write it (NATS ADR-4): the version, then
//! `Name: value` lines. Read as a whole or not at all: nats-server passes on
//! whatever it was given, and half a truth about an event is worse than none.
//! Free of I/O.

use memchr::memchr_iter;

const VERSION: &str = "NATS/1.0";

/// The block cannot be read; its message has no headers then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// Names and values in the order of the block.
pub(crate) fn parse(block: &[u8]) -> Result<Vec<(&str, &str)>, Unreadable> {
    let text = std::str::from_utf8(block).map_err(|_| Unreadable)?;
    let (version, mut rest) = line(text).ok_or(Unreadable)?;
    let status = version.strip_prefix(VERSION).ok_or(Unreadable)?.trim_ascii_start();
    if !is_status(status.split(' ').next().unwrap_or_default()) {
        return Err(Unreadable);
    }
    let mut headers = Vec::with_capacity(8);
    while !rest.is_empty() {
        let (header, after) = line(rest).unwrap_or((rest, ""));
        rest = after;
        if header.is_empty() {
            continue;
        }
        let (name, value) = header.split_once(':').ok_or(Unreadable)?;
        if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Unreadable);
        }
        headers.push((name, value.trim_ascii()));
    }
    Ok(headers)
}

/// The first line, and what follows it. A value may hold either half of a line's
/// end; looking for one byte is several times faster than looking for both.
fn line(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let end = memchr_iter(b'\r', bytes).find(|at| bytes.get(at + 1) == Some(&b'\n'))?;
    Some((&text[..end], &text[end + 2..]))
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
            assert_eq!(parse(block), Err(Unreadable), "{}", String::from_utf8_lossy(block));
        }
    }
}
