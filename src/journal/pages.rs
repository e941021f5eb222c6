//! A stream read in order by many at once: whoever is at the same place shares
//! the page, and finds its own events there by the page's index.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    broker::{Message, ReadError},
    journal::{
        flights::Flights,
        record::keep,
        source::{PAGE, Source, Stretch},
    },
    log::{Bounds, Log},
};

/// Pages that are kept for others who come by. A page has at most about 1 MiB.
pub(crate) const KEPT: usize = 16;

/// The pages of one stream that were read lately.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    kept: Mutex<VecDeque<Arc<Sheet>>>,
    flights: Flights<(u32, u64), Arc<Sheet>>,
}

/// A stretch of a stream with an index.
#[derive(Debug)]
pub(crate) struct Sheet {
    /// Of which of the streams of this name it is.
    generation: u32,
    from: u64,
    /// Nothing else is stored up to here.
    pub(crate) through: u64,
    pub(crate) log: Log<Arc<Message>>,
}

impl Pages {
    /// A page that has a sequence, where events were stored up to `last`.
    pub(crate) async fn page(
        &self,
        source: &Source,
        generation: u32,
        seq: u64,
        last: u64,
    ) -> Result<Arc<Sheet>, ReadError> {
        let has = |sheet: &&Arc<Sheet>| sheet.generation == generation && (sheet.from..=sheet.through).contains(&seq);
        if let Some(sheet) = self.lock().iter().find(has) {
            return Ok(sheet.clone());
        }
        self.flights
            .join((generation, seq), async {
                let sheet = Arc::new(Sheet::of(generation, seq, source.stretch(seq, last).await?));
                let mut kept = self.lock();
                kept.push_front(sheet.clone());
                kept.truncate(KEPT);
                Ok(sheet)
            })
            .await
    }

    /// The same for who begins to read there: it begins a little before, where
    /// others who begin nearby do too, so that they share the page.
    pub(crate) async fn first_page(
        &self,
        source: &Source,
        generation: u32,
        seq: u64,
        last: u64,
    ) -> Result<Arc<Sheet>, ReadError> {
        let sheet = self.page(source, generation, seq - (seq - 1) % self.grid(), last).await?;
        // Where its events are large it may end before.
        if sheet.through >= seq { Ok(sheet) } else { self.page(source, generation, seq, last).await }
    }

    /// How far apart pages begin: at most what one page takes, going by the last.
    fn grid(&self) -> u64 {
        let most = PAGE.events as u64;
        let last = self.lock().front().map_or(most, |sheet| sheet.through + 1 - sheet.from);
        if last >= most { most } else { (last / 2 + 1).next_power_of_two() }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Sheet>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sheet {
    fn of(generation: u32, from: u64, stretch: Stretch) -> Self {
        let mut log = Log::new(Bounds::NONE);
        stretch.events.into_iter().for_each(|stored| keep(&mut log, stored));
        Self { generation, from, through: stretch.through, log }
    }
}
