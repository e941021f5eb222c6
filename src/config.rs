//! Every setting, how the layers are read, and their documentation.

mod auth;
mod consistency;
mod document;
mod edge;
mod environment;
mod error;
mod files;
mod grants;
mod issuers;
mod layers;
mod limits;
mod nats;
mod network;
mod schema;
mod server_url;
mod settings;
mod streams;
pub mod template;
mod units;

pub use auth::{Auth, AuthMode, Jwks};
pub use document::reference;
pub use edge::ServerTls;
pub use error::ConfigError;
pub(crate) use files::read_text;
pub use grants::{ANONYMOUS, EVERYBODY, Grant};
pub use issuers::{Algorithm, Family, ISSUER_BYTES, Issuer};
pub use layers::{Flags, SettingsFile, load};
pub use limits::{Limits, Overflow};
pub use nats::{Nats, NatsTls};
pub use network::{ForwardedHeader, Network, listen_address};
pub use server_url::ServerUrl;
pub use settings::{Broker, BrokerKind, Config, Drain, Events, Log, LogFormat, Node, Server};
pub use streams::{Delivery, Storage, Stream, SubjectRule, WindowLimits};
pub use units::{Secret, Size, Span};
