//! A header block as publishers write it (NATS ADR-4): the version, then
//! `Name: value` lines. Read as a whole or not at all: nats-server passes on
//! whatever it was given, and half a truth about an event is worse than none.
//! Free of I/O.

const VERSION: &str = "NATS/1.0";

/// The block cannot be read; its message has no headers then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// Names and values in the order of the block.
pub(crate) fn parse(block: &[u8]) -> Result<Vec<(&str, &str)>, Unreadable> {
    let text = std::str::from_utf8(block).map_err(|_| Unreadable)?;
    let (version, rest) = text.split_once('\n').ok_or(Unreadable)?;
    let status = version.strip_prefix(VERSION).ok_or(Unreadable)?.trim_ascii();
    if !is_status(status.split(' ').next().unwrap_or_default()) {
        return Err(Unreadable);
    }
    let mut headers = Vec::with_capacity(8);
    for line in rest.split('\n').map(str::trim_ascii_end).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(Unreadable)?;
        if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Unreadable);
        }
        headers.push((name, value.trim_ascii_start()));
    }
    Ok(headers)
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
