//! A certificate for the servers that are measured over TLS, and the clients that trust it.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::aws_lc_rs::default_provider,
    version::{TLS12, TLS13},
};

use crate::failure::{Because as _, Outcome};

/// The domain below which each client asks for a name of its own. Sessions are kept by name, so that each client resumes
/// its own one, as a browser does when it comes back.
pub const DOMAIN: &str = "bench.test";

/// Sessions that the clients keep at most: more than there are clients.
const SESSIONS: usize = 32_768;

/// A certificate with its key, in files, and the settings of clients that trust nothing else.
#[derive(Clone)]
pub struct Certificate {
    /// The certificate, in PEM form. ECDSA P-256, as most sites have it today.
    pub cert_file: PathBuf,
    /// Its private key, in PEM form.
    pub key_file: PathBuf,
    /// How its clients speak. Without any session to begin with.
    pub client: Arc<ClientConfig>,
}

impl Certificate {
    /// Makes one, with files in `folder`.
    pub fn create(folder: &Path) -> Outcome<Self> {
        let cannot = || "cannot make a certificate".to_owned();
        let names = vec![format!("*.{DOMAIN}")];
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).because(cannot)?;
        let [cert_file, key_file] = ["server.pem", "server.key"].map(|name| folder.join(name));
        std::fs::write(&cert_file, cert.pem()).because(cannot)?;
        std::fs::write(&key_file, signing_key.serialize_pem()).because(cannot)?;
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).because(cannot)?;
        let mut client = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .because(cannot)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        client.resumption = Resumption::in_memory_sessions(SESSIONS);
        Ok(Self { cert_file, key_file, client: Arc::new(client) })
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("cert_file", &self.cert_file).finish_non_exhaustive()
    }
}
