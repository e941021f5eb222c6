//! Locks that answer poison in one place: a thread that panicked while it held a lock leaves it usable. A panic that
//! concerns one client ends that connection, and one in a task that others depend on ends the node (`tasks.rs`), so
//! nobody goes on for long with a state that is half changed.

use std::{
    ops::{Deref, DerefMut},
    sync::PoisonError,
};

#[cfg(not(feature = "model"))]
use std::sync::{
    Mutex as RawMutex, MutexGuard as RawMutexGuard, RwLock as RawRwLock, RwLockReadGuard as RawReadGuard,
    RwLockWriteGuard as RawWriteGuard,
};

#[cfg(feature = "model")]
use crate::sync::model::{RawMutex, RawMutexGuard, RawReadGuard, RawRwLock, RawWriteGuard};
use crate::sync::rank::{self, HeldRank};

/// A lock around a value, for one holder at a time. Its rank is one of [`rank`].
#[derive(Debug, Default)]
pub struct Mutex<T, const RANK: u8 = { rank::LEAF }>(RawMutex<T>);

/// Holds a [`Mutex`]; dropping it gives the lock back.
#[derive(Debug)]
pub struct MutexGuard<'m, T> {
    guard: RawMutexGuard<'m, T>,
    _held: HeldRank,
}

/// A lock around a value, for one writer or any number of readers at a time. Nothing is locked while it is held.
#[derive(Debug, Default)]
pub struct RwLock<T>(RawRwLock<T>);

/// Holds a [`RwLock`] as a reader.
#[derive(Debug)]
pub struct ReadGuard<'l, T> {
    guard: RawReadGuard<'l, T>,
    _held: HeldRank,
}

/// Holds a [`RwLock`] as the writer.
#[derive(Debug)]
pub struct WriteGuard<'l, T> {
    guard: RawWriteGuard<'l, T>,
    _held: HeldRank,
}

impl<T, const RANK: u8> Mutex<T, RANK> {
    /// A lock around a value.
    pub const fn new(value: T) -> Self {
        Self(RawMutex::new(value))
    }

    /// Takes the lock as soon as nobody else has it.
    ///
    /// # Panics
    /// In a build that checks, where a lock is held that has to be taken after this one.
    #[inline]
    #[cfg_attr(any(debug_assertions, feature = "model"), track_caller)]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.lock_in_order(0)
    }

    /// The same where several locks of one rank are taken: each with a higher number than the one before.
    ///
    /// # Panics
    /// As [`lock`](Self::lock).
    #[inline]
    #[cfg_attr(any(debug_assertions, feature = "model"), track_caller)]
    pub fn lock_in_order(&self, place: usize) -> MutexGuard<'_, T> {
        let held = HeldRank::take(RANK, place);
        MutexGuard { guard: self.0.lock().unwrap_or_else(PoisonError::into_inner), _held: held }
    }
}

impl<T> RwLock<T> {
    /// A lock around a value.
    pub const fn new(value: T) -> Self {
        Self(RawRwLock::new(value))
    }

    /// Takes the lock as a reader, as soon as there is no writer.
    ///
    /// # Panics
    /// As [`Mutex::lock`].
    #[inline]
    pub fn read(&self) -> ReadGuard<'_, T> {
        let held = HeldRank::take(rank::LEAF, 0);
        ReadGuard { guard: self.0.read().unwrap_or_else(PoisonError::into_inner), _held: held }
    }

    /// Takes the lock as the writer, as soon as nobody else has it.
    ///
    /// # Panics
    /// As [`Mutex::lock`].
    #[inline]
    pub fn write(&self) -> WriteGuard<'_, T> {
        let held = HeldRank::take(rank::LEAF, 0);
        WriteGuard { guard: self.0.write().unwrap_or_else(PoisonError::into_inner), _held: held }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl<T> Deref for ReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> Deref for WriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for WriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use super::*;

    #[test]
    fn a_lock_whose_holder_panicked_can_be_taken_again() {
        let (mutex, list) = (Arc::new(Mutex::<_, { rank::SLICE }>::new(1)), Arc::new(RwLock::new(1)));
        let (held, written) = (mutex.clone(), list.clone());
        let panicked = thread::spawn(move || {
            let (mut one, mut other) = (held.lock(), written.write());
            (*one, *other) = (2, 2);
            panic!("while both are held");
        });
        assert!(panicked.join().is_err());
        *mutex.lock() += 1;
        *list.write() += 1;
        assert_eq!((*mutex.lock(), *list.read()), (3, 3));
    }
}
