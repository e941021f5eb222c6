//! The parts that all clients and services of a soak share.

use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use notifier::access::auth::Signer;
use notifier_verify::ledger::Ledger;

use super::{book::Book, world::claims};
use crate::clock;

/// One for each soak.
#[derive(Debug)]
pub(super) struct House {
    pub(super) listen: SocketAddr,
    issuer: Signer,
    pub(super) book: Book,
    /// How much shorter than usual everything is.
    pub(super) haste: f64,
    ledger: Mutex<Ledger>,
}

/// The ends of the streams, once nothing is published any more. Then guests come, stay until they have everything, and
/// leave for good.
pub(super) type Ends = Vec<(&'static str, u64)>;

impl House {
    pub(super) fn new(listen: SocketAddr, issuer: Signer, haste: f64) -> Self {
        Self { listen, issuer, book: Book::default(), haste, ledger: Mutex::default() }
    }

    /// A token for a user in a role that holds for these seconds.
    pub(super) fn token(&self, user: &str, role: &str, lasts: u64) -> String {
        self.issuer.mint(&claims(user, role, clock::unix() + lasts)).unwrap_or_default()
    }

    /// The events that JetStream has acknowledged.
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
