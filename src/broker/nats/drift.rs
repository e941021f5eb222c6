//! A stream that was as it has to be when the node started, and is so no longer:
//! it is told once for each change, and put back where the node may do that.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    broker::{
        degraded::Degraded,
        nats::jetstream::{JetStream, Plan, PlanStep, Wanted, inspect, update},
        stored::StreamState,
        stream_error::{Difference, StreamError},
    },
    sync::{Mutex, rank},
};

/// The least time between two attempts to put a stream back: somebody else may
/// want it otherwise.
const REPAIR_PAUSE: Duration = Duration::from_secs(10);

/// How one stream differs from what it has to be.
#[derive(Debug)]
pub(crate) struct Drift {
    state: Mutex<State, { rank::DRIFT }>,
    degraded: Arc<Degraded>,
}

#[derive(Debug, Default)]
struct State {
    /// The differences that were told last.
    told: Vec<Difference>,
    /// Remarks on the stream; none before the first look, since the start has
    /// told them then.
    notes: Option<Vec<String>>,
    repaired: Option<Instant>,
}

impl Drift {
    pub(crate) fn new(degraded: Arc<Degraded>) -> Self {
        Self { state: Mutex::default(), degraded }
    }

    /// Asks how far a stream has come, and sees to it that it stays as it has to be.
    ///
    /// # Errors
    /// See [`StreamError`].
    pub(crate) async fn watch(&self, jetstream: &JetStream, wanted: &Wanted) -> Result<StreamState, StreamError> {
        let name = &wanted.settings.name;
        let (state, Plan { step, notes }) = inspect(jetstream, wanted).await?;
        self.remark(name, notes);
        let (differences, settings) = match step {
            PlanStep::Fits => (Vec::new(), None),
            PlanStep::Update { settings, changes } => (changes, Some(settings).filter(|_| wanted.manage)),
            PlanStep::Impossible(differences) => (differences, None),
        };
        if self.note(name, differences, Instant::now())
            && let Some(settings) = settings
        {
            match update(jetstream, &settings).await {
                Ok(()) => tracing::info!(stream = name, "the stream was put back as it has to be"),
                Err(error) => tracing::warn!(stream = name, %error, "the stream cannot be put back as it has to be"),
            }
        }
        Ok(state)
    }

    /// Tells what is worth knowing now and was not before.
    fn remark(&self, name: &str, notes: Vec<String>) {
        let mut state = self.state.lock();
        if let Some(before) = &state.notes {
            for note in notes.iter().filter(|note| !before.contains(note)) {
                tracing::warn!(stream = name, note, "of the stream");
            }
        }
        state.notes = Some(notes);
    }

    /// Tells what has changed; true where it may be tried to put it back.
    fn note(&self, name: &str, differences: Vec<Difference>, now: Instant) -> bool {
        let mut state = self.state.lock();
        if differences != state.told {
            for Difference { setting, found, wanted, remedy } in &differences {
                tracing::warn!(
                    stream = name,
                    setting,
                    is = found,
                    has_to_be = wanted,
                    remedy,
                    "a stream is no longer as it has to be"
                );
            }
            if differences.is_empty() {
                tracing::info!(stream = name, "the stream is as it has to be again");
            }
            self.degraded.set_unfit(name, differences.iter().map(ToString::to_string).collect());
            state.told = differences;
        }
        let due = state.repaired.is_none_or(|repaired| now - repaired >= REPAIR_PAUSE);
        let repairs = due && !state.told.is_empty();
        if repairs {
            state.repaired = Some(now);
        }
        repairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn a_stream_is_put_back_at_once_and_then_not_too_often() {
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let says = |line: &str| metrics.render().contains(&format!("\n{line}\n"));
        let degraded = Arc::new(Degraded::new(metrics.clone()));
        let drift = Drift::new(degraded.clone());
        let difference =
            |setting| Difference { setting, found: "not set".into(), wanted: "set".into(), remedy: "set it".into() };
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        assert!(!drift.note("S", vec![], start));
        assert!(drift.note("S", vec![difference("republish")], start));
        assert!(!drift.note("S", vec![difference("republish")], start + second));
        let told = degraded.unfit();
        assert_eq!(told["S"], ["republish: is not set, has to be set; set it"]);
        assert!(!drift.note("S", vec![], start + 2 * second));
        assert!(degraded.unfit().is_empty() && says("notifier_streams_unfit 0"));
        assert!(!drift.note("S", vec![difference("subjects")], start + 3 * second));
        assert!(says("notifier_streams_unfit 1") && says("notifier_stream_drifts_total 2"));
        assert!(drift.note("S", vec![difference("subjects")], start + REPAIR_PAUSE));
    }
}
