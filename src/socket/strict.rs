//! The bytes of an HTTP connection on their way to the HTTP library, which
//! takes two things that a proxy in front may understand otherwise: a line feed
//! alone for the end of a line, and a body with both `Content-Length` and
//! `Transfer-Encoding`. With either a client could hide a request in another
//! (RFC 9112 2.2, 6.1 and 11.2). The line feed that does it is replaced here by
//! a NUL, which the library refuses with 400 as it does any NUL.
//!
//! Bodies are passed over by their length or chunk by chunk. Behind a request
//! that asks for an upgrade nothing is looked at: it is the last one.

use std::{
    io,
    mem::take,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::socket::http_progress::HttpProgress;

/// Bytes that are kept of a line: enough for the names that count, a space or
/// two, and a number of 64 bits.
const KEPT: usize = 64;

/// A stream whose requests are strict.
#[derive(Debug)]
pub struct Strict<S> {
    stream: S,
    requests: RequestParser,
    progress: Arc<HttpProgress>,
}

/// Where in its requests a connection is.
#[derive(Debug, Default)]
struct RequestParser {
    at: At,
    line: Line,
    head: Head,
}

#[derive(Clone, Copy, Debug, Default)]
enum At {
    /// In a line of a head.
    #[default]
    Head,
    /// In a body, with this number of bytes left.
    Body(u64),
    /// In the line that says how long a chunk is.
    ChunkSize,
    /// In a chunk, with this number of bytes left, its end included.
    Chunk(u64),
    /// In a line behind the last chunk.
    Trailer,
    /// Behind all that is looked at.
    Beyond,
}

/// The facts that the lines of a head have told.
#[derive(Debug, Default)]
struct Head {
    /// Whether its first line has come: empty ones may stand in front.
    begun: bool,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

/// The beginning of a line.
#[derive(Debug)]
struct Line {
    kept: [u8; KEPT],
    length: usize,
    last: u8,
}

impl Default for Line {
    fn default() -> Self {
        Self { kept: [0; KEPT], length: 0, last: 0 }
    }
}

impl Line {
    fn push(&mut self, bytes: &[u8]) {
        if let Some(room) = self.kept.get_mut(self.length..) {
            let kept = room.len().min(bytes.len());
            room[..kept].copy_from_slice(&bytes[..kept]);
        }
        self.length = self.length.saturating_add(bytes.len());
        self.last = bytes.last().copied().unwrap_or(self.last);
    }

    /// The part of the line that is kept, without the carriage return at its end.
    fn text(&self) -> &[u8] {
        &self.kept[..self.length.saturating_sub(1).min(KEPT)]
    }

    /// Whether that is all of it.
    fn is_whole(&self) -> bool {
        self.length <= KEPT
    }
}

impl RequestParser {
    /// Whether all that has come are complete requests.
    fn is_between(&self) -> bool {
        matches!(self.at, At::Head) && !self.head.begun && self.line.length == 0
    }

    /// Looks at what comes next, and spoils what must not pass.
    fn pass(&mut self, bytes: &mut [u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.at {
                At::Beyond => return,
                At::Body(left) => rest = self.skip(rest, left, At::Body, At::Head),
                At::Chunk(left) => rest = self.skip(rest, left, At::Chunk, At::ChunkSize),
                At::Head | At::ChunkSize | At::Trailer => {
                    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                        self.line.push(rest);
                        return;
                    };
                    self.line.push(&rest[..end]);
                    let line = take(&mut self.line);
                    match self.next(&line).filter(|_| line.last == b'\r') {
                        Some(at) => self.at = at,
                        None => {
                            rest[end] = 0;
                            self.at = At::Beyond;
                        }
                    }
                    rest = &mut rest[end + 1..];
                }
            }
        }
    }

    fn skip<'b>(&mut self, bytes: &'b mut [u8], left: u64, within: fn(u64) -> At, behind: At) -> &'b mut [u8] {
        let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left - skipped as u64;
        self.at = if left == 0 { behind } else { within(left) };
        &mut bytes[skipped..]
    }

    /// The place behind a line; none if the line must not pass.
    fn next(&mut self, line: &Line) -> Option<At> {
        let text = line.text();
        match self.at {
            At::Head if text.is_empty() && self.head.begun => {
                let Head { length, chunked, upgrade, .. } = take(&mut self.head);
                match (length, chunked) {
                    (Some(_), true) => None,
                    _ if upgrade => Some(At::Beyond),
                    (None, true) => Some(At::ChunkSize),
                    (None | Some(0), false) => Some(At::Head),
                    (Some(length), false) => Some(At::Body(length)),
                }
            }
            At::Head if text.is_empty() => Some(At::Head),
            At::Head if !self.head.begun => {
                self.head.begun = true;
                Some(At::Head)
            }
            At::Head => self.header(text, line.is_whole()),
            At::ChunkSize => Some(match chunk_size(text) {
                Some(0) => At::Trailer,
                // The library refuses a text that is not a size.
                size => size.and_then(|size| size.checked_add(2)).map_or(At::Beyond, At::Chunk),
            }),
            At::Trailer if text.is_empty() => Some(At::Head),
            at => Some(at),
        }
    }

    fn header(&mut self, text: &[u8], whole: bool) -> Option<At> {
        let colon = text.iter().position(|byte| *byte == b':').unwrap_or(text.len());
        let (name, value) = text.split_at(colon);
        if name.eq_ignore_ascii_case(b"content-length") {
            let value = str::from_utf8(value).ok().filter(|_| whole)?;
            self.head.length = Some(value.trim_start_matches(':').trim().parse().ok()?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.head.chunked = true;
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.head.upgrade = true;
        }
        Some(At::Head)
    }
}

fn chunk_size(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    u64::from_str_radix(str::from_utf8(&text[..digits]).ok()?, 16).ok()
}

impl<S> Strict<S> {
    /// A stream from which nothing has been read, and the progress that it
    /// reports to.
    pub fn new(stream: S, progress: Arc<HttpProgress>) -> Self {
        Self { stream, requests: RequestParser::default(), progress }
    }

    /// The stream itself.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let arrived = &mut buffer.filled_mut()[before..];
        if !arrived.is_empty() {
            self.progress.received();
            self.requests.pass(arrived);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.progress.flushed(self.requests.is_between());
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    /// The bytes that pass when a text comes in pieces of these lengths.
    fn passed(text: &[u8], pieces: &[usize]) -> Vec<u8> {
        let mut bytes = text.to_vec();
        let mut requests = RequestParser::default();
        let (mut rest, mut pieces) = (&mut bytes[..], pieces.iter().cycle());
        while !rest.is_empty() {
            let piece = pieces.next().map_or(rest.len(), |piece| (*piece).clamp(1, rest.len()));
            let (now, later) = rest.split_at_mut(piece);
            requests.pass(now);
            rest = later;
        }
        bytes
    }

    fn post(headers: &str, body: &str) -> String {
        format!("POST / HTTP/1.1\r\n{headers}\r\n\r\n{body}")
    }

    /// All that is well-formed, bodies with line feeds of any kind included.
    fn right() -> Vec<String> {
        vec![
            GET.into(),
            format!("\r\n\r\n{GET}"),
            post("Content-Length: 5", "a\nb\n\n"),
            post("content-length:3\r\ncontent-length: 3", "\n\n\n"),
            post("Transfer-Encoding: chunked", "3\r\n\n\n\n\r\nA;x=y\r\n0123\n56789\r\n0\r\nT: a\r\n\r\n"),
            post("X: content-length\r\nContent-Length: 0", ""),
            post(&format!("Cookie: {}", "transfer-encoding:".repeat(50)), ""),
        ]
    }

    #[test]
    fn a_line_feed_alone_does_not_pass() {
        for before in right() {
            for wrong in [
                "\nGET / HTTP/1.1\r\n\r\n",
                "GET / HTTP/1.1\nHost: a\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: a\n\r\n",
                "GET / HTTP/1.1\r\nHost: a\r\n\n",
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\n",
            ] {
                let text = format!("{before}{wrong}");
                let place = before.len()
                    + wrong
                        .bytes()
                        .zip(wrong.bytes().skip(1))
                        .position(|(a, b)| b == b'\n' && a != b'\r')
                        .map_or(0, |at| at + 1);
                let mut expected = text.clone().into_bytes();
                expected[if wrong.starts_with('\n') { before.len() } else { place }] = 0;
                assert_eq!(String::from_utf8(passed(text.as_bytes(), &[])), String::from_utf8(expected), "{text:?}");
            }
        }
    }

    #[test]
    fn a_body_with_two_lengths_does_not_pass() {
        for headers in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nX: y\r\ncontent-LENGTH:5",
            "Upgrade: websocket\r\nContent-Length: 0\r\ntransfer-encoding: x",
        ] {
            let text = post(headers, "");
            let passed = passed(text.as_bytes(), &[]);
            assert_eq!((&passed[..text.len() - 1], passed[text.len() - 1]), (&text.as_bytes()[..text.len() - 1], 0));
        }
        // A text that is not a length, or one that cannot be read here, does not pass either.
        for length in ["five", "", "-1", &format!("{}5", " ".repeat(80))] {
            let passed = passed(post(&format!("Content-Length: {length}"), "").as_bytes(), &[]);
            assert!(passed.contains(&0), "{length:?}");
        }
    }

    #[test]
    fn behind_an_upgrade_everything_passes() {
        let text = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n\n\n\u{81}\u{8a}\n";
        assert_eq!(passed(text.as_bytes(), &[]), text.as_bytes());
    }

    proptest! {
        #[test]
        fn what_is_right_passes_as_it_is_however_it_is_cut(
            requests in prop::collection::vec(prop::sample::select(right()), 1..6),
            pieces in prop::collection::vec(1..40_usize, 1..8),
        ) {
            let text = requests.concat();
            prop_assert_eq!(passed(text.as_bytes(), &pieces), text.as_bytes());
        }

        #[test]
        fn anything_at_all_passes_the_same_however_it_is_cut(
            bytes in prop::collection::vec(prop::sample::select(b"\r\n\r\n: 05aGET/Content-Length".to_vec()), 0..200),
            pieces in prop::collection::vec(1..40_usize, 1..8),
        ) {
            prop_assert_eq!(passed(&bytes, &pieces), passed(&bytes, &[]));
        }
    }
}
