//! The live half of the hub: topics, their delivery, and the feeds that bring
//! their events. A pattern has a feed of its own or uses a wider one that is
//! open already, and can move from one to the other.

pub(crate) mod backlog;
pub(crate) mod delivery;
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
