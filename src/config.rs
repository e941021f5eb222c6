//! Every setting, how the layers are read, and their documentation.

mod document;
mod error;
mod layers;
mod settings;
mod units;

pub use document::reference;
pub use error::ConfigError;
pub use layers::{Flags, Source, load};
pub use settings::{
    Auth, AuthMode, Broker, BrokerKind, Config, Drain, Events, Limits, Log, LogFormat, Nats, NatsTls, Node, Server,
};
pub use units::{Secret, Size, Span};
