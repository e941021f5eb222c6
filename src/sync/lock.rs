//! Locks that answer poison in one place: a thread that panicked while it held a lock leaves it usable. A panic that
//! concerns one client ends that connection, and one in a task that others depend on ends the node (`tasks.rs`), so
//! nobody goes on for long with a state that is half changed.

use std::{
    ops::{Deref, DerefMut},
    sync::PoisonError,
};

#[cfg(not(feature = "model"))]
use std::sync as raw;

#[cfg(feature = "model")]
use crate::sync::model as raw;

/// A lock around a value, for one holder at a time.
#[derive(Debug, Default)]
pub struct Mutex<T>(raw::Mutex<T>);

/// Holds a [`Mutex`]; dropping it gives the lock back.
#[derive(Debug)]
pub struct MutexGuard<'m, T>(raw::MutexGuard<'m, T>);

/// A lock around a value, for one writer or any number of readers at a time.
#[derive(Debug, Default)]
pub struct RwLock<T>(raw::RwLock<T>);

/// Holds a [`RwLock`] as a reader.
#[derive(Debug)]
pub struct ReadGuard<'l, T>(raw::RwLockReadGuard<'l, T>);

/// Holds a [`RwLock`] as the writer.
#[derive(Debug)]
pub struct WriteGuard<'l, T>(raw::RwLockWriteGuard<'l, T>);

impl<T> Mutex<T> {
    /// A lock around a value.
    pub const fn new(value: T) -> Self {
        Self(raw::Mutex::new(value))
    }

    /// Takes the lock as soon as nobody else has it.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> RwLock<T> {
    /// A lock around a value.
    pub const fn new(value: T) -> Self {
        Self(raw::RwLock::new(value))
    }

    /// Takes the lock as a reader, as soon as there is no writer.
    #[inline]
    pub fn read(&self) -> ReadGuard<'_, T> {
        ReadGuard(self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the lock as the writer, as soon as nobody else has it.
    #[inline]
    pub fn write(&self) -> WriteGuard<'_, T> {
        WriteGuard(self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> Deref for ReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Deref for WriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for WriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

#[cfg(all(test, not(feature = "model")))]
mod tests {
    use std::{sync::Arc, thread};

    use super::*;

    #[test]
    fn a_lock_whose_holder_panicked_can_be_taken_again() {
        let (mutex, list) = (Arc::new(Mutex::new(1)), Arc::new(RwLock::new(1)));
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
