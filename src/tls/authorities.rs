//! The certificate authorities that this node trusts as a client: those of a
//! file, or the system's.

use std::path::{Path, PathBuf};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::tls::pem::read_pem;

/// A file holds no authorities to trust.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct BadAuthorities {
    /// Which file.
    pub path: PathBuf,
    /// The problem of the file.
    pub problem: String,
}

/// The authorities in a PEM file, or without one those of the system.
///
/// # Errors
/// When the file cannot be used.
pub fn authorities(file: Option<&Path>) -> Result<RootCertStore, BadAuthorities> {
    let mut trusted = RootCertStore::empty();
    let Some(path) = file else {
        // Those of the system that do not parse help nobody and harm nobody.
        trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(trusted);
    };
    let unusable = |problem: &dyn ToString| BadAuthorities { path: path.into(), problem: problem.to_string() };
    let pem = read_pem(path).map_err(|error| unusable(&error))?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        trusted.add(certificate.map_err(|error| unusable(&error))?).map_err(|error| unusable(&error))?;
    }
    if trusted.is_empty() { Err(unusable(&"there is no certificate in it")) } else { Ok(trusted) }
}
