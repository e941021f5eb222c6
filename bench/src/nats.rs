//! The few commands of the NATS protocol that a subscriber hears, parsed in place.

/// What a server says.
#[derive(Debug, Eq, PartialEq)]
pub enum Command<'a> {
    /// A message for one of our subscriptions.
    Message {
        /// The number that the subscription was made with.
        subscription: u32,
        /// Its data, without headers.
        data: &'a [u8],
    },
    /// Must be answered with `PONG`.
    Ping,
    /// Answers our `PING`: everything before it has been handled.
    Pong,
    /// The server refuses something.
    Error(&'a str),
    /// `INFO`, `+OK`: nothing to do.
    Other,
}

/// The first command in `bytes` and its length, or nothing while it is incomplete.
pub fn command(bytes: &[u8]) -> Option<(Command<'_>, usize)> {
    let line_end = memchr::memmem::find(bytes, b"\r\n")?;
    let line = &bytes[..line_end];
    let begin = line_end + 2;
    let mut words = line.split(|byte| *byte == b' ');
    let command = match words.next()? {
        b"MSG" => {
            // MSG subject subscription [reply] size
            let subscription = number(words.nth(1)?)?;
            let size = number(words.next_back()?)? as usize;
            let data = bytes.get(begin..begin + size)?;
            return (bytes.len() >= begin + size + 2)
                .then_some((Command::Message { subscription, data }, begin + size + 2));
        }
        b"HMSG" => {
            // HMSG subject subscription [reply] header-size size
            let subscription = number(words.nth(1)?)?;
            let size = number(words.next_back()?)? as usize;
            let head = number(words.next_back()?)? as usize;
            let data = bytes.get(begin + head..begin + size)?;
            return (bytes.len() >= begin + size + 2)
                .then_some((Command::Message { subscription, data }, begin + size + 2));
        }
        b"PING" => Command::Ping,
        b"PONG" => Command::Pong,
        b"-ERR" => Command::Error(std::str::from_utf8(line).unwrap_or("-ERR")),
        _ => Command::Other,
    };
    Some((command, begin))
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |number, digit| {
        number.checked_mul(10)?.checked_add(u32::from(digit.checked_sub(b'0').filter(|value| *value < 10)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_one_by_one() {
        let mut rest: &[u8] = b"INFO {}\r\nMSG a.b 7 2\r\nhi\r\nMSG a 8 reply 0\r\n\r\nPING\r\n\
                                HMSG a.b 9 18 21\r\nNATS/1.0\r\nA: b\r\n\r\nhey\r\nMSG a";
        let mut seen = Vec::new();
        while let Some((command, length)) = command(rest) {
            seen.push(command);
            rest = &rest[length..];
        }
        let message = |subscription, data| Command::Message { subscription, data };
        assert_eq!(seen, [Command::Other, message(7, b"hi"), message(8, b""), Command::Ping, message(9, b"hey")]);
        assert_eq!(rest, b"MSG a");
    }

    #[test]
    fn a_command_that_is_cut_is_awaited() {
        let whole = b"MSG a.b 7 2\r\nhi\r\n";
        for cut in 0..whole.len() {
            assert_eq!(command(&whole[..cut]), None, "cut at {cut}");
        }
    }
}
