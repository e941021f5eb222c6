//! The keys of an issuer as this node has them now. Those of a file never
//! change; those of a URL are fetched by a `JwksRefresher`, which is told when a token
//! names a key that is not here.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout_at},
};

use crate::access::auth::{keys::Keys, token_error::TokenError, unverified_token::UnverifiedToken};

/// How long a token with an unknown key waits for the keys to be fetched.
/// Below `limits.connect_time`, so that its client hears why.
const PATIENCE: Duration = Duration::from_secs(3);

/// The state of an issuer's keys.
#[derive(Clone, Debug)]
pub(crate) struct KeyringState {
    pub(crate) keys: Arc<Keys>,
    /// When the last fetch that has ended was begun; none has.
    pub(crate) asked: Option<Instant>,
    /// When the last one that succeeded had ended.
    pub(crate) fetched: Option<Instant>,
    /// Why the last one failed, if it has, and what to do about it.
    pub(crate) failure: Option<(String, &'static str)>,
    /// When the next one is begun at the latest.
    pub(crate) next: Option<Instant>,
}

/// The keys of an issuer.
#[derive(Debug)]
pub(crate) struct Keyring {
    known: watch::Receiver<KeyringState>,
    wanted: Arc<Notify>,
    /// Whether somebody fetches them.
    kept: bool,
}

impl Keyring {
    /// Keys that stay.
    pub(crate) fn fixed(keys: Keys) -> Self {
        let known = KeyringState { keys: Arc::new(keys), asked: None, fetched: None, failure: None, next: None };
        Self { known: watch::channel(known).1, wanted: Arc::default(), kept: false }
    }

    /// Keys that are fetched, none yet; and what a refresher needs.
    pub(crate) fn fetched() -> (Self, watch::Sender<KeyringState>, Arc<Notify>) {
        let known = KeyringState { keys: Arc::default(), asked: None, fetched: None, failure: None, next: None };
        let (sender, receiver) = watch::channel(known);
        let wanted = Arc::new(Notify::new());
        (Self { known: receiver, wanted: wanted.clone(), kept: true }, sender, wanted)
    }

    /// Whether there are keys.
    pub(crate) fn has_begun(&self) -> bool {
        !self.kept || self.known.borrow().fetched.is_some()
    }

    /// The present state; nothing where keys stay.
    pub(crate) fn known(&self) -> Option<KeyringState> {
        self.kept.then(|| self.known.borrow().clone())
    }

    /// The claims of a token that one of the keys verifies. A key that is not
    /// here may be new: it is waited for, until a fetch that was begun later
    /// than now has settled it.
    ///
    /// # Errors
    /// An error of the token, or that it cannot be judged now.
    pub(crate) async fn verify(
        &self,
        token: &str,
        unverified_token: &UnverifiedToken,
    ) -> Result<Map<String, Value>, TokenError> {
        let begun = Instant::now();
        let mut news = self.known.clone();
        loop {
            let known = news.borrow_and_update().clone();
            let verified = known.keys.verify(token, unverified_token.algorithm, unverified_token.key.as_deref());
            if !self.kept || !verified.as_ref().is_err_and(|token_error| may_be_new(token_error, unverified_token)) {
                return verified;
            }
            if known.asked.is_some_and(|asked| asked >= begun) {
                return if known.failure.is_some() { Err(TokenError::KeysUnavailable) } else { verified };
            }
            self.wanted.notify_one();
            if !timeout_at(begun + PATIENCE, news.changed()).await.is_ok_and(|told| told.is_ok()) {
                return Err(TokenError::KeysUnavailable);
            }
        }
    }
}

/// Whether a key that is not here yet might mend it.
fn may_be_new(token_error: &TokenError, unverified_token: &UnverifiedToken) -> bool {
    match token_error {
        TokenError::UnknownKey => true,
        // It names none, so the new one could be anyone.
        TokenError::Signature => unverified_token.key.is_none(),
        _ => false,
    }
}
