//! The order of locks is checked in models as well, for each task by itself.

use std::sync::Arc;

use notifier::sync::{Mutex, rank};
use shuttle::future::{block_on, spawn};

use crate::explore::{fails, holds};

type Topic = Mutex<u32, { rank::TOPIC }>;
type Slice = Mutex<u32, { rank::SLICE }>;

/// Takes both in their order, and adds what one holds to the other.
fn add(topic: &Topic, slice: &Slice) {
    let topic = topic.lock();
    *slice.lock() += *topic;
}

#[test]
fn tasks_take_locks_in_order_at_the_same_time() {
    holds(|| {
        let (topic, slice) = (Arc::new(Topic::new(1)), Arc::new(Slice::new(0)));
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let (topic, slice) = (topic.clone(), slice.clone());
                spawn(async move { add(&topic, &slice) })
            })
            .collect();
        // Holds the later one while others take the earlier one: that is no wrong order.
        *slice.lock() += 1;
        tasks.into_iter().for_each(|task| block_on(task).expect("no panic"));
        assert_eq!(*slice.lock(), 4);
    });
}

#[test]
fn a_lock_that_is_taken_out_of_order_is_found() {
    fails(|| {
        let (topic, slice) = (Topic::new(1), Slice::new(0));
        let _held = slice.lock();
        drop(topic.lock());
    });
}
