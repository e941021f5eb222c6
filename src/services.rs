//! The services of a node, which its sessions and its HTTP handlers share.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::{
    access::Access,
    broker::Broker,
    config::{Limits, Span},
    fetch::Fetcher,
    hub::Hub,
    metrics::Metrics,
    publish::Publisher,
    quota::Quotas,
    request::Requests,
    tasks::Tasks,
};

/// The services of a node, which its sessions and its HTTP handlers share.
#[derive(Debug)]
pub struct NodeServices {
    /// Name of the node.
    pub node: String,
    /// How often the client hears from us.
    pub heartbeat: Span,
    /// The limits that clients have to keep.
    pub limits: Limits,
    /// Where events come from, for news of it.
    pub broker: Arc<dyn Broker>,
    /// Where subscriptions go.
    pub hub: Arc<Hub>,
    /// Admits clients and gives them their grants.
    pub access: Arc<Access>,
    /// How much may be done for a user.
    pub quotas: Arc<Quotas>,
    /// Where published events go.
    pub publisher: Arc<Publisher>,
    /// Where questions to services go.
    pub requests: Arc<Requests>,
    /// Reads what is stored.
    pub fetcher: Arc<Fetcher>,
    /// Cancelled when the node leaves.
    pub leaving: CancellationToken,
    /// Owner of its tasks.
    pub tasks: Tasks,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
}
