//! The server's side of one TLS session (RFC 8446), free of the socket. The
//! buffers that rustls would keep for each connection (4 KiB for reading alone)
//! are those of the thread here: an idle session keeps its keys and nothing else.

use std::{
    fmt,
    io::{self, IoSlice},
    mem::{replace, take},
    sync::Arc,
};

use rustls::{
    ServerConfig,
    server::{ServerConnectionData, UnbufferedServerConnection},
    unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus, WriteTraffic},
};

use crate::tls::scratch::Scratch;

/// Bytes that are encrypted at once: the most that one record holds (RFC 8446
/// 5.1). A slow client costs one such record here.
const RECORD: usize = 16 * 1024;

/// Bytes that encryption adds to a record at most, a change of keys in front of it included.
const OVERHEAD: usize = 1024;

/// Bytes of records that are not whole, at most: the longest message of a
/// handshake that rustls takes.
const INCOMING: usize = 0xffff;

/// Reads or sends what it can without waiting: a non-blocking socket.
pub(crate) trait Socket {
    /// Reads what is there; 0 at the end.
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Sends what is taken at once.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
}

/// A session. All three buffers are empty, and hold no memory, while nothing is
/// under way.
pub(crate) struct Records {
    session: UnbufferedServerConnection,
    /// Received, and not a whole record or message yet.
    incoming: Vec<u8>,
    /// Decrypted, and not read yet.
    plain: Vec<u8>,
    /// Encrypted, and not taken by the socket yet.
    outgoing: Vec<u8>,
    /// Bytes of the caller in `outgoing` that were not told as written.
    taken: usize,
    /// Whether the peer has said that it sends no more.
    ended: bool,
    /// Whether this side has said so.
    finished: bool,
    /// Whether the peer has broken TLS: nothing is read or written any more.
    broken: bool,
}

impl Records {
    /// A session whose handshake is still to come.
    ///
    /// # Errors
    /// When the settings do not fit together.
    pub(crate) fn new(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let session = UnbufferedServerConnection::new(config)?;
        let (incoming, plain, outgoing) = Default::default();
        Ok(Self { session, incoming, plain, outgoing, taken: 0, ended: false, finished: false, broken: false })
    }

    /// Whether the handshake is not over.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Whether the peer has shown a certificate.
    pub(crate) fn has_certificate(&self) -> bool {
        self.session.peer_certificates().is_some()
    }

    /// Takes out of it what was decrypted and not read.
    pub(crate) fn take_plain(&mut self) -> Vec<u8> {
        take(&mut self.plain)
    }

    /// Reads what is there, from the socket at most once: a caller that loops
    /// polls the socket in between, so that a client that sends records without
    /// content does not keep a worker. `Ok(0)` means that the peer sends no more.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there yet; `UnexpectedEof` when the stream
    /// ends without `close_notify`; `InvalidData` for what breaks TLS; what the
    /// system says.
    pub(crate) fn try_read(&mut self, socket: &impl Socket, buffer: &mut [u8]) -> io::Result<usize> {
        if self.plain.is_empty() && !self.ended {
            self.receive(socket)?;
        }
        if self.plain.is_empty() {
            return if self.ended { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        let read = self.plain.len().min(buffer.len());
        buffer[..read].copy_from_slice(&self.plain[..read]);
        if read == self.plain.len() {
            self.plain = Vec::new()
        } else {
            drop(self.plain.drain(..read))
        }
        Ok(read)
    }

    /// Reads from the socket once, and decrypts what has become whole.
    ///
    /// # Errors
    /// As [`Self::try_read`].
    pub(crate) fn receive(&mut self, socket: &impl Socket) -> io::Result<()> {
        let kept = self.incoming.len();
        if self.broken {
            return Err(io::ErrorKind::NotConnected.into());
        }
        if kept >= INCOMING {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message of the TLS handshake is too long"));
        }
        let processed = Scratch::reading(kept + RECORD, |scratch| {
            scratch[..kept].copy_from_slice(&self.incoming);
            let end = match socket.try_read(&mut scratch[kept..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => kept + read,
            };
            let used = self.process(&mut scratch[..end]).inspect_err(|_| self.refuse(&mut scratch[..end]));
            self.incoming = scratch[used.map_err(invalid)?..end].to_vec();
            Ok(())
        });
        // An alert, or an answer of the protocol's own. Bytes that do not leave
        // now leave in front of the next write.
        let _ = self.flush(socket);
        processed
    }

    /// Writes what the socket takes at once, one record at most. After
    /// `WouldBlock` some of `bytes` may be on their way: the next call has to
    /// begin with the same ones.
    ///
    /// # Errors
    /// `WouldBlock` when the socket is full, else what the system says.
    pub(crate) fn try_write(&mut self, socket: &impl Socket, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        self.flush(socket)?;
        if self.taken == 0 {
            self.taken = match bytes {
                [one] => self.write_record(socket, &one[..one.len().min(RECORD)])?,
                several => Scratch::joining(several, RECORD, |joined| self.write_record(socket, joined))?,
            };
            self.flush(socket)?;
        }
        Ok(take(&mut self.taken))
    }

    /// The bytes that are encrypted and wait, told as written: for a caller
    /// that flushes before it waits.
    pub(crate) fn take_written(&mut self) -> Option<usize> {
        (self.taken > 0).then(|| take(&mut self.taken))
    }

    /// Sends what is encrypted and waits.
    ///
    /// # Errors
    /// `WouldBlock` when the socket does not take all of it, else what the system says.
    pub(crate) fn flush(&mut self, socket: &impl Socket) -> io::Result<()> {
        let mut sent = 0;
        while sent < self.outgoing.len() {
            match socket.try_write(&self.outgoing[sent..]) {
                Ok(more) => sent += more,
                Err(error) => {
                    self.outgoing.drain(..sent);
                    return Err(error);
                }
            }
        }
        self.outgoing = Vec::new();
        Ok(())
    }

    /// Says `close_notify` (RFC 8446 6.1) as far as the socket takes it now.
    pub(crate) fn finish(&mut self, socket: &impl Socket) {
        if !self.broken && !replace(&mut self.finished, true) {
            let Self { session, incoming, outgoing, .. } = self;
            let _ = writing(session, incoming, outgoing, |traffic, outgoing| {
                let begin = outgoing.len();
                outgoing.resize(begin + OVERHEAD, 0);
                let length = traffic.queue_close_notify(&mut outgoing[begin..]).unwrap_or(0);
                outgoing.truncate(begin + length);
                Ok(())
            });
        }
        // The stream may be closed already, which is the aim.
        let _ = self.flush(socket);
    }

    /// Encrypts one record of `bytes` and sends it as far as the socket takes it.
    fn write_record(&mut self, socket: &impl Socket, bytes: &[u8]) -> io::Result<usize> {
        if self.broken {
            return Err(io::ErrorKind::NotConnected.into());
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        Scratch::writing(RECORD + OVERHEAD, |sealed| {
            let Self { session, incoming, outgoing, .. } = self;
            let length = writing(session, incoming, outgoing, |traffic, _| {
                traffic.encrypt(bytes, sealed).map_err(io::Error::other)
            })?;
            // Records of the protocol itself go first; there hardly ever are
            // any.
            let sent = match self.flush(socket).and_then(|()| socket.try_write(&sealed[..length])) {
                Ok(sent) => sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error),
            };
            self.outgoing.extend_from_slice(&sealed[sent..length]);
            Ok(bytes.len())
        })
    }

    /// Decrypts what is whole of `incoming`. Returns how many of its bytes are done with.
    fn process(&mut self, incoming: &mut [u8]) -> Result<usize, rustls::Error> {
        let mut used = 0;
        loop {
            let UnbufferedStatus { discard, state } = self.session.process_tls_records(&mut incoming[used..]);
            used += discard;
            match state? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        used += record.discard;
                        self.plain.extend_from_slice(record.payload);
                    }
                }
                ConnectionState::EncodeTlsData(data) => encode(data, &mut self.outgoing),
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.ended = true,
                // All is read, or more is needed. Early data is not offered.
                _ => return Ok(used),
            }
        }
    }

    /// Puts the alert for what has broken TLS behind what waits, and takes nothing more.
    fn refuse(&mut self, incoming: &mut [u8]) {
        self.broken = true;
        // Asked beyond its alert, the session would look at the same bytes again.
        while self.session.wants_write()
            && let Ok(ConnectionState::EncodeTlsData(data)) = self.session.process_tls_records(incoming).state
        {
            encode(data, &mut self.outgoing);
        }
    }
}

/// Lets `write` write application data, behind what the protocol has to say itself.
fn writing<T>(
    session: &mut UnbufferedServerConnection,
    incoming: &mut [u8],
    outgoing: &mut Vec<u8>,
    write: impl FnOnce(&mut WriteTraffic<'_, ServerConnectionData>, &mut Vec<u8>) -> io::Result<T>,
) -> io::Result<T> {
    loop {
        // No byte of it has arrived since it was last looked at: nothing of it is used up here.
        match session.process_tls_records(incoming).state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => return write(&mut traffic, outgoing),
            Ok(ConnectionState::EncodeTlsData(data)) => encode(data, outgoing),
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            Ok(_) => return Err(io::ErrorKind::NotConnected.into()),
            Err(error) => return Err(invalid(error)),
        }
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Appends a record of the protocol's own to `outgoing`.
fn encode(mut data: EncodeTlsData<'_, ServerConnectionData>, outgoing: &mut Vec<u8>) {
    let begin = outgoing.len();
    if let Err(EncodeError::InsufficientSize(need)) = data.encode(&mut []) {
        outgoing.resize(begin + need.required_size, 0);
        // There is room for all of it now.
        let _ = data.encode(&mut outgoing[begin..]);
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("taken", &self.taken).field("ended", &self.ended).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
