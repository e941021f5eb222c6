//! Fetches one small document over HTTP or HTTPS: bounded in size, without
//! redirects, on a connection of its own.

use std::{io, path::Path, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::{Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig,
    pki_types::{InvalidDnsNameError, ServerName},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use url::Url;

use crate::{
    dial::dial,
    tls::{self, BadAuthorities},
};

/// The user agent of this node.
const AGENT: &str = concat!("notifier/", env!("CARGO_PKG_VERSION"));

/// Largest document, bytes. Sets of keys have 1 to 20 KiB, certificates included.
const BYTES: usize = 512 * 1024;

/// A document and how to reach it.
pub(crate) struct Document {
    host: String,
    port: u16,
    /// Host and port as the header wants them.
    authority: String,
    path: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// Why a document could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("no connection: {0}")]
    Connect(io::Error),
    #[error("no TLS: {0}")]
    Tls(io::Error),
    #[error("no answer: {0}")]
    Http(#[from] hyper::Error),
    #[error("the URL is none that HTTP allows")]
    Url,
    #[error("the answer is {0} instead of 200; redirects are not followed")]
    Status(StatusCode),
    #[error("the answer has more than {BYTES} bytes")]
    TooLarge,
    #[error("the answer broke off")]
    Broken,
    #[error("no answer in time")]
    Time,
}

impl FetchError {
    /// The remedy.
    pub(crate) fn remedy(&self) -> &'static str {
        match self {
            Self::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                "nobody listens there: check host and port of jwks_url, and whether the issuer runs"
            }
            Self::Connect(_) | Self::Time => {
                "check the host of jwks_url, the resolver, and whether firewalls let the node through"
            }
            Self::Tls(_) => "check the certificate of the issuer; name its authority in jwks_ca_file",
            Self::Url | Self::Status(_) | Self::TooLarge => {
                "check jwks_url: it has to be the address of the key set itself"
            }
            Self::Http(_) | Self::Broken => "check that HTTP is spoken at jwks_url, or HTTPS where it says so",
        }
    }
}

/// Why a document cannot be fetched, ever.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    #[error("is no URL")]
    Url,
    #[error("{0}")]
    Name(#[from] InvalidDnsNameError),
    #[error("{0}")]
    Tls(#[from] rustls::Error),
    #[error(transparent)]
    Authorities(#[from] BadAuthorities),
}

impl Document {
    /// The document at a URL; `authorities` is a PEM file with those to trust
    /// instead of the system's.
    ///
    /// # Errors
    /// When the URL names no host, or the file holds no certificates.
    pub(crate) fn new(url: &Url, authorities: Option<&Path>) -> Result<Self, DocumentError> {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(DocumentError::Url);
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = if url.scheme() == "https" {
            Some((connector(authorities)?, ServerName::try_from(bare.clone())?))
        } else {
            None
        };
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        Ok(Self { host: bare, port, authority, path, tls })
    }

    /// Fetches the document as it is now. The other side decides how long this
    /// takes, so the caller bounds it.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub(crate) async fn fetch(&self) -> Result<Bytes, FetchError> {
        let stream = dial(&self.host, self.port).await.map_err(FetchError::Connect)?;
        match &self.tls {
            None => self.ask(stream).await,
            Some((connector, name)) => {
                self.ask(connector.connect(name.clone(), stream).await.map_err(FetchError::Tls)?).await
            }
        }
    }

    async fn ask(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send) -> Result<Bytes, FetchError> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut request = Request::new(Empty::<Bytes>::new());
        // The configuration has checked the URL, so these are valid.
        *request.uri_mut() = self.path.parse().map_err(|_| FetchError::Url)?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.authority.parse().map_err(|_| FetchError::Url)?);
        headers.insert(header::ACCEPT, header::HeaderValue::from_static("application/json, application/jwk-set+json"));
        headers.insert(header::USER_AGENT, header::HeaderValue::from_static(AGENT));
        let answer = async {
            let response = sender.send_request(request).await?;
            if response.status() != StatusCode::OK {
                return Err(FetchError::Status(response.status()));
            }
            match Limited::new(response.into_body(), BYTES).collect().await {
                Ok(body) => Ok(body.to_bytes()),
                Err(error) if error.is::<LengthLimitError>() => Err(FetchError::TooLarge),
                Err(_) => Err(FetchError::Broken),
            }
        };
        tokio::pin!(answer);
        tokio::select! {
            answer = &mut answer => answer,
            ended = connection => match ended {
                // The answer that came before the end still counts.
                Ok(()) => answer.await,
                Err(error) => Err(FetchError::Http(error)),
            },
        }
    }
}

fn connector(authorities: Option<&Path>) -> Result<TlsConnector, DocumentError> {
    let trusted = tls::authorities(authorities)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
