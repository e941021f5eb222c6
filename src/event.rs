//! An event on its way through a node: its subject, its envelope, its position
//! in a stream, and the headers that carry the envelope at NATS.

pub mod batch_mark;
pub mod batch_parts;
pub mod cloud_event;
pub mod gone;
pub mod header_limits;
pub mod headers;
pub mod message;
pub mod packer;
pub mod page_size;

pub use batch_mark::{BATCH_EVENTS, BatchMark};
pub use gone::Gone;
pub use header_limits::HeaderLimits;
pub use message::{EVENT_BYTES, LAST_TIME, Message, Place};
pub use packer::{Cut, Packer};
pub use page_size::PageSize;
