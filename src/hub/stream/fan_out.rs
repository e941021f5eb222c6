//! The fan-out of a stream to its followers. A short batch is delivered by the
//! thread or task that brings the events; a long one has a task of its own, which
//! yields after each event whose followers it finds and after each slice of members.
//! Whether a batch is long shows before its work is done.

use std::sync::Arc;

use crate::{
    event::{Message, PageSize},
    hub::{
        context::Context,
        member::Member,
        member_list::{FEW, SLICE, SharedSlice},
        stream::{
            catch_up::catch_up,
            channel::{Batch, Channel, Follower, Group, Wanted},
            delivery::StreamDelivery,
            event_set::WIDE,
        },
    },
    journal::Cursor,
    sync::yield_now,
};

/// Hands out what there is. Returns how many deliveries that were, zero only
/// where nobody wants any of it; when they are `most`, there may be more.
pub(crate) fn run(context: &Arc<Context>, channel: &Arc<Channel>, most: usize) -> usize {
    let mut deliveries = 0;
    while deliveries < most {
        match channel.next_batch() {
            None => break,
            Some(Batch::Events { events, wanted, begun, end }) if are_few(&wanted) => {
                let mut delivery = StreamDelivery::new(channel, &events, begun);
                for (group, events) in &wanted {
                    slices(group).for_each(|slice| delivery.give_all(&slice.lock(), *events));
                }
                delivery.give_several(usize::MAX);
                // Those who lag want it as well.
                deliveries += finish(context, channel, delivery, end).max(1);
            }
            Some(long) => {
                context.tasks.spawn_vital("fan-out", work_off(context.clone(), channel.clone(), long));
                deliveries += 1;
                break;
            }
        }
    }
    deliveries
}

/// Hands out until there is nothing left.
async fn work_off(context: Arc<Context>, channel: Arc<Channel>, first: Batch) {
    let stream = channel.journal().stream();
    let mut next = Some(first);
    while let Some(next_batch) = next {
        match next_batch {
            Batch::Events { events, wanted, begun, end } => {
                hand_out(&context, &channel, &events, wanted, begun, end).await;
            }
            Batch::Crowded { events, begun, end } if events.len() <= PageSize::BATCH.events => {
                let wanted = find_all::<1>(&channel, &events).await;
                hand_out(&context, &channel, &events, wanted, begun, end).await;
            }
            Batch::Crowded { events, begun, end } => {
                let wanted = find_all::<WIDE>(&channel, &events).await;
                hand_out(&context, &channel, &events, wanted, begun, end).await;
            }
            Batch::Lost { groups, begun, end } => {
                // Each member reaches the gap while catching up and is told there.
                channel.finish(end);
                for slice in groups.iter().flat_map(|group| slices(group)) {
                    let members: Vec<_> = slice.lock().iter().map(|(_, follower)| follower.member.clone()).collect();
                    for member in members {
                        if member.progress().require_catch_up(stream, begun, end) {
                            let_catch_up(&context, &channel, member);
                        }
                    }
                    yield_now().await;
                }
            }
        }
        next = channel.next_batch();
    }
}

/// Those who want some of these events.
async fn find_all<const WORDS: usize>(channel: &Channel, events: &[Arc<Message>]) -> Wanted<WORDS> {
    let mut wanted = Vec::new();
    for (place, event) in events.iter().enumerate() {
        channel.find(place, event, &mut wanted);
        yield_now().await;
    }
    wanted
}

/// Does one turn, and lets others have theirs meanwhile.
async fn hand_out<const WORDS: usize>(
    context: &Arc<Context>,
    channel: &Arc<Channel>,
    events: &[Arc<Message>],
    wanted: Wanted<WORDS>,
    begun: Cursor,
    end: Cursor,
) {
    let mut delivery = StreamDelivery::new(channel, events, begun);
    for (group, events) in &wanted {
        for slice in slices(group) {
            delivery.give_all(&slice.lock(), *events);
            yield_now().await;
        }
    }
    while delivery.give_several(SLICE) {
        yield_now().await;
    }
    finish(context, channel, delivery, end);
}

fn finish<const WORDS: usize>(
    context: &Arc<Context>,
    channel: &Arc<Channel>,
    mut delivery: StreamDelivery<'_, WORDS>,
    end: Cursor,
) -> usize {
    delivery.account(&context.metrics);
    channel.finish(end);
    for member in delivery.lagging {
        let_catch_up(context, channel, member);
    }
    delivery.tally.deliveries
}

fn let_catch_up(context: &Arc<Context>, channel: &Arc<Channel>, member: Arc<Member>) {
    context.metrics.lagging.increment(1);
    context.tasks.spawn(catch_up(channel.clone(), member, context.clone()));
}

/// Whether a batch has few enough receivers to need no task of its own.
fn are_few(wanted: &Wanted<1>) -> bool {
    let mut room = FEW;
    wanted.iter().all(|(group, _)| match room.checked_sub(group.followers.lock().standing()) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    })
}

/// One after the other, each looked up when its turn comes: the list may grow
/// meanwhile.
fn slices(group: &Group) -> impl Iterator<Item = SharedSlice<Follower>> {
    (0..).map_while(|index| group.followers.lock().get(index))
}
