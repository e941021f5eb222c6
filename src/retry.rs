//! The patience of all that reads streams: how long something is tried again, and after which pauses. One row for each
//! reader; `docs/architecture.md`, "Patience", is the same table.

use std::{fmt, time::Duration};

use tokio::time::Instant;

use crate::sync::{sleep, timeout};

/// A rule for trying again.
#[derive(Clone, Copy, Debug)]
pub struct RetryRule {
    /// The pause between two attempts, at least and at most: a random one, where many would try at the same time.
    pause: (Duration, Duration),
    /// The time after which it is given up; nothing for what goes on as long as the node, or its connection, does.
    patience: Option<Duration>,
}

/// Declares the rules, each with what follows when it is given up.
macro_rules! retries {
    ($($(#[$doc:meta])* $name:ident = ($least:literal..$most:literal, $patience:expr), $then:literal;)*) => {
        $($(#[$doc])* pub const $name: RetryRule = RetryRule {
            pause: (Duration::from_millis($least), Duration::from_millis($most)),
            patience: $patience,
        };)*

        /// Each rule with its name and what follows when it is given up.
        pub const ALL: &[(&str, RetryRule, &str)] = &[$((stringify!($name), $name, $then)),*];
    };
}

/// Patience of so many seconds.
const fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

retries! {
    /// One page of Direct Get, from the request to its last event: one attempt.
    PAGE = (0..0, seconds(5)), "the reader tries again, or reads in another way";
    /// A copy of a stream that lags behind what is known to be stored, 40 attempts.
    COPY = (50..50, seconds(2)), "the reader tries again by its own rule";
    /// The reconciler of a stream. Nodes lose their broker together, and should not ask it together.
    RECONCILE = (250..500, None), "-";
    /// A position ahead of this node, since the node got on last: a leader that was just elected takes in what it has
    /// step by step.
    POSITION = (2_000..2_000, seconds(8)), "the position is void, or the reader tries again";
    /// A subscription that reads what it missed. Its client tries again, perhaps at another node.
    SUBSCRIBE = (250..250, seconds(10)), "the subscription is refused";
    /// A subscription whose connection lags in the stream that it joins.
    JOIN = (20..20, None), "it ends with its connection";
    /// A connection that catches up.
    CATCH_UP = (250..250, None), "it ends with its connection";
    /// An answer to `fetch`, as long as a stream takes to have a leader again.
    FETCH = (100..100, seconds(10)), "the request is refused";
}

/// How long a position ahead of this node is waited for at most, while the node gets on.
pub const POSITION_AT_MOST: Duration = Duration::from_secs(30);

impl RetryRule {
    /// Waits between two attempts.
    pub async fn pause(&self) {
        sleep(self.interval()).await;
    }

    /// A pause between two attempts.
    pub fn interval(&self) -> Duration {
        let (least, most) = self.pause;
        if least == most { least } else { least + (most - least).mul_f64(fastrand::f64()) }
    }

    /// The time after which it is given up.
    pub const fn patience(&self) -> Duration {
        match self.patience {
            Some(patience) => patience,
            None => Duration::MAX,
        }
    }

    /// As many attempts as there is patience for, with a pause behind each.
    pub const fn attempts(&self) -> usize {
        match self.pause.0.as_millis() {
            0 => 1,
            pause => (self.patience().as_millis() / pause) as usize,
        }
    }

    /// Begins to try by this rule.
    pub fn begin<E>(self) -> Patience<E> {
        Patience { rule: self, since: Instant::now(), failed: None }
    }
}

/// As a cell of the table on the page.
impl fmt::Display for RetryRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = self.pause;
        match (least, most) {
            (Duration::ZERO, _) => write!(f, "not tried again")?,
            _ if least == most => write!(f, "{least:?}")?,
            _ => write!(f, "{least:?} to {most:?}")?,
        }
        match self.patience {
            Some(patience) => write!(f, " | {patience:?}"),
            None => write!(f, " | for ever"),
        }
    }
}

/// How long something has failed, and why.
#[derive(Debug)]
pub struct Patience<E> {
    rule: RetryRule,
    since: Instant,
    failed: Option<E>,
}

impl<E: Clone> Patience<E> {
    /// The result of an attempt; nothing when another one is to be made, which is now. The first attempt may take its
    /// time, since many others may be at it too. Once one has failed, none lasts beyond the patience: so all who cannot
    /// be served are told together.
    ///
    /// # Errors
    /// Why it is given up: out of patience, or after an error that is final.
    pub async fn attempt<T>(
        &mut self,
        attempt: impl Future<Output = Result<T, E>>,
        is_final: impl FnOnce(&E) -> bool,
    ) -> Result<Option<T>, E> {
        let done = match &self.failed {
            None => attempt.await,
            Some(before) => match timeout(self.left(), attempt).await {
                Ok(done) => done,
                Err(_) => return Err(before.clone()),
            },
        };
        let error = match done {
            Ok(done) => return Ok(Some(done)),
            Err(error) => error,
        };
        let pause = self.rule.interval();
        if is_final(&error) || self.left() <= pause {
            return Err(error);
        }
        self.failed = Some(error);
        sleep(pause).await;
        Ok(None)
    }

    fn left(&self) -> Duration {
        self.rule.patience().saturating_sub(self.since.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, future::pending};

    use super::*;

    #[test]
    fn the_pages_table_is_that_of_the_code() {
        let page = fs::read_to_string("docs/architecture.md").expect("the page");
        let table = page.split("\n## Patience\n").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a table");
        let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| `")).collect();
        let row = |(name, retry, then): &(&str, RetryRule, &str)| format!("| `{name}` | {retry} | {then} |");
        let shown: Vec<_> = rows
            .iter()
            .map(|row| [1, 3, 4, 5].map(|cell| row.split('|').nth(cell).unwrap_or_default().trim()))
            .collect();
        let shown: Vec<_> = shown.iter().map(|cells| format!("| {} |", cells.join(" | "))).collect();
        assert_eq!(shown, ALL.iter().map(row).collect::<Vec<_>>());
        assert!(table.contains(&format!("{POSITION_AT_MOST:?} at most")));
    }

    #[test]
    fn a_pause_is_one_of_the_rule_and_attempts_are_those_that_fit() {
        let between = |least, most| (0..100).all(|_| (least..=most).contains(&RECONCILE.interval().as_millis()));
        assert!(between(250, 500));
        assert_eq!((COPY.attempts(), PAGE.attempts(), SUBSCRIBE.attempts()), (40, 1, 40));
    }

    /// A rule for tests.
    const SHORT: RetryRule =
        RetryRule { pause: (Duration::from_millis(50), Duration::from_millis(50)), patience: seconds(1) };

    #[tokio::test]
    async fn what_fails_is_tried_again_until_there_is_no_patience_left() {
        let mut patience = SHORT.begin::<usize>();
        let mut attempts = 0;
        let given_up = loop {
            attempts += 1;
            match patience.attempt::<()>(async { Err(attempts) }, |_| false).await {
                Ok(done) => assert_eq!(done, None),
                Err(error) => break error,
            }
        };
        assert_eq!(given_up, attempts, "the last error is told");
        assert!((2..=SHORT.attempts()).contains(&attempts), "{attempts}");

        let mut patience = SHORT.begin::<u32>();
        assert_eq!(patience.attempt::<()>(async { Err(1) }, |_| true).await, Err(1), "it is final");
        let mut patience = CATCH_UP.begin::<u32>();
        assert_eq!(patience.attempt::<u32>(async { Err(1) }, |_| false).await, Ok(None));
        assert_eq!(patience.attempt(async { Ok(2) }, |_| false).await, Ok(Some(2)));
    }

    #[tokio::test]
    async fn only_a_first_attempt_may_last_longer_than_there_is_patience() {
        let mut patience = SHORT.begin::<u32>();
        let slow = async {
            sleep(SHORT.patience() + SHORT.interval()).await;
            Ok(1)
        };
        assert_eq!(patience.attempt(slow, |_| false).await, Ok(Some(1)));
        let mut patience = SHORT.begin::<u32>();
        assert_eq!(patience.attempt::<()>(async { Err(7) }, |_| false).await, Ok(None));
        assert_eq!(patience.attempt::<()>(pending(), |_| false).await, Err(7));
    }
}
