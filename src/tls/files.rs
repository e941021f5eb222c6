//! From PEM files to what a handshake needs. Every error names key and file.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs::{Ticketer, default_provider},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};
use tokio::io::AsyncReadExt as _;

use crate::{clock, config::ServerTls, tls::pem::without_mark};

/// The one protocol that listeners speak (RFC 7301): a WebSocket over HTTP/2 is
/// another thing (RFC 8441).
const ALPN: &[u8] = b"http/1.1";

/// Largest file, bytes. Bundles of all public authorities have some 250 KiB.
const FILE_BYTES: u64 = 1024 * 1024;

/// A file of certificates or keys that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {}: {problem}", path.display())]
pub struct TlsError {
    key: String,
    path: PathBuf,
    problem: String,
}

/// The files of a listener, as they were when they were read.
pub(crate) struct Files {
    certificate: File,
    key: File,
    authorities: Option<File>,
}

struct File {
    name: String,
    path: PathBuf,
    bytes: Vec<u8>,
}

/// The parsed content of the files.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Arc<ServerConfig>,
    /// When the certificate ends, since 1970.
    pub(crate) expires: Duration,
    /// Tells these files from others.
    pub(crate) print: u64,
}

impl Loaded {
    /// Whether the certificate is of no more use.
    pub(crate) fn has_expired(&self) -> bool {
        self.expires < clock::now()
    }
}

impl Files {
    /// Reads the files that `section` names; nothing where it is off.
    pub(crate) async fn read(section: &str, settings: &ServerTls) -> Result<Option<Self>, TlsError> {
        let (Some(certificate), Some(key)) = (&settings.cert_file, &settings.key_file) else { return Ok(None) };
        let authorities = match &settings.client_ca_file {
            Some(path) => Some(File::read(section, "client_ca_file", path).await?),
            None => None,
        };
        Ok(Some(Self {
            certificate: File::read(section, "cert_file", certificate).await?,
            key: File::read(section, "key_file", key).await?,
            authorities,
        }))
    }

    /// Tells these files from others. Nobody gains by making two alike.
    pub(crate) fn print(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for file in [&self.certificate, &self.key].into_iter().chain(&self.authorities) {
            file.bytes.hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Parses the files. With `optional`, clients without a certificate are let
    /// in too, and told apart later.
    pub(crate) fn load(&self, optional: bool) -> Result<Loaded, TlsError> {
        let chain = self.certificate.certificates()?;
        let expires = self.certificate.expiry(&chain)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key.bytes)
            .map_err(|error| self.key.wrong(format!("holds no private key that can be read ({error})")))?;
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| self.certificate.wrong(error))?;
        let builder = match &self.authorities {
            Some(file) => builder.with_client_cert_verifier(file.verifier(optional)?),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| {
            self.key.wrong(format!("does not go with {} ({error})", self.certificate.path.display()))
        })?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        // Storms of reconnects resume: one signature less each. The ticketer ends with these files.
        config.ticketer = Ticketer::new().map_err(|error| self.certificate.wrong(error))?;
        Ok(Loaded { config: Arc::new(config), expires, print: self.print() })
    }

    /// Why these do not take the place of those in use.
    pub(crate) fn expired(&self) -> TlsError {
        self.certificate.wrong("the certificate has expired")
    }
}

impl File {
    async fn read(section: &str, key: &str, path: &Path) -> Result<Self, TlsError> {
        let mut file = Self { name: format!("{section}.{key}"), path: path.into(), bytes: Vec::new() };
        let read = async {
            let opened = tokio::fs::File::open(path).await?;
            opened.take(FILE_BYTES).read_to_end(&mut file.bytes).await
        };
        match read.await {
            Ok(_) => Ok(Self { bytes: without_mark(file.bytes), ..file }),
            Err(error) => Err(file.wrong(error)),
        }
    }

    fn wrong(&self, problem: impl ToString) -> TlsError {
        TlsError { key: self.name.clone(), path: self.path.clone(), problem: problem.to_string() }
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        match CertificateDer::pem_slice_iter(&self.bytes).collect::<Result<Vec<_>, _>>() {
            Ok(chain) if !chain.is_empty() => Ok(chain),
            Ok(_) => Err(self.wrong("holds no certificate in PEM form")),
            Err(error) => Err(self.wrong(format!("holds no certificate that can be read ({error})"))),
        }
    }

    /// When the first certificate ends, which is the listener's own.
    fn expiry(&self, chain: &[CertificateDer<'_>]) -> Result<Duration, TlsError> {
        let own = chain.first().map(|own| x509_parser::parse_x509_certificate(own));
        let Some(Ok((_, own))) = own else { return Err(self.wrong("holds no X.509 certificate")) };
        Ok(Duration::from_secs(u64::try_from(own.validity().not_after.timestamp()).unwrap_or_default()))
    }

    fn verifier(&self, optional: bool) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|error| self.wrong(error))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()));
        let builder = if optional { builder.allow_unauthenticated() } else { builder };
        builder.build().map_err(|error| self.wrong(error))
    }
}
