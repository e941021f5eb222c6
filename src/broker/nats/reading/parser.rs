//! The NATS client protocol, cut out of a stream of bytes as a client receives
//! it: `INFO`, `MSG`, `HMSG`, `PING`, `PONG`, `+OK`, `-ERR`. Free of I/O.
//!
//! Tolerant where a publisher can put anything (subjects and headers are bytes
//! here), strict where the server itself speaks: a line or length that it
//! would never write means that the position in the stream is lost.

use memchr::memchr;

/// Longest line. `INFO` names every server of a cluster; others are far shorter.
const LINE_BYTES: usize = 64 * 1024;

/// Longest header block that is read; NATS counts it as a part of the payload.
pub(crate) const HEADER_BYTES: usize = 64 * 1024;

/// One operation of the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Op<'b> {
    /// A message for one of our subscriptions.
    Message(Raw<'b>),
    /// A message larger than wanted; it is passed over.
    Oversized {
        /// The number that we gave the subscription.
        sid: u64,
        subject: &'b [u8],
    },
    /// The server's description of itself, as JSON; also unasked, when its
    /// cluster changes.
    Info(&'b [u8]),
    /// To be answered by `PONG`.
    Ping,
    /// The answer to our `PING`.
    Pong,
    /// The server's objection.
    Error(&'b [u8]),
    /// Nothing of interest.
    Ok,
}

/// A message as it came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Raw<'b> {
    /// The number that we gave the subscription.
    pub(crate) sid: u64,
    pub(crate) subject: &'b [u8],
    pub(crate) headers: Option<&'b [u8]>,
    pub(crate) payload: &'b [u8],
}

/// The position in the stream is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadStream {
    #[error("a line is longer than {LINE_BYTES} bytes")]
    Line,
    #[error("a line begins with no word of the protocol")]
    Word,
    #[error("the arguments of a message do not parse")]
    Arguments,
    #[error("a message does not end where it should")]
    End,
}

/// Cuts a stream into what the server said.
#[derive(Debug)]
pub(crate) struct Parser {
    /// Bytes of the largest payload that is wanted.
    payload_bytes: usize,
    /// Bytes of a message that is passed over.
    passing: usize,
}

/// The arguments of `MSG` and `HMSG`.
struct Arguments<'b> {
    subject: &'b [u8],
    sid: u64,
    headers: usize,
    total: usize,
}

impl Parser {
    pub(crate) fn new(payload_bytes: usize) -> Self {
        Self { payload_bytes, passing: 0 }
    }

    /// Hands out all that has been said completely; returns how many bytes are
    /// done with.
    pub(crate) fn each(&mut self, bytes: &[u8], mut said: impl FnMut(Op<'_>)) -> Result<usize, BadStream> {
        let mut done = 0;
        loop {
            match self.next(&bytes[done..])? {
                (0, None) => return Ok(done),
                (used, op) => {
                    done += used;
                    op.into_iter().for_each(&mut said);
                }
            }
        }
    }

    /// The next thing said, and how many bytes are done with. Without anything
    /// said and without bytes: more is needed.
    fn next<'b>(&mut self, bytes: &'b [u8]) -> Result<(usize, Option<Op<'b>>), BadStream> {
        if self.passing > 0 {
            let passed = self.passing.min(bytes.len());
            self.passing -= passed;
            return Ok((passed, None));
        }
        let Some(end) = memchr(b'\n', &bytes[..bytes.len().min(LINE_BYTES)]) else {
            return if bytes.len() < LINE_BYTES { Ok((0, None)) } else { Err(BadStream::Line) };
        };
        let after = end + 1;
        let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
        let word = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        let (word, rest) = line.split_at(word);
        let op = match word {
            b"MSG" => return self.message(bytes, after, arguments(rest, false)?),
            b"HMSG" => return self.message(bytes, after, arguments(rest, true)?),
            b"PING" => Op::Ping,
            b"PONG" => Op::Pong,
            b"+OK" => Op::Ok,
            // Not so above: a subject may begin with what only others take for white space.
            b"INFO" => Op::Info(rest.trim_ascii_start()),
            b"-ERR" => Op::Error(rest.trim_ascii_start()),
            _ => return Err(BadStream::Word),
        };
        Ok((after, Some(op)))
    }

    fn message<'b>(
        &mut self,
        bytes: &'b [u8],
        after: usize,
        arguments: Arguments<'b>,
    ) -> Result<(usize, Option<Op<'b>>), BadStream> {
        let Arguments { subject, sid, headers, total } = arguments;
        // Both are numbers of the server, so the first cannot exceed the second.
        let payload = total.checked_sub(headers).ok_or(BadStream::Arguments)?;
        if payload > self.payload_bytes || headers > HEADER_BYTES {
            self.passing = total.checked_add(2).ok_or(BadStream::Arguments)?;
            return Ok((after, Some(Op::Oversized { sid, subject })));
        }
        let Some(body) = bytes[after..].get(..total + 2) else { return Ok((0, None)) };
        let (body, end) = body.split_at(total);
        if end != b"\r\n" {
            return Err(BadStream::End);
        }
        let (block, payload) = body.split_at(headers);
        let headers = (headers > 0).then_some(block);
        Ok((after + total + 2, Some(Op::Message(Raw { sid, subject, headers, payload }))))
    }
}

/// `<subject> <sid> [reply] [<header bytes>] <total bytes>`
fn arguments(line: &[u8], headers: bool) -> Result<Arguments<'_>, BadStream> {
    // The one byte that nats-server takes for the end of an argument, besides
    // those that it takes for the end of a line.
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    let mut next = || words.next().ok_or(BadStream::Arguments);
    let (subject, sid) = (next()?, number(next()?)?);
    let mut numbers = [next()?, b"", b""];
    let mut count = 1;
    for word in words {
        *numbers.get_mut(count).ok_or(BadStream::Arguments)? = word;
        count += 1;
    }
    // The word before the lengths is a reply subject, which events do not use.
    let lengths = &numbers[..count];
    let (total, rest) = lengths.split_last().ok_or(BadStream::Arguments)?;
    let (block, rest) = if headers {
        let (block, rest) = rest.split_last().ok_or(BadStream::Arguments)?;
        (number(block)?, rest)
    } else {
        (0, rest)
    };
    if rest.len() > 1 {
        return Err(BadStream::Arguments);
    }
    Ok(Arguments { subject, sid, headers: block as usize, total: number(total)? as usize })
}

fn number(digits: &[u8]) -> Result<u64, BadStream> {
    // 19 digits always fit.
    if digits.is_empty() || digits.len() > 19 {
        return Err(BadStream::Arguments);
    }
    digits.iter().try_fold(0_u64, |number, digit| match digit {
        b'0'..=b'9' => Ok(number * 10 + u64::from(digit - b'0')),
        _ => Err(BadStream::Arguments),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Everything said by a stream that arrives in pieces of `size`.
    fn said(stream: &[u8], size: usize) -> Result<Vec<String>, BadStream> {
        let mut parser = Parser::new(16);
        let (mut buffer, mut said) = (Vec::new(), Vec::new());
        for piece in stream.chunks(size) {
            buffer.extend_from_slice(piece);
            let done = parser.each(&buffer, |op| said.push(format!("{op:?}")))?;
            buffer.drain(..done);
        }
        Ok(said)
    }

    fn raw<'b>(sid: u64, subject: &'b [u8], headers: Option<&'b [u8]>, payload: &'b [u8]) -> Op<'b> {
        Op::Message(Raw { sid, subject, headers, payload })
    }

    #[test]
    fn every_word_of_a_server_is_understood_wherever_it_is_cut() {
        let stream =
            b"INFO {\"a\":1}\r\nPING\r\nPONG\r\n+OK\r\n-ERR 'no'\r\nMSG a.b 7 2\r\nhi\r\nMSG a 8 r.e 0\r\n\r\n\
            HMSG a.\xff 9 12 14\r\nNATS/1.0\r\n\r\nhi\r\nHMSG a 9 r 12 12\r\nNATS/1.0\r\n\r\n\r\n\
            MSG big 1 17\r\n12345678901234567\r\nMSG a 1 1\r\n\n\r\nMSG \x0c 1 1\r\n1\r\nMSG \x0ca \t1\t1\r\n1\r\n";
        let block = Some(&b"NATS/1.0\r\n\r\n"[..]);
        let expected: Vec<String> = [
            Op::Info(b"{\"a\":1}"),
            Op::Ping,
            Op::Pong,
            Op::Ok,
            Op::Error(b"'no'"),
            raw(7, b"a.b", None, b"hi"),
            raw(8, b"a", None, b""),
            raw(9, b"a.\xff", block, b"hi"),
            raw(9, b"a", block, b""),
            Op::Oversized { sid: 1, subject: b"big" },
            raw(1, b"a", None, b"\n"),
            raw(1, b"\x0c", None, b"1"),
            raw(1, b"\x0ca", None, b"1"),
        ]
        .iter()
        .map(|op| format!("{op:?}"))
        .collect();
        for size in 1..=stream.len() {
            assert_eq!(said(stream, size).as_ref(), Ok(&expected), "in pieces of {size}");
        }
    }

    #[test]
    fn what_no_server_says_ends_the_stream() {
        let rows: [(&[u8], BadStream); 12] = [
            (b"HELLO\r\n", BadStream::Word),
            (b"msg a 1 1\r\nx\r\n", BadStream::Word),
            (b"\r\n", BadStream::Word),
            (b"MSG\r\n", BadStream::Arguments),
            (b"MSG a x 1\r\nx\r\n", BadStream::Arguments),
            (b"MSG a 1 -1\r\nx\r\n", BadStream::Arguments),
            (b"MSG a 1 b c 1\r\nx\r\n", BadStream::Arguments),
            (b"MSG a 1 18446744073709551616\r\n", BadStream::Arguments),
            (b"HMSG a 1 5\r\nx\r\n", BadStream::Arguments),
            (b"HMSG a 1 5 4\r\nxxxx\r\n", BadStream::Arguments),
            (b"HMSG a 1 r s 1 1\r\nx\r\n", BadStream::Arguments),
            (b"MSG a 1 1\r\nxy\r\n", BadStream::End),
        ];
        for (stream, expected) in rows {
            let text = String::from_utf8_lossy(stream);
            assert_eq!(said(stream, stream.len()), Err(expected), "{text}");
        }
        assert_eq!(said(&vec![b'x'; LINE_BYTES], LINE_BYTES), Err(BadStream::Line));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_say_the_same_or_end_the_stream(
            stream in prop::collection::vec(prop::sample::select(b"MSGHPINO+KERR- \t\r\na.19{}'\xff".to_vec()), 0..200),
            size in 1..50_usize,
        ) {
            let whole = said(&stream, stream.len().max(1));
            let pieces = said(&stream, size);
            prop_assert_eq!(whole, pieces);
        }
    }
}
