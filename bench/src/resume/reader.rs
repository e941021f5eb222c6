//! One client that reads a long replay, and decodes nothing of it: it is not to be the limit, unless it is told to.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread::sleep,
    time::{Duration, Instant},
};

use memchr::memmem;

use crate::{
    failure::{Because as _, Failure, Outcome},
    frame::{self, TEXT},
    marker::Scanner,
    plug::Plug,
};

/// Bytes of a read.
const READ: usize = 64 * 1024;

/// How long the node may send nothing.
const SILENCE: Duration = Duration::from_secs(30);

/// What it was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Read {
    pub(super) seconds: f64,
    pub(super) events: u64,
    /// Events that were not the next one.
    pub(super) wrong: u64,
    pub(super) recovered: bool,
}

/// Subscribes to `subject` at the node at `listen`, after a position in JSON, and reads until it is live. `rate`: events
/// a second at most.
pub(super) fn read(listen: SocketAddr, subject: &str, after: &str, rate: Option<f64>) -> Outcome<Read> {
    let cannot = || "cannot read the replay".to_owned();
    let mut socket = TcpStream::connect(listen).because(cannot)?;
    socket.set_read_timeout(Some(SILENCE)).because(cannot)?;
    let connect = format!("{{\"connect\":{{\"subscriptions\":[{{\"subject\":\"{subject}\",\"after\":[{after}]}}]}}}}");
    let begun = Instant::now();
    socket.write_all(&Plug::NotifierJson.request(None, &[])).because(cannot)?;
    socket.write_all(&frame::from_client(TEXT, connect.as_bytes())).because(cannot)?;
    let scanner = Scanner::default();
    let mut read = Read::default();
    let (mut kept, mut buffer) = (Vec::new(), vec![0; READ]);
    loop {
        match socket.read(&mut buffer).because(cannot)? {
            0 => return Err(Failure::new("the node ended the replay")),
            length => kept.extend_from_slice(&buffer[..length]),
        }
        let cut = scanner.scan(&kept, |marker| {
            read.wrong += u64::from(marker.sequence != read.events);
            read.events += 1;
        });
        if let Some(at) = memmem::find(&kept, b"\"subscribed\"") {
            kept.drain(..at);
            if let Some(end) = memmem::find(&kept, b"}}") {
                read.recovered = memmem::find(&kept[..end], b"\"recovered\":true").is_some();
                read.seconds = begun.elapsed().as_secs_f64();
                return Ok(read);
            }
            continue;
        }
        // The end may be the beginning of a marker, or of the word; a whole marker is longer than that.
        let keep = if cut > 0 { cut } else { kept.len().min(16) };
        kept.drain(..kept.len() - keep);
        if let Some(rate) = rate {
            let due = Duration::from_secs_f64(read.events as f64 / rate);
            sleep(due.saturating_sub(begun.elapsed()));
        }
    }
}
