//! The last event of each subject of a pattern. Readers that ask within a moment
//! share one question (`multi_last`), because that costs the server far less than
//! a search for each of them.

use std::{mem, sync::Arc, time::Duration};

use tokio::sync::oneshot;

use crate::{
    broker::{Query, ReadError},
    event::{Message, PageSize},
    journal::{
        source::{AHEAD, Source},
        window::Window,
    },
    subject::{Pattern, Subject},
    sync::{Mutex, sleep},
    tasks::Tasks,
    trie::Trie,
};

/// Time for which the first question waits for others.
const MOMENT: Duration = Duration::from_millis(2);

/// Patterns in one question. The server tells at most 1,024 subjects at once,
/// so there is room for two each.
const TOGETHER: usize = 500;

/// A page of the answer.
const PAGE: PageSize = PageSize { events: 1_024, bytes: 1024 * 1024 };

/// Asks for last events, several readers at a time.
#[derive(Debug, Default)]
pub(crate) struct LastPerSubject {
    waiting: Mutex<WaitingQuestions>,
}

#[derive(Debug, Default)]
struct WaitingQuestions {
    asked: Vec<LastEventsQuestion>,
    /// Whether a task runs that answers them.
    task_runs: bool,
}

#[derive(Debug)]
struct LastEventsQuestion {
    patterns: Vec<Pattern>,
    answer: oneshot::Sender<Result<LastEvents, ReadError>>,
}

/// The newest event of each subject.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastEvents {
    /// As it was at this sequence, below which nothing is in memory.
    pub(crate) upto: u64,
    /// In order.
    pub(crate) found: Vec<LastEvent>,
    /// Bytes of all their values.
    bytes: usize,
    /// Whether the newest message of some subject may not be an event for clients:
    /// then older events of that subject are missing here.
    pub(crate) incomplete: bool,
}

/// The last event of one subject.
#[derive(Clone, Debug)]
pub(crate) struct LastEvent {
    pub(crate) seq: u64,
    pub(crate) subject: Subject,
    /// Its value, for the first of them as far as one reader may have values
    /// ahead; others are read when there is room for them.
    pub(crate) event: Option<Arc<Message>>,
}

impl LastEvents {
    fn add(&mut self, event: &Arc<Message>) {
        // Several patterns of one asker may match.
        if self.found.last().is_some_and(|last| last.seq == event.seq()) {
            return;
        }
        let has_room = self.bytes < AHEAD.bytes && self.found.last().is_none_or(|last| last.event.is_some());
        self.bytes += event.cost();
        self.found.push(LastEvent {
            seq: event.seq(),
            subject: event.subject.clone(),
            event: has_room.then(|| event.clone()),
        });
    }
}

impl LastPerSubject {
    /// Asks for the newest event of each subject below what is in memory.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        patterns: &[Pattern],
        source: &Source,
        window: &Arc<Window>,
        tasks: &Tasks,
    ) -> Result<LastEvents, ReadError> {
        let (answer, answered) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock();
            waiting.asked.push(LastEventsQuestion { patterns: patterns.to_vec(), answer });
            if !mem::replace(&mut waiting.task_runs, true) {
                tasks.spawn(self.clone().answer_all(source.clone(), window.clone()));
            }
        }
        answered.await.unwrap_or(Err(ReadError::Unavailable))
    }

    async fn answer_all(self: Arc<Self>, source: Source, window: Arc<Window>) {
        // If this task is dropped before its end, the next question starts another one.
        let unfinished = Unfinished(&self);
        sleep(MOMENT).await;
        while let Some(together) = self.take() {
            let upto = window.floor();
            ask(&source, upto, together).await;
        }
        mem::forget(unfinished);
    }

    /// The next questions; none when none waits.
    fn take(&self) -> Option<Vec<LastEventsQuestion>> {
        let mut waiting = self.waiting.lock();
        let mut patterns = 0;
        let count = waiting
            .asked
            .iter()
            .take_while(|asked| {
                patterns += asked.patterns.len();
                patterns <= TOGETHER.max(asked.patterns.len())
            })
            .count();
        waiting.task_runs = count > 0;
        (count > 0).then(|| waiting.asked.drain(..count).collect())
    }
}

/// A task that has not come to its end; dropping it gives up the questions.
struct Unfinished<'a>(&'a LastPerSubject);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting.lock();
        waiting.task_runs = false;
        waiting.asked.clear();
    }
}

/// Asks one question, or several where one would be too much.
async fn ask(source: &Source, upto: u64, together: Vec<LastEventsQuestion>) {
    let mut left = vec![together];
    while let Some(mut together) = left.pop() {
        match newest(source, &together, upto).await {
            Err(ReadError::TooManySubjects) if together.len() > 1 => {
                let half = together.split_off(together.len() / 2);
                left.extend([half, together]);
            }
            Err(error) => {
                for asked in together {
                    // A reader that does not wait any more has left.
                    let _ = asked.answer.send(Err(error.clone()));
                }
            }
            Ok(answers) => {
                for (asked, newest) in together.into_iter().zip(answers) {
                    let _ = asked.answer.send(Ok(newest));
                }
            }
        }
    }
}

/// The answer to each question. Of the values only as many are kept as a reader may
/// have ahead, however many all pages together hold.
async fn newest(source: &Source, together: &[LastEventsQuestion], upto: u64) -> Result<Vec<LastEvents>, ReadError> {
    let mut askers = Trie::default();
    for (place, asked) in together.iter().enumerate() {
        for pattern in &asked.patterns {
            askers.insert(pattern, place);
        }
    }
    let patterns: Vec<Pattern> = together.iter().flat_map(|asked| asked.patterns.iter().cloned()).collect();
    let mut answers = vec![LastEvents { upto, ..LastEvents::default() }; together.len()];
    let mut from = 1;
    let mut more = upto > 0;
    while more {
        let query = Query::Newest { patterns: patterns.clone(), upto, from };
        let page = source.read(&query, PAGE).await?;
        more = page.more && page.through >= from;
        from = page.through + 1;
        let incomplete = page.passed_over || page.events.iter().any(|stored| stored.event.is_none());
        answers.iter_mut().for_each(|answer| answer.incomplete |= incomplete);
        for event in page.events.iter().filter_map(|stored| stored.event.as_ref()) {
            askers.each(&event.subject, |place| answers[*place].add(event));
        }
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use futures_util::future::join_all;

    use super::*;
    use crate::{
        journal::{
            reconciler::Reconciler,
            script::{Script, Scripted, followed, stream},
        },
        sync::timeout,
    };

    /// A stream whose last ten events are in memory.
    async fn follow(script: Script) -> (Reconciler, Arc<Scripted>) {
        let (reconciler, broker) = followed(script, 10).await;
        broker.copy.store(0, Ordering::Relaxed);
        (reconciler, broker)
    }

    /// The answers to questions at the same time, each for one pattern: sequences, and whether some are hidden.
    async fn answers(reconciler: &Reconciler, patterns: &[&str]) -> Vec<Result<(Vec<u64>, bool), ReadError>> {
        let (last_per_subject, tasks) = (Arc::<LastPerSubject>::default(), Tasks::new(reconciler.metrics.clone()));
        let ask = async |pattern: &str| {
            let pattern = [Pattern::parse(pattern).expect("a pattern")];
            let newest = last_per_subject.ask(&pattern, &reconciler.source, &reconciler.window, &tasks).await?;
            assert_eq!(newest.upto, reconciler.window.floor());
            Ok((newest.found.iter().map(|found| found.seq).collect(), newest.incomplete))
        };
        join_all(patterns.iter().map(|pattern| ask(pattern))).await
    }

    #[tokio::test]
    async fn those_who_ask_at_once_are_asked_for_together_and_apart_where_that_is_too_much() {
        let patterns = ["a.b", "a.*", "a.c", ">"];
        let expected = [vec![10], vec![10], vec![], vec![10]].map(|seqs| Ok((seqs, false)));
        // How often it is too much, and how many questions it takes then.
        for (too_much, questions) in [(0, 1), (1, 3), (2, 5)] {
            let (reconciler, broker) = follow(Script { state: stream(1, 1, 20), ..Script::default() }).await;
            broker.script().fails = (too_much, Some(ReadError::TooManySubjects));
            assert_eq!(answers(&reconciler, &patterns).await, expected, "{too_much}");
            assert_eq!(broker.copy.load(Ordering::Relaxed), questions, "{too_much}");
        }
        let (reconciler, broker) = follow(Script { state: stream(1, 1, 20), ..Script::default() }).await;
        broker.script().fails = (1, Some(ReadError::TooManySubjects));
        assert_eq!(answers(&reconciler, &["a.b"]).await, [Err(ReadError::TooManySubjects)]);
        broker.script().fails = (1, Some(ReadError::Timeout));
        assert_eq!(answers(&reconciler, &["a.b", ">"]).await, [Err(ReadError::Timeout), Err(ReadError::Timeout)]);
    }

    #[tokio::test]
    async fn an_answer_of_many_pages_is_whole_and_says_whether_something_is_hidden() {
        for unfit in [false, true] {
            let (reconciler, broker) =
                follow(Script { state: stream(1, 1, 2_500), each: true, ..Script::default() }).await;
            broker.script().unfit = unfit;
            assert_eq!(
                answers(&reconciler, &["a.*", "a.7"]).await,
                [Ok(((1..=2_490).collect(), unfit)), Ok((vec![7], unfit))]
            );
            assert_eq!(broker.copy.load(Ordering::Relaxed), 3);
        }
    }

    #[tokio::test]
    async fn who_asks_after_an_answer_was_cut_short_gets_one() {
        let (reconciler, _) = follow(Script { state: stream(1, 1, 20), ..Script::default() }).await;
        let (last_per_subject, tasks) = (Arc::<LastPerSubject>::default(), Tasks::new(reconciler.metrics.clone()));
        let pattern = [Pattern::parse("a.b").expect("a pattern")];
        let (answer, answered) = oneshot::channel();
        *last_per_subject.waiting.lock() = WaitingQuestions {
            asked: vec![LastEventsQuestion { patterns: pattern.to_vec(), answer }],
            task_runs: true,
        };
        // It has begun to wait for others when it ends.
        let mut answering =
            Box::pin(last_per_subject.clone().answer_all(reconciler.source.clone(), reconciler.window.clone()));
        assert!(futures_util::poll!(&mut answering).is_pending());
        drop(answering);
        assert!(answered.await.is_err(), "who waited is told");
        let newest = last_per_subject.ask(&pattern, &reconciler.source, &reconciler.window, &tasks);
        let newest = timeout(Duration::from_secs(10), newest).await.expect("somebody sees to it");
        assert_eq!(newest.map(|newest| newest.found.len()), Ok(1));
    }
}
