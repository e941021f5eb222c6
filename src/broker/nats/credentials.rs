//! Credentials of the node at NATS, read again for each connection: an operator
//! replaces the file of a secret, and no node has to be restarted.

use std::fmt;

use tokio::{task::spawn_blocking, time::Instant};

use crate::{
    broker::nats::{address::Address, error::NatsError, identity::NatsIdentity},
    config,
    retry_log::RetryLog,
    sync::Mutex,
};

/// The node's credentials.
pub(crate) struct Credentials {
    settings: config::Nats,
    state: Mutex<State>,
}

struct State {
    /// As it was read last.
    identity: NatsIdentity,
    log: RetryLog,
}

impl Credentials {
    /// The credentials in the settings, whose secrets were read when the
    /// settings were loaded. The client that publishes has one identity for all
    /// servers: where the settings name none, that of the first address with
    /// one counts.
    ///
    /// # Errors
    /// See [`NatsError`].
    pub(crate) fn of(nats: &config::Nats, servers: &[Address]) -> Result<Self, NatsError> {
        let identity = match NatsIdentity::of(nats)? {
            NatsIdentity::Nobody => {
                servers.iter().find_map(|server| server.identity.clone()).unwrap_or(NatsIdentity::Nobody)
            }
            set => set,
        };
        Ok(Self { settings: nats.clone(), state: Mutex::new(State { identity, log: RetryLog::default() }) })
    }

    /// As the files say now; while one of them cannot be used, as they said last.
    pub(crate) async fn current(&self) -> NatsIdentity {
        if !self.settings.has_secret_files() {
            return self.state.lock().identity.clone();
        }
        let settings = self.settings.clone();
        #[allow(clippy::disallowed_methods)] // its end is awaited here
        let read = spawn_blocking(move || read(settings)).await;
        let mut state = self.state.lock();
        match read {
            Ok(Ok(identity)) => {
                if identity != state.identity {
                    tracing::info!("the credentials for NATS have changed");
                    state.identity = identity;
                }
            }
            Ok(Err(problem)) => {
                let problem = problem.to_string();
                if state.log.is_due(&problem, Instant::now()) {
                    tracing::warn!(problem, "the credentials for NATS cannot be read again; those before are used");
                }
            }
            // The node ends.
            Err(_) => {}
        }
        state.identity.clone()
    }
}

fn read(mut nats: config::Nats) -> Result<NatsIdentity, NatsError> {
    nats.read_secrets_again()?;
    NatsIdentity::of(&nats)
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // All of it is secret.
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::Nats;

    #[tokio::test]
    async fn a_replaced_file_counts_at_once_and_one_that_is_gone_does_not_lock_the_node_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("password");
        fs::write(&path, "old\n").expect("room");
        let (user, password_file) = (Some("node".into()), Some(path.clone()));
        let mut nats = Nats { user, password_file, ..Nats::default() };
        nats.read_secrets_again().expect("readable");
        let credentials = Credentials::of(&nats, &[]).expect("readable");
        let password = async || match credentials.current().await {
            NatsIdentity::User { password, .. } => password,
            other => panic!("{other:?}"),
        };
        assert_eq!(password().await, "old");
        fs::write(&path, "\u{feff}new\n").expect("room");
        assert_eq!(password().await, "new");
        fs::remove_file(&path).expect("it was there");
        assert_eq!(password().await, "new");
        assert!(!format!("{credentials:?}").contains("new"));
    }
}
