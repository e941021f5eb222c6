//! Which feed brings the events of a live pattern: one of its own, or a wider
//! one that is open already; and how a pattern gets from one to the other.

mod feeds;
mod handover;
mod live_feed;
mod recipients;
mod shared_feed;
mod succession;

pub(crate) use feeds::{Left, LiveFeeds, Refused};
pub(crate) use handover::SETTLE;
pub(crate) use live_feed::Route;
