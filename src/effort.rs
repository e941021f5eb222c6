//! How much work it takes to find who wants an event: comparisons, look-ups and
//! nodes of a tree. Counted in the tests of this crate, which hold its bounds,
//! and nowhere else.

/// Notes one step of such work.
#[inline]
pub(crate) fn step() {
    #[cfg(test)]
    counted::note();
}

#[cfg(test)]
pub(crate) use counted::{of, taken};

#[cfg(test)]
mod counted {
    use std::cell::Cell;

    thread_local! {
        static STEPS: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn note() {
        STEPS.set(STEPS.get() + 1);
    }

    /// How many steps this thread has taken.
    pub(crate) fn taken() -> usize {
        STEPS.get()
    }

    /// The result of `act`, and the steps that it takes on this thread.
    pub(crate) fn of<R>(act: impl FnOnce() -> R) -> (R, usize) {
        let before = taken();
        let result = act();
        (result, taken() - before)
    }
}
