//! Fingerprints of revocations, by which nodes compare their lists: the same on
//! every build and version, unlike the hashes of the standard library. Pure.

use aws_lc_rs::digest::{Context, SHA256};

/// The first 8 bytes of a SHA-256 over the names, each behind its length, and
/// the times.
pub(crate) fn fingerprint(names: [&str; 3], times: [u64; 2]) -> u64 {
    let mut digest = Context::new(&SHA256);
    for name in names {
        digest.update(&(name.len() as u64).to_be_bytes());
        digest.update(name.as_bytes());
    }
    times.iter().for_each(|time| digest.update(&time.to_be_bytes()));
    digest.finish().as_ref().iter().take(8).fold(0, |all, byte| all << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_same_on_every_node() {
        let one = fingerprint(["user", "u1", "us"], [1, 2]);
        assert_eq!(one, 0x5824_432e_2f39_aaa2);
        let others = [
            fingerprint(["tokenId", "u1", "us"], [1, 2]),
            fingerprint(["user", "u1u", "s"], [1, 2]),
            fingerprint(["user", "u1", ""], [1, 2]),
            fingerprint(["user", "u1", "us"], [1, 3]),
        ];
        assert!(!others.contains(&one));
    }
}
