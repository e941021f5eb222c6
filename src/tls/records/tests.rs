use std::{
    cell::{Cell, RefCell},
    io::{Read as _, Write as _},
};

use proptest::{collection::vec, prelude::*, sample::select};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion,
    crypto::aws_lc_rs::default_provider,
    pki_types::{PrivateKeyDer, ServerName},
    version::{TLS12, TLS13},
};

use super::*;

/// A socket that takes and gives these numbers of bytes, one after the other; 0 is "would block".
struct Piecemeal {
    pieces: Vec<usize>,
    reads: Cell<usize>,
    writes: Cell<usize>,
    arriving: RefCell<Vec<u8>>,
    sent: RefCell<Vec<u8>>,
}

impl Piecemeal {
    fn new(pieces: Vec<usize>) -> Self {
        Self {
            pieces,
            reads: Cell::new(0),
            writes: Cell::new(0),
            arriving: RefCell::default(),
            sent: RefCell::default(),
        }
    }

    fn piece(&self, turns: &Cell<usize>, most: usize) -> io::Result<usize> {
        let turn = turns.replace(turns.get() + 1);
        match self.pieces[turn % self.pieces.len()].min(most) {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            piece => Ok(piece),
        }
    }
}

impl Socket for Piecemeal {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut arriving = self.arriving.borrow_mut();
        let piece = self.piece(&self.reads, arriving.len().min(buffer.len()))?;
        buffer[..piece].copy_from_slice(&arriving[..piece]);
        arriving.drain(..piece);
        Ok(piece)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let piece = self.piece(&self.writes, bytes.len())?;
        self.sent.borrow_mut().extend_from_slice(&bytes[..piece]);
        Ok(piece)
    }
}

/// Both ends of a session, and what lies between them.
struct Pair {
    client: ClientConnection,
    server: Records,
    socket: Piecemeal,
    heard: Vec<u8>,
}

thread_local! {
    static SETTINGS: (Arc<ServerConfig>, RootCertStore) = {
        let made = rcgen::generate_simple_self_signed(["node.test".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let server = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a certificate with its key");
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("a root");
        (Arc::new(server), roots)
    };
}

impl Pair {
    fn new(version: &'static SupportedProtocolVersion, pieces: Vec<usize>) -> Self {
        let (server, roots) = SETTINGS.with(Clone::clone);
        let client = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("node.test").expect("a name");
        let client = ClientConnection::new(Arc::new(client), name).expect("a client");
        let server = Records::new(server).expect("a server");
        Self { client, server, socket: Piecemeal::new(pieces), heard: Vec::new() }
    }

    fn with_handshake(version: &'static SupportedProtocolVersion, pieces: Vec<usize>) -> Self {
        let mut pair = Self::new(version, pieces);
        while pair.server.is_handshaking() || pair.client.is_handshaking() {
            pair.client_turn();
            would_block_or(pair.server.receive(&pair.socket)).expect("a handshake");
            would_block_or(pair.server.flush(&pair.socket)).expect("a socket");
        }
        pair
    }

    /// Carries what the client has to send, and what it has to read.
    fn client_turn(&mut self) {
        while self.client.wants_write() {
            self.client.write_tls(&mut *self.socket.arriving.borrow_mut()).expect("memory");
        }
        let sent = take(&mut *self.socket.sent.borrow_mut());
        let mut sent = &sent[..];
        while !sent.is_empty() {
            self.client.read_tls(&mut sent).expect("memory");
            self.client.process_new_packets().expect("what a server may say");
            let _ = self.client.reader().read_to_end(&mut self.heard);
        }
    }

    fn client_says(&mut self, bytes: &[u8]) {
        self.client.writer().write_all(bytes).expect("room");
        self.client_turn();
    }

    fn server_hears(&mut self, length: usize) -> Vec<u8> {
        let mut heard = Vec::new();
        let mut buffer = [0; 3_000];
        while heard.len() < length {
            if let Some(read) = would_block_or(self.server.try_read(&self.socket, &mut buffer)).expect("a read") {
                heard.extend_from_slice(&buffer[..read]);
            }
        }
        heard
    }

    fn server_says(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (one, two) = bytes.split_at(bytes.len() / 3);
            let written = self.server.try_write(&self.socket, &[IoSlice::new(one), IoSlice::new(two)]);
            bytes = &bytes[would_block_or(written).expect("a write").unwrap_or(0)..];
        }
        self.client_turn();
    }

    fn holds_nothing(&self) -> bool {
        let Records { incoming, plain, outgoing, taken, .. } = &self.server;
        [incoming, plain, outgoing].iter().all(|buffer| buffer.capacity() == 0) && *taken == 0
    }
}

fn would_block_or<T>(done: io::Result<T>) -> io::Result<Option<T>> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        done => done.map(Some),
    }
}

fn pieces() -> impl Strategy<Value = Vec<usize>> {
    vec(select(vec![0, 1, 7, 100, 5_000, 40_000]), 1..6)
        .prop_filter("something moves", |pieces| pieces.iter().sum::<usize>() >= 100)
}

fn version() -> impl Strategy<Value = &'static SupportedProtocolVersion> {
    select(vec![&TLS12, &TLS13])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However little the socket takes or brings at a time, and whoever changes keys in between.
    #[test]
    fn every_byte_arrives_in_order_and_an_idle_session_holds_no_buffer(
        version in version(),
        pieces in pieces(),
        messages in vec((0_usize..40_000, 0_usize..40_000, any::<bool>()), 1..5),
    ) {
        let mut pair = Pair::with_handshake(version, pieces);
        let mut wanted = Vec::new();
        for (number, (up, down, keys)) in messages.into_iter().enumerate() {
            if keys && version == &TLS13 {
                pair.client.refresh_traffic_keys().expect("a change of keys");
            }
            let up = vec![number as u8; up];
            pair.client_says(&up);
            prop_assert_eq!(pair.server_hears(up.len()), up);
            let down = vec![number as u8; down];
            pair.server_says(&down);
            wanted.extend(down);
        }
        while !pair.server.outgoing.is_empty() {
            would_block_or(pair.server.flush(&pair.socket)).expect("a socket");
        }
        pair.client_turn();
        prop_assert!(pair.heard == wanted);
        let mut nothing = [0; 10];
        let read = would_block_or(pair.server.try_read(&pair.socket, &mut nothing)).expect("a session");
        prop_assert_eq!(read, None);
        prop_assert!(pair.holds_nothing(), "{:?}", pair.server);
    }

    #[test]
    fn bytes_that_are_no_tls_end_the_session_with_one_alert_and_nothing_else(
        version in version(),
        after_handshake in any::<bool>(),
        pieces in pieces(),
        noise in vec(any::<u8>(), 1..2_000),
        as_record in any::<bool>(),
    ) {
        let mut pair =
            if after_handshake { Pair::with_handshake(version, pieces) } else { Pair::new(version, pieces) };
        let kind = if after_handshake { 23 } else { 22 };
        let [high, low] = (noise.len() as u16).to_be_bytes();
        let head = if as_record { vec![kind, 3, 3, high, low] } else { Vec::new() };
        pair.socket.arriving.borrow_mut().extend([head, noise].concat());
        let mut buffer = [0; 100];
        let mut ended = None;
        while ended.is_none() && !pair.socket.arriving.borrow().is_empty() {
            ended = would_block_or(pair.server.try_read(&pair.socket, &mut buffer)).err();
        }
        if ended.is_some() {
            prop_assert!(pair.server.try_read(&pair.socket, &mut buffer).is_err());
            prop_assert!(pair.server.try_write(&pair.socket, &[IoSlice::new(b"more")]).is_err());
            pair.server.finish(&pair.socket);
            while !pair.server.outgoing.is_empty() {
                would_block_or(pair.server.flush(&pair.socket)).expect("a socket");
            }
            prop_assert!(pair.socket.sent.borrow().len() < 4_000);
        }
    }
}

#[test]
fn the_end_is_told_once_and_told_apart_from_a_cut() {
    for version in [&TLS12, &TLS13] {
        let mut pair = Pair::with_handshake(version, vec![100_000]);
        pair.client.send_close_notify();
        pair.client_turn();
        assert_eq!(pair.server.try_read(&pair.socket, &mut [0; 10]).expect("an end"), 0);
        assert_eq!(pair.server.try_read(&pair.socket, &mut [0; 10]).expect("still the end"), 0);
        pair.server.finish(&pair.socket);
        let told = pair.socket.sent.borrow().len();
        pair.server.finish(&pair.socket);
        assert_eq!(pair.socket.sent.borrow().len(), told);
        pair.client_turn();
        assert_eq!(pair.client.reader().read(&mut [0; 10]).expect("an end"), 0);
    }
}

#[test]
fn a_message_of_the_handshake_that_never_ends_is_refused() {
    let mut pair = Pair::new(&TLS13, vec![100_000]);
    // A ClientHello that says it is of 16 MiB, in records of 1,000 bytes.
    let mut hello = vec![1, 0xff, 0xff, 0xff];
    hello.resize(1_000, 0);
    let refused = (0..200).find_map(|_| {
        pair.socket.arriving.borrow_mut().extend([&[22, 3, 3, 0x03, 0xe8][..], &hello].concat());
        hello.fill(0);
        would_block_or(pair.server.receive(&pair.socket)).err()
    });
    assert_eq!(refused.map(|error| error.kind()), Some(io::ErrorKind::InvalidData));
    assert!(pair.server.incoming.len() <= INCOMING + RECORD);
}
