//! The other end, for the command line: a client that checks a node's
//! certificate by its authorities, or knows the very certificate.

use std::{io, path::PathBuf, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs::default_provider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::tls::{authorities::authorities, pem::read_pem};

/// The authorities whose certificates a client accepts.
#[derive(Clone, Debug, Default)]
pub enum Trust {
    /// Those that the system's authorities vouch for.
    #[default]
    System,
    /// Those that the authorities in this PEM file vouch for.
    Authorities(PathBuf),
    /// The first one in this PEM file, whatever name it is for: who asks the
    /// node on the same machine has the node's own file.
    Certificate(PathBuf),
}

/// Makes a handshake with the node called `name`.
///
/// # Errors
/// When the file of `trust` cannot be used, or the certificate does not hold.
pub async fn connect(stream: TcpStream, name: &str, trust: &Trust) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    TlsConnector::from(Arc::new(config(trust)?)).connect(name, stream).await
}

fn config(trust: &Trust) -> io::Result<ClientConfig> {
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    let file = match trust {
        Trust::System => None,
        Trust::Authorities(path) => Some(path.as_path()),
        Trust::Certificate(path) => {
            let certificate = CertificateDer::from_pem_slice(&read_pem(path)?).map_err(io::Error::other)?;
            let known = Arc::new(Known { certificate, provider });
            return Ok(builder.dangerous().with_custom_certificate_verifier(known).with_no_client_auth());
        }
    };
    Ok(builder.with_root_certificates(authorities(file).map_err(io::Error::other)?).with_no_client_auth())
}

/// Takes one certificate and no other.
#[derive(Debug)]
struct Known {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match *certificate == self.certificate {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
