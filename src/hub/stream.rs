//! The stored half of the hub: who follows a stream, and how its events reach
//! them in the stream's order, each at its own pace.

pub(crate) mod catch_up;
pub(crate) mod channel;
pub(crate) mod delivery;
pub(crate) mod deny_filter;
mod event_set;
pub(crate) mod fan_out;
mod patient_reads;
pub(crate) mod stream_id;
pub(crate) mod subscribed;
pub(crate) mod subscribing;
pub(crate) mod subscribing_pattern;
pub(crate) mod track;
