//! Streams of JetStream: whether they are as the configuration wants them,
//! making them so, and how far they have come.

mod api;
mod plan;
mod settings;
mod state;
mod transform;
mod version;
mod wanted;

use serde::Deserialize;
use serde_json::Value;

pub(crate) use api::{JetStream, StoredMessage, direct_get, next, update};
pub(crate) use plan::{Plan, PlanStep};
pub(crate) use wanted::Wanted;

use crate::broker::{
    stored::StreamState,
    stream_error::{Difference, Differences, StreamError},
};
use plan::{drift, plan};
use settings::Settings;
use state::State;

/// How often a stream is read and changed before somebody else's changes are
/// given in to. Two nodes that start together need two rounds.
const ROUNDS: usize = 5;

/// A stream that is as it has to be.
#[derive(Debug)]
pub struct Report {
    /// Whether it was created.
    pub created: bool,
    /// The settings that were changed.
    pub changes: Vec<Difference>,
    /// Remarks for operators.
    pub notes: Vec<String>,
    /// How far it has come.
    pub state: StreamState,
}

impl Report {
    /// Writes down what was done.
    pub(crate) fn tell(&self, stream: &str) {
        if self.created {
            tracing::info!(stream, "the stream was created");
        }
        for change in &self.changes {
            tracing::info!(
                stream,
                setting = change.setting,
                from = change.found,
                to = change.wanted,
                "a setting was changed"
            );
        }
        for note in &self.notes {
            tracing::info!(stream, note, "of the stream");
        }
    }
}

/// Checks a stream and, with `apply`, makes it what it has to be. Several nodes
/// may do so at the same moment. A node passes its `manage`.
///
/// # Errors
/// See [`StreamError`]: what is left to differ, or why nobody knows.
pub(crate) async fn ensure_streams(jetstream: &JetStream, wanted: &Wanted, apply: bool) -> Result<Report, StreamError> {
    let version = jetstream.server_version();
    if version.is_empty() {
        return Err(StreamError::Away);
    }
    version::check(&version)?;
    let name = &wanted.settings.name;
    let (mut created, mut changed) = (false, Vec::new());
    for _ in 0..ROUNDS {
        let Described { config, state: State { stream: state, .. } } = match api::info(jetstream, name).await {
            Ok(described) => described,
            Err(StreamError::Missing) if apply => {
                // Another node may have been first; the next round compares the stream in any case.
                created |= api::create(jetstream, &wanted.settings).await?;
                continue;
            }
            Err(other) => return Err(other),
        };
        let Plan { step, notes } = plan(wanted, &config);
        match step {
            PlanStep::Fits => return Ok(Report { created, changes: changed, notes, state }),
            PlanStep::Update { settings, changes } if apply => {
                api::update(jetstream, &settings).await?;
                changed.extend(changes);
            }
            PlanStep::Update { changes: differences, .. } | PlanStep::Impossible(differences) => {
                return Err(StreamError::Differs(Differences(differences)));
            }
        }
    }
    Err(StreamError::Contested)
}

/// The parts of a stream's description that are compared.
#[derive(Deserialize)]
#[serde(try_from = "Value")]
struct Described {
    config: Settings,
    state: State,
}

impl TryFrom<Value> for Described {
    type Error = serde_json::Error;

    // Both are of its configuration, which a flattened field would not see.
    fn try_from(told: Value) -> Result<Self, Self::Error> {
        Ok(Self { config: Settings::deserialize(&told["config"])?, state: State::deserialize(&told)? })
    }
}

/// Asks how far a stream has come, and compares it with what a running node needs
/// of it; at most 2 s.
///
/// # Errors
/// See [`StreamError`]; also when who answers may not be its leader any more.
pub(crate) async fn inspect(jetstream: &JetStream, wanted: &Wanted) -> Result<(StreamState, Plan), StreamError> {
    let Described { config, state } = api::info(jetstream, &wanted.settings.name).await?;
    Ok((certain(state)?, drift(wanted, &config)))
}

/// Asks how far a stream has come; at most 2 s.
///
/// # Errors
/// See [`StreamError`]; also when who answers may not be its leader any more.
pub(crate) async fn state(jetstream: &JetStream, name: &str) -> Result<StreamState, StreamError> {
    certain(api::info(jetstream, name).await?)
}

/// Asks through which sequence nothing is stored, from one on and at most to
/// another, up to which something was stored at some time.
///
/// # Errors
/// See [`StreamError`]; also when who answers may not be its leader any more.
pub(crate) async fn deleted_through(
    jetstream: &JetStream,
    name: &str,
    from: u64,
    to: u64,
) -> Result<Option<u64>, StreamError> {
    let state: State = api::details(jetstream, name).await?;
    let deleted_through = state.deleted_through(from, to);
    if certain(state)?.last < to {
        return Err(StreamError::Unavailable("its leader has not caught up".to_owned()));
    }
    Ok(deleted_through)
}

/// Asks how far a stream has come, and which sequences in it have no event.
///
/// # Errors
/// See [`StreamError`]; also when who answers may not be its leader any more.
pub(crate) async fn deleted(jetstream: &JetStream, name: &str) -> Result<(StreamState, Vec<u64>), StreamError> {
    let mut state: State = api::details(jetstream, name).await?;
    let deleted = std::mem::take(&mut state.deleted);
    Ok((certain(state)?, deleted))
}

fn certain(state: State) -> Result<StreamState, StreamError> {
    if state.certain {
        return Ok(state.stream);
    }
    Err(StreamError::Unavailable("the stream's leader is not in touch with most of the other servers".to_owned()))
}
