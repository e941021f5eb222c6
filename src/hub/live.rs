//! Which feed brings the events of a live pattern: one of its own, or a wider
//! one that is open already; and how a pattern gets from one to the other.

pub(crate) mod backlog;
pub(crate) mod delivery;
pub(crate) mod fan_out;
mod feeds;
mod handover;
mod live_feed;
mod overflow;
mod recipients;
mod shared_feed;
mod succession;
pub(crate) mod topic;
pub(crate) mod topics;

pub(crate) use live_feed::Route;
