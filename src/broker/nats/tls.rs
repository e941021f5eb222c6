//! TLS towards NATS: which authorities to trust, which certificate to show.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use crate::{broker::nats::error::NatsError, config::NatsTls};

/// Reads the settings' files.
///
/// # Errors
/// [`NatsError::Tls`], naming the file.
pub(crate) fn client_config(tls: &NatsTls) -> Result<Arc<ClientConfig>, NatsError> {
    // The process-wide choice of cryptography; an earlier, equal one is fine.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let config = ClientConfig::builder().with_root_certificates(authorities(tls)?);
    Ok(Arc::new(match (&tls.cert_file, &tls.key_file) {
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate)?;
            let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, error))?;
            config.with_client_auth_cert(chain, private).map_err(|error| unusable(key, error))?
        }
        _ => config.with_no_client_auth(),
    }))
}

fn authorities(tls: &NatsTls) -> Result<RootCertStore, NatsError> {
    let mut store = RootCertStore::empty();
    match &tls.ca_file {
        Some(path) => {
            for certificate in certificates(path)? {
                store.add(certificate).map_err(|error| unusable(path, error))?;
            }
        }
        // Those of the system that do not parse help nobody and harm nobody.
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, NatsError> {
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| unusable(path, error))?.collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(unusable(path, "there is no certificate in it")),
        Err(error) => Err(unusable(path, error)),
    }
}

fn unusable(path: &Path, problem: impl ToString) -> NatsError {
    NatsError::Tls { path: path.to_owned(), problem: problem.to_string() }
}
