//! The count of readers below the window of a stream. By subject each reader asks
//! for itself; in order all share the pages. So the more readers there are, the
//! sooner pages cost the server less.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Readers that, with a question or two each, keep a server as busy as one page in
/// order does.
const PER_PAGE: u64 = 4;

/// The count of readers below the window.
#[derive(Debug, Default)]
pub(crate) struct ReaderCount(AtomicUsize);

/// A reader that is counted; dropping it ends that.
#[derive(Debug)]
pub(crate) struct CountedReader(Arc<ReaderCount>);

impl ReaderCount {
    pub(crate) fn enter(self: &Arc<Self>) -> CountedReader {
        self.0.fetch_add(1, Ordering::Relaxed);
        CountedReader(self.clone())
    }

    /// Whether reading `pages` pages in order is less work than all the
    /// readers' questions.
    pub(crate) fn justifies_reading_in_order(&self, pages: u64) -> bool {
        self.0.load(Ordering::Relaxed) as u64 >= pages.saturating_mul(PER_PAGE)
    }
}

impl Drop for CountedReader {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_pay_when_many_are_there_and_not_when_they_have_left() {
        let reader_count = Arc::<ReaderCount>::default();
        let mut all: Vec<_> = (0..PER_PAGE).map(|_| reader_count.enter()).collect();
        assert!(
            reader_count.justifies_reading_in_order(1)
                && !reader_count.justifies_reading_in_order(2)
                && !reader_count.justifies_reading_in_order(u64::MAX)
        );
        all.pop();
        assert!(!reader_count.justifies_reading_in_order(1));
    }
}
