//! Everything that a run is made of: the network, the brokers, the nodes, the
//! clients. All of it ends with the world, also when a test panics.

use std::{path::Path, sync::Arc, thread};

use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

use super::{
    client::ChaosClient,
    cluster::{Cluster, SERVERS},
    jetstream::JetStream,
    network::Network,
    nodes::Node,
    patience::until,
    publisher::STREAM,
};

/// One world at a time: two of them on one machine would only slow each other
/// down, and elections are a matter of time.
static TURN: Mutex<()> = Mutex::const_new(());

/// The turn to have a world.
pub async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}

/// Where processes keep what they store and say; kept when a test fails.
pub struct Folder(Option<TempDir>);

impl Folder {
    pub fn new() -> Self {
        Self(Some(tempfile::tempdir().expect("a folder")))
    }

    pub fn path(&self) -> &Path {
        self.0.as_ref().expect("until the end").path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if thread::panicking() {
            let kept = self.0.take().expect("until the end").keep();
            println!("what the processes stored and said is kept in {}", kept.display());
        }
    }
}

/// The parts, in the order in which they have to end: who uses before who is used.
pub struct World {
    pub clients: Vec<ChaosClient>,
    pub nodes: Vec<Node>,
    pub cluster: Cluster,
    pub network: Network,
    folder: Folder,
}

impl World {
    /// Brokers alone.
    pub async fn of_brokers(network: Network) -> Self {
        Self::of(network, SERVERS).await
    }

    /// One broker, for what is about nodes and clients.
    pub async fn of_one_broker(network: Network) -> Self {
        Self::of(network, 1).await
    }

    async fn of(mut network: Network, brokers: usize) -> Self {
        let folder = Folder::new();
        let cluster = Cluster::start(&mut network, folder.path(), brokers).await;
        Self { clients: Vec::new(), nodes: Vec::new(), cluster, network, folder }
    }

    /// Adds a node that loses each so many-th republished message; 0: none.
    pub async fn add_node(&mut self, loses: u32) {
        let (number, servers) = (self.nodes.len(), self.cluster.urls());
        let mut node = Node::start(number, &mut self.network, self.folder.path(), &servers, loses);
        node.until_ready().await;
        self.nodes.push(node);
    }

    /// Waits until the nodes have made their stream.
    pub async fn until_stream(&self) {
        until(&format!("the stream {STREAM}, which the nodes have to create"), || self.jetstream().stream(STREAM))
            .await;
        if self.cluster.servers().len() == 1 {
            return; // it has no replicas
        }
        self.cluster.until_healthy(Some(STREAM)).await;
    }

    pub fn jetstream(&self) -> &Arc<JetStream> {
        self.cluster.jetstream()
    }
}
