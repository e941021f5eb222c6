//! PEM files as editors leave them: some put a byte order mark in front, and
//! the first block would not be found behind it.

use std::{fs, io, path::Path};

/// A byte order mark in UTF-8.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// The content of a PEM file, without a byte order mark.
///
/// # Errors
/// When it cannot be read.
pub fn read_pem(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path).map(without_mark)
}

/// Drops a byte order mark in front.
pub(crate) fn without_mark(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.starts_with(MARK) {
        bytes.drain(..MARK.len());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};

    use super::*;

    #[test]
    fn a_certificate_behind_a_byte_order_mark_is_found() {
        let made = rcgen::generate_simple_self_signed(["a".to_owned()]).expect("a certificate");
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), format!("\u{feff}{}", made.cert.pem())).expect("written");
        let pem = read_pem(file.path()).expect("it can be read");
        assert_eq!(CertificateDer::from_pem_slice(&pem).expect("a certificate"), *made.cert.der());
        assert_eq!(without_mark(pem.clone()), pem, "nothing else goes");
    }
}
