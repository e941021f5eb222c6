//! Attempts at the broker that fail now: connections, streams, and reads of streams. For the log
//! and for operators; a reason here never holds a secret.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use crate::{retry_log::RetryLog, sync::Mutex};

/// How long the broker's word on something that it refuses explains a silence:
/// longer than any question waits for its answer.
const SAID_TIME: Duration = Duration::from_secs(10);

/// How long something counts as failing beyond the time of its next attempt: what is
/// asked for now and then, as reads are, may have none for hours.
const LAPSE: Duration = Duration::from_secs(60);

/// Such words that are remembered; what clients try adds some of its own.
const SAID: usize = 32;

/// Failed attempts, by what they were for.
#[derive(Debug, Default)]
pub struct Attempts {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failed: BTreeMap<Attempted, Failed>,
    /// One for all, since all fail together: a reason is told once and not by each.
    log: RetryLog,
    /// Refusals of the broker lately, in its words.
    said: Vec<(Instant, String)>,
}

/// The purpose of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Attempted {
    /// The connection that publishes.
    Publishing,
    /// One of the connections to read from.
    Reading(usize),
    /// The connection that stores, on which acknowledgements come in.
    Storing,
    /// A stream, that it is as it has to be.
    Stream(usize),
    /// The state of a stream, and what is deleted from it.
    State(usize),
    /// Reads of what a stream keeps, from any copy of it.
    Reads(usize),
    /// Reads from its leader.
    LeaderReads(usize),
}

/// Why an attempt has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    /// The server, without credentials; empty where the problem names it.
    pub(crate) server: String,
    /// The problem.
    pub(crate) problem: String,
    /// The remedy; empty where the problem tells it.
    pub(crate) remedy: &'static str,
}

impl Cause {
    /// An error that names the remedy itself.
    pub(crate) fn of(error: &impl ToString) -> Self {
        Self { server: String::new(), problem: error.to_string(), remedy: "" }
    }
}

#[derive(Debug)]
struct Failed {
    cause: Cause,
    attempts: u64,
    next: Instant,
}

/// A reason for which attempts fail, for operators.
#[derive(Clone, Debug, PartialEq)]
pub struct Failing {
    /// Names of the attempts.
    pub what: BTreeSet<String>,
    /// Which server was tried last, where it is about one.
    pub server: String,
    /// The problem.
    pub problem: String,
    /// The remedy, where the problem does not tell it.
    pub remedy: &'static str,
    /// The attempts of the name that has failed most often.
    pub attempts: u64,
    /// When the next attempt is made; nothing where it is under way.
    pub next: Option<Duration>,
}

impl Attempted {
    /// Its name for operators, with that of its stream.
    fn name(self, streams: &[String]) -> String {
        let of = |kind: &str, index: usize| format!("{kind} {}", streams.get(index).map_or("", String::as_str));
        match self {
            Self::Publishing => "publishing".to_owned(),
            Self::Reading(_) => "reading".to_owned(),
            Self::Storing => "acknowledgements".to_owned(),
            Self::Stream(index) => of("the stream", index),
            Self::State(index) => of("the state of the stream", index),
            Self::Reads(index) | Self::LeaderReads(index) => of("reads of the stream", index),
        }
    }
}

impl Attempts {
    /// An attempt has failed, and the next one is made after a while; returns how
    /// many have failed in a row where it is to be told in the log.
    #[must_use]
    pub(crate) fn fail(&self, what: Attempted, cause: &Cause, next: Duration) -> Option<u64> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let attempts = state.fail(what, cause, now + next);
        // Where the remedy is the same, so is the reason: two clients of NATS put it in words of their own.
        let reason = if cause.remedy.is_empty() { &cause.problem } else { cause.remedy };
        state.log.is_due(reason, now).then_some(attempts)
    }

    /// The same for what somebody else tells in the log.
    pub(crate) fn note(&self, what: Attempted, cause: &Cause) {
        self.state.lock().fail(what, cause, Instant::now());
    }

    /// It works, or is of no interest while something else does not.
    pub(crate) fn clear(&self, what: Attempted) {
        self.state.lock().failed.remove(&what);
    }

    /// The broker says that it refuses something; whether it is to be told in the log.
    #[must_use]
    pub(crate) fn observe(&self, said: &str) -> bool {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.said.retain(|(at, text)| text != said && now.saturating_duration_since(*at) < SAID_TIME);
        if state.said.len() == SAID {
            state.said.remove(0);
        }
        state.said.push((now, said.to_owned()));
        state.log.is_due(said, now)
    }

    /// The last refusal of the broker that names a subject.
    pub(crate) fn said_of(&self, subject: &str) -> Option<String> {
        let now = Instant::now();
        let state = self.state.lock();
        let mut lately = state.said.iter().rev();
        let found = lately.find(|(at, text)| text.contains(subject) && now.saturating_duration_since(*at) < SAID_TIME);
        found.map(|(_, text)| text.clone())
    }

    /// Whether a reason is to be told in the log, of something that is not attempted here.
    pub(crate) fn is_due(&self, reason: &str) -> bool {
        self.state.lock().log.is_due(reason, Instant::now())
    }

    /// The attempts that fail now, one entry for each remedy; `streams` are the
    /// names of streams.
    pub fn failing(&self, streams: &[String]) -> Vec<Failing> {
        let now = Instant::now();
        let mut failing: Vec<Failing> = Vec::new();
        for (what, Failed { cause, attempts, next }) in &self.state.lock().failed {
            if now.saturating_duration_since(*next) > LAPSE {
                continue;
            }
            let next = Some(next.saturating_duration_since(now)).filter(|next| !next.is_zero());
            let name = what.name(streams);
            let same = |known: &&mut Failing| {
                known.remedy == cause.remedy && (!cause.remedy.is_empty() || known.problem == cause.problem)
            };
            match failing.iter_mut().find(same) {
                Some(known) => {
                    known.what.insert(name);
                    known.attempts = known.attempts.max(*attempts);
                    known.next = known.next.into_iter().chain(next).min();
                }
                None => failing.push(Failing {
                    what: BTreeSet::from([name]),
                    server: cause.server.clone(),
                    problem: cause.problem.clone(),
                    remedy: cause.remedy,
                    attempts: *attempts,
                    next,
                }),
            }
        }
        failing
    }
}

impl State {
    fn fail(&mut self, what: Attempted, cause: &Cause, next: Instant) -> u64 {
        let known = self.failed.entry(what).or_insert_with(|| Failed { cause: cause.clone(), attempts: 0, next });
        known.cause = cause.clone();
        known.attempts += 1;
        known.next = next;
        known.attempts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(problem: &str, remedy: &'static str) -> Cause {
        Cause { server: "h:4222".into(), problem: problem.into(), remedy }
    }

    #[test]
    fn what_fails_for_one_reason_is_told_once_and_listed_together() {
        let attempts = Attempts::default();
        let second = Duration::from_secs(1);
        let refused = cause("Connection refused (os error 111)", "start it");
        assert_eq!(attempts.fail(Attempted::Reading(0), &refused, 2 * second), Some(1));
        assert_eq!(attempts.fail(Attempted::Publishing, &cause("IO error: refused", "start it"), second), None);
        assert_eq!(attempts.fail(Attempted::Reading(1), &refused, second), None);
        assert_eq!(
            attempts.fail(Attempted::Reading(0), &cause("Authorization Violation", "check it"), second),
            Some(2)
        );
        attempts.note(Attempted::Reads(1), &cause("no answer; allow it", ""));
        let failing = attempts.failing(&["A".to_owned(), "B".to_owned()]);
        let what: Vec<_> = failing.iter().map(|one| one.what.iter().map(String::as_str).collect::<Vec<_>>()).collect();
        assert_eq!(what, [vec!["publishing", "reading"], vec!["reading"], vec!["reads of the stream B"]]);
        assert_eq!((failing[1].attempts, failing[2].next), (2, None));
        assert!(failing[0].next.is_some_and(|next| next <= second));
        for what in [Attempted::Reading(0), Attempted::Reading(1), Attempted::Publishing, Attempted::Reads(1)] {
            attempts.clear(what);
        }
        assert_eq!(attempts.failing(&[]), []);
    }

    #[test]
    fn what_the_broker_refuses_explains_a_silence() {
        let attempts = Attempts::default();
        let said = "Permissions Violation for Publish to \"$JS.API.INFO\"";
        assert!(attempts.observe(said) && !attempts.observe(said));
        assert_eq!(attempts.said_of("$JS.API.INFO").as_deref(), Some(said));
        assert_eq!(attempts.said_of("$JS.API.OTHER"), None);
        for number in 0..2 * SAID {
            let _ = attempts.observe(&format!("Permissions Violation for Publish to \"{}\"", "x".repeat(number)));
        }
        assert_eq!(attempts.state.lock().said.len(), SAID);
    }
}
