//! Pages of a stream that many readers read in order at once: readers at the same
//! place share a page, and find their own events by its index.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
};

use crate::{
    broker::{ReadError, Stored},
    event::Message,
    event_log::{Bounds, EventLog, Select},
    journal::{
        held::keep,
        single_flight::SingleFlight,
        source::{PAGE, SequenceRange, Source},
    },
    subject::Pattern,
    sync::Mutex,
};

/// Pages that are kept for other readers. A page has at most about 1 MiB.
const KEPT: usize = 16;

/// Pages up to which reading in order is shared; a page that is further back is as
/// likely read again as shared.
pub(crate) const SHARED: u64 = 4 * KEPT as u64;

/// The pages of one stream that were read lately.
#[derive(Debug)]
pub(crate) struct Pages {
    source: Source,
    kept: Mutex<VecDeque<Arc<CachedPage>>>,
    flights: SingleFlight<(u32, u64), Arc<CachedPage>>,
}

/// A page of a stream that is kept for other readers.
#[derive(Debug)]
pub(crate) struct CachedPage {
    /// Of which of the streams of this name it is.
    generation: u32,
    from: u64,
    /// Nothing else is stored up to here.
    pub(crate) through: u64,
    stored: Vec<Stored>,
    /// With an index by subject, once somebody wants some of it.
    log: OnceLock<EventLog<Arc<Message>>>,
}

impl Pages {
    /// No pages of a stream yet.
    pub(crate) fn new(source: Source) -> Self {
        Self { source, kept: Mutex::default(), flights: SingleFlight::default() }
    }

    /// A page that has a sequence, where events were stored up to `last`.
    pub(crate) async fn page(&self, generation: u32, seq: u64, last: u64) -> Result<Arc<CachedPage>, ReadError> {
        let has = |cached: &&Arc<CachedPage>| {
            cached.generation == generation && (cached.from..=cached.through).contains(&seq)
        };
        if let Some(cached) = self.kept.lock().iter().find(has) {
            return Ok(cached.clone());
        }
        self.flights
            .join((generation, seq), async {
                let cached = Arc::new(CachedPage::of(generation, seq, self.source.range(seq, last).await?));
                let mut kept = self.kept.lock();
                kept.push_front(cached.clone());
                kept.truncate(KEPT);
                Ok(cached)
            })
            .await
    }

    /// The same for who begins to read there: it begins a little before, where
    /// others who begin nearby do too, so that they share the page.
    pub(crate) async fn first_page(&self, generation: u32, seq: u64, last: u64) -> Result<Arc<CachedPage>, ReadError> {
        let cached = self.page(generation, seq - (seq - 1) % self.grid(), last).await?;
        // Where its events are large it may end before.
        if cached.through >= seq { Ok(cached) } else { self.page(generation, seq, last).await }
    }

    /// How far apart pages begin: at most what one page takes, going by the last.
    fn grid(&self) -> u64 {
        let most = PAGE.events as u64;
        let last = self.kept.lock().front().map_or(most, |cached| cached.through + 1 - cached.from);
        if last >= most { most } else { (last / 2 + 1).next_power_of_two() }
    }
}

impl CachedPage {
    fn of(generation: u32, from: u64, range: SequenceRange) -> Self {
        Self { generation, from, through: range.through, stored: range.events, log: OnceLock::new() }
    }

    /// The first sequence at which something is stored here.
    pub(crate) fn first(&self) -> Option<u64> {
        self.stored.first().map(|stored| stored.seq)
    }

    /// All events behind one sequence and up to another.
    pub(crate) fn all(&self, after: u64, through: u64) -> Vec<Arc<Message>> {
        let wanted = self.stored.iter().filter(|stored| stored.seq > after && stored.seq <= through);
        wanted.filter_map(|stored| stored.event.clone()).collect()
    }

    /// Those of them that match some pattern.
    pub(crate) fn matching(&self, patterns: &[Pattern], after: u64, through: u64) -> Vec<Arc<Message>> {
        let log = self.log.get_or_init(|| {
            let mut log = EventLog::new(Bounds::NONE);
            self.stored.iter().cloned().for_each(|stored| {
                let _ = keep(&mut log, stored);
            });
            log
        });
        let (mut events, mut after) = (Vec::new(), after);
        while after < through {
            // It may end early, where there are many patterns.
            let page = log.page(patterns, Select::All, after, through, usize::MAX);
            events.extend(page.events.into_iter().map(|(_, event)| event.clone()));
            after = page.through;
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::{
        classes::StreamIndex,
        journal::script::{Script, Scripted, stream},
    };

    #[tokio::test]
    async fn pages_are_kept_until_the_stream_begins_anew() {
        let broker = Scripted::new(Script { state: stream(1, 1, 20), ..Script::default() });
        let pages = Pages::new(Source::new(broker.clone(), StreamIndex(0)));
        for (generation, seq, reads) in [(1, 1, 1), (1, 20, 1), (2, 1, 2), (2, 20, 2)] {
            let cached = pages.page(generation, seq, 20).await.expect("it can be read");
            assert_eq!((cached.first(), cached.through), (Some(1), 20));
            assert_eq!(broker.copy.load(Ordering::Relaxed), reads, "{generation} {seq}");
        }
    }
}
