//! TLS towards NATS: which authorities to trust, which certificate to show.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use crate::{
    broker::nats::error::NatsError,
    config::NatsTls,
    tls::{BadAuthorities, authorities, read_pem},
};

/// Reads the settings' files.
///
/// # Errors
/// [`NatsError::Tls`], naming the file.
pub(crate) fn client_config(tls: &NatsTls) -> Result<Arc<ClientConfig>, NatsError> {
    // The process-wide choice of cryptography; an earlier, equal one is fine.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let trusted = authorities(tls.ca_file.as_deref())
        .map_err(|BadAuthorities { path, problem }| NatsError::Tls { path, problem })?;
    let config = ClientConfig::builder().with_root_certificates(trusted);
    Ok(Arc::new(match (&tls.cert_file, &tls.key_file) {
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate)?;
            let private = read(key)?;
            let private = PrivateKeyDer::from_pem_slice(&private).map_err(|error| unusable(key, error))?;
            config.with_client_auth_cert(chain, private).map_err(|error| unusable(key, error))?
        }
        _ => config.with_no_client_auth(),
    }))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, NatsError> {
    let pem = read(path)?;
    match CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>() {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(unusable(path, "there is no certificate in it")),
        Err(error) => Err(unusable(path, error)),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, NatsError> {
    read_pem(path).map_err(|error| unusable(path, error))
}

fn unusable(path: &Path, problem: impl ToString) -> NatsError {
    NatsError::Tls { path: path.to_owned(), problem: problem.to_string() }
}
