//! An authority of the tests' own, and what it vouches for.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use notifier::{config::Config, tls::Trust};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    /// With a certificate and key for this machine, `node.pem` and `node.key`.
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let folder = tempfile::tempdir().expect("a folder");
        let certificate = params.self_signed(&key).expect("a certificate");
        fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("room");
        let authority = Self { issuer: Issuer::new(params, key), folder };
        authority.issue("node", Duration::days(30));
        authority
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes `name.pem` and `name.key`, which end after some time. The one
    /// stands complete before the other, as with everybody who renews.
    pub fn issue(&self, name: &str, life: Duration) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["127.0.0.1".into(), "localhost".into()]).expect("parameters");
        params.not_before = OffsetDateTime::now_utc() - Duration::days(60);
        params.not_after = OffsetDateTime::now_utc() + life;
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        replace(&self.path(&format!("{name}.pem")), &certificate.pem());
        replace(&self.path(&format!("{name}.key")), &key.serialize_pem());
    }

    /// Settings with TLS towards clients, looked at often.
    pub fn serve(&self, config: &mut Config) {
        config.server.tls.cert_file = Some(self.path("node.pem"));
        config.server.tls.key_file = Some(self.path("node.key"));
        config.server.tls.reload = std::time::Duration::from_millis(20).into();
    }

    /// The same towards operators.
    pub fn serve_internal(&self, config: &mut Config) {
        config.server.internal_tls.cert_file = Some(self.path("node.pem"));
        config.server.internal_tls.key_file = Some(self.path("node.key"));
    }

    pub fn trust(&self) -> Trust {
        Trust::Authorities(self.path("ca.pem"))
    }

    /// A client's settings, with the certificate of that name.
    pub fn client(&self, versions: &[&'static SupportedProtocolVersion], own: Option<&str>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).expect("PEM")).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_protocol_versions(versions).expect("versions").with_root_certificates(roots);
        let Some(name) = own else { return builder.with_no_client_auth() };
        let chain = vec![CertificateDer::from_pem_file(self.path(&format!("{name}.pem"))).expect("PEM")];
        let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).expect("PEM");
        builder.with_client_auth_cert(chain, key).expect("a pair")
    }

    /// A stream with the usual settings.
    pub async fn stream(&self, address: SocketAddr) -> TlsStream<TcpStream> {
        handshake(address, Arc::new(self.client(rustls::ALL_VERSIONS, None))).await.expect("a handshake")
    }
}

pub async fn handshake(address: SocketAddr, config: Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("127.0.0.1").expect("a name");
    TlsConnector::from(config).connect(name, stream).await
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("room");
    fs::rename(new, path).expect("a folder of ours");
}
