//! A connection to NATS and its handshake: TCP, TLS, `INFO` and `CONNECT`. Plain
//! bytes in and out after that.

use std::{io, sync::Arc, time::Duration};

use bytes::{Buf as _, BytesMut};
use rustls::{ClientConfig, pki_types::ServerName};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::either::Either;

use crate::{
    broker::nats::{
        address::Address,
        credentials::Credentials,
        identity::Proof,
        reading::parser::{BadStream, Op, Parser},
    },
    dial::dial,
};

/// From the first packet to the server's answer to our `CONNECT`, for both
/// kinds of connection; clients of the NATS project allow the same. Addresses
/// that a cluster announces may be out of reach, and then take all of it.
pub(crate) const CONNECT_TIME: Duration = Duration::from_secs(2);

/// How long the server may leave our commands unread.
const WRITE_TIME: Duration = Duration::from_secs(5);

/// Bytes taken from the socket at once. The events of one read are grouped by
/// feed, so a large one means fewer writes to clients while much is waiting.
const READ_BYTES: usize = 256 * 1024;

/// Plain TCP, or TLS over it.
type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// The options of a connection.
#[derive(Debug)]
pub(crate) struct ConnectOptions {
    pub(crate) name: String,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) tls_required: bool,
    pub(crate) tls_first: bool,
    pub(crate) payload_bytes: usize,
}

/// The `INFO` of a server, as far as it matters here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Info {
    tls_required: bool,
    tls_available: bool,
    headers: bool,
    nonce: String,
    pub(crate) connect_urls: Vec<String>,
    /// The largest payload, headers included, that it takes.
    pub(crate) max_payload: Option<usize>,
    /// Lame duck mode: it will close its connections soon.
    pub(crate) ldm: bool,
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct NatsConnection {
    stream: Stream,
    buffer: BytesMut,
    parser: Parser,
}

/// Reason for which a connection failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it does not answer")]
    Time,
    #[error("it closed the connection")]
    Closed,
    #[error("it is no NATS server: {0}")]
    Stream(#[from] BadStream),
    #[error("it refuses: {0}")]
    Refused(String),
    #[error("it says something else than who it is")]
    NoInfo,
    #[error("it offers no TLS, and broker.nats.tls.required is set")]
    NoTls,
    #[error("it knows no headers; nats-server 2.2 or newer is needed")]
    NoHeaders,
    #[error("it is no name that a certificate can have")]
    Name,
    #[error("the key cannot sign: {0}")]
    Key(#[from] nkeys::error::Error),
}

/// The arguments of `CONNECT`.
#[derive(Serialize)]
struct Connect<'a> {
    verbose: bool,
    pedantic: bool,
    tls_required: bool,
    name: &'a str,
    lang: &'static str,
    version: &'static str,
    /// 1: the server may send `INFO` at any time.
    protocol: u8,
    headers: bool,
    /// To be told when nobody listens where we ask.
    no_responders: bool,
    echo: bool,
    #[serde(flatten)]
    proof: Proof,
}

impl NatsConnection {
    /// Connects and says who we are; returns once the server agrees.
    /// `certified` is the name that the server's certificate has to have.
    pub(crate) async fn open(
        address: &Address,
        certified: &str,
        connect_options: &ConnectOptions,
    ) -> Result<(Self, Info), ConnectionError> {
        timeout(CONNECT_TIME, Self::agree(address, certified, connect_options))
            .await
            .unwrap_or(Err(ConnectionError::Time))
    }

    async fn agree(
        address: &Address,
        certified: &str,
        connect_options: &ConnectOptions,
    ) -> Result<(Self, Info), ConnectionError> {
        let stream = dial(&address.host, address.port).await?;
        stream.set_nodelay(true)?;
        let parser = Parser::new(connect_options.payload_bytes);
        let mut connection = Self { stream: Either::Left(stream), buffer: BytesMut::new(), parser };
        if connect_options.tls_first {
            connection = connection.encrypted(certified, connect_options).await?;
        }
        let mut info = connection.info().await?;
        let required = connect_options.tls_required || address.tls;
        let encrypted = connect_options.tls_first || required || info.tls_required;
        if required && !connect_options.tls_first && !info.tls_required && !info.tls_available {
            return Err(ConnectionError::NoTls);
        }
        if encrypted && !connect_options.tls_first {
            connection = connection.encrypted(certified, connect_options).await?;
        }
        if !info.headers {
            return Err(ConnectionError::NoHeaders);
        }
        let proof = match &address.identity {
            Some(identity) => identity.prove(&info.nonce)?,
            None => connect_options.credentials.current().await.prove(&info.nonce)?,
        };
        let connect = Connect {
            verbose: false,
            pedantic: false,
            tls_required: encrypted,
            name: &connect_options.name,
            lang: "rust",
            version: env!("CARGO_PKG_VERSION"),
            protocol: 1,
            headers: true,
            no_responders: true,
            echo: true,
            proof,
        };
        let connect = serde_json::to_string(&connect).map_err(io::Error::from)?;
        connection.write(format!("CONNECT {connect}\r\nPING\r\n").as_bytes()).await?;
        // It may say more before it answers: who it is, again, where its cluster has changed meanwhile.
        loop {
            let mut end = None;
            connection.each(|op| match op {
                Op::Pong => end = Some(Ok(())),
                Op::Error(text) if end.is_none() => end = Some(Err(ConnectionError::Refused(readable(text)))),
                Op::Info(json) => {
                    if let Some(newer) = self::info(json) {
                        info = newer;
                    }
                }
                _ => {}
            })?;
            match end {
                Some(Ok(())) => return Ok((connection, info)),
                Some(Err(error)) => return Err(error),
                None => connection.read().await?,
            }
        }
    }

    async fn encrypted(self, certified: &str, connect_options: &ConnectOptions) -> Result<Self, ConnectionError> {
        let Either::Left(stream) = self.stream else { return Ok(self) };
        let name = ServerName::try_from(certified.to_owned()).map_err(|_| ConnectionError::Name)?;
        let stream = TlsConnector::from(connect_options.tls.clone()).connect(name, stream).await?;
        // Bytes in the clear behind the first line did not come from the server that is certified
        // now.
        Ok(Self { stream: Either::Right(Box::new(stream)), buffer: BytesMut::new(), parser: self.parser })
    }

    async fn info(&mut self) -> Result<Info, ConnectionError> {
        loop {
            self.read().await?;
            let mut said = None;
            self.each(|op| {
                said = Some(match op {
                    Op::Info(json) => info(json).ok_or(ConnectionError::NoInfo),
                    Op::Error(text) => Err(ConnectionError::Refused(readable(text))),
                    _ => Err(ConnectionError::NoInfo),
                });
            })?;
            if let Some(said) = said {
                return said;
            }
        }
    }

    /// Waits for bytes. Cancel-safe.
    pub(crate) async fn read(&mut self) -> Result<(), ConnectionError> {
        self.buffer.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(ConnectionError::Closed),
            _ => Ok(()),
        }
    }

    /// Hands out all that has been said completely.
    pub(crate) fn each(&mut self, said: impl FnMut(Op<'_>)) -> Result<(), BadStream> {
        let done = self.parser.each(&self.buffer, said)?;
        self.buffer.advance(done);
        // One large message does not make the buffer large for ever.
        if self.buffer.is_empty() && self.buffer.capacity() > 2 * READ_BYTES {
            self.buffer = BytesMut::new();
        }
        Ok(())
    }

    /// Sends commands. Not cancel-safe: a command cut in two ends the line.
    pub(crate) async fn write(&mut self, commands: &[u8]) -> Result<(), ConnectionError> {
        let sent = async {
            self.stream.write_all(commands).await?;
            self.stream.flush().await
        };
        timeout(WRITE_TIME, sent).await.map_err(|_| ConnectionError::Time)?.map_err(ConnectionError::Io)
    }
}

/// The `INFO` of a server; nothing where that is not JSON.
pub(crate) fn info(json: &[u8]) -> Option<Info> {
    serde_json::from_slice(json).ok()
}

/// The server's words, without the quotes around them.
pub(crate) fn readable(text: &[u8]) -> String {
    String::from_utf8_lossy(text).trim_matches('\'').to_owned()
}
