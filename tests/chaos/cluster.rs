//! Three nats-servers that form a cluster with JetStream, or one alone, as processes that
//! can be killed, paused and started again where they were.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, LazyLock},
};

use serde_json::Value;

use super::{
    http,
    jetstream::{JetStream, StreamState},
    network::{Network, Place},
    patience::{PATIENCE, until, within},
    process::Process,
};

pub const SERVERS: usize = 3;

const CLIENTS: u16 = 4222;
const ROUTES: u16 = 6222;
const MONITORING: u16 = 8222;

/// The binary: `$NATS_SERVER`, or whatever the script finds or builds.
static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
    if let Some(path) = std::env::var_os("NATS_SERVER") {
        return path.into();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/nats-server.sh");
    let output = Command::new(script).stderr(Stdio::inherit()).output().expect("the script runs");
    assert!(output.status.success(), "no nats-server is to be had");
    String::from_utf8(output.stdout).expect("a path").trim().into()
});

pub struct Cluster {
    servers: Vec<Server>,
    jetstream: Arc<JetStream>,
}

/// One of them.
pub struct Server {
    pub name: String,
    pub place: Place,
    folder: PathBuf,
    process: Option<Process>,
}

impl Cluster {
    /// Starts all and waits until they work together.
    pub async fn start(network: &mut Network, folder: &Path, count: usize) -> Self {
        let mut servers: Vec<Server> = (0..count).map(|number| Server::new(number, network, folder)).collect();
        let routes: Vec<String> =
            servers.iter().map(|server| format!("\"nats://{}\"", server.place.at(ROUTES))).collect();
        for server in &mut servers {
            server.write_config(&if count > 1 { routes.join(", ") } else { String::new() });
            server.start();
        }
        let addresses: Vec<_> = servers.iter().map(|server| server.place.at(CLIENTS)).collect();
        let cluster = Self { jetstream: Arc::new(JetStream::connect(&addresses).await), servers };
        cluster.until_healthy(None).await;
        cluster
    }

    pub fn jetstream(&self) -> &Arc<JetStream> {
        &self.jetstream
    }

    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// Where clients of NATS connect.
    pub fn urls(&self) -> Vec<String> {
        self.servers.iter().map(|server| format!("nats://{}", server.place.at(CLIENTS))).collect()
    }

    pub fn number(&self, name: &str) -> usize {
        self.servers
            .iter()
            .position(|server| server.name == name)
            .unwrap_or_else(|| panic!("no server is named {name}"))
    }

    /// Kills a server with SIGKILL; returns the process id it had.
    pub fn kill(&mut self, server: usize) -> u32 {
        let mut process = self.servers[server].process.take().expect("it runs");
        process.kill();
        process.pid()
    }

    /// Starts a killed server again with what it had stored; returns the new process id.
    pub fn restart(&mut self, server: usize) -> u32 {
        self.servers[server].start();
        self.servers[server].process().pid()
    }

    /// Waits until every server says that it is well, and every replica of
    /// the stream has everything.
    pub async fn until_healthy(&self, stream: Option<&str>) {
        for server in &self.servers {
            until(&format!("health of {}", server.name), || async { server.healthy().await.then_some(()) }).await;
        }
        // A cluster that has no leader yet answers no questions.
        until("an answer of JetStream", || async { self.jetstream.ask("$JS.API.INFO", &Value::Null).await.ok() }).await;
        if let Some(stream) = stream {
            until(&format!("all replicas of {stream}"), || self.whole(stream)).await;
        }
    }

    /// Whether every replica of a stream has everything.
    async fn whole(&self, stream: &str) -> Option<()> {
        let state = self.jetstream.stream(stream).await?;
        let whole = state.replicas.len() == SERVERS - 1 && state.replicas.values().all(|current| *current);
        (state.leader.is_some() && whole).then_some(())
    }

    /// The same after a fault. A replica that NATS does not bring up to date
    /// by itself (its log says so every two seconds) gets what an operator would
    /// give it: a restart of its server. Returns whose that were.
    pub async fn heal(&mut self, stream: &str) -> Vec<String> {
        let mut restarted = Vec::new();
        self.until_healthy(None).await;
        while within(PATIENCE / 3, || self.whole(stream)).await.is_none() {
            assert!(restarted.len() < 2 * SERVERS, "{stream} is not whole again, whatever is restarted");
            let (leader, state) = self.leader(stream).await;
            let behind = (0..SERVERS)
                .filter(|number| *number != leader && state.replicas.get(&self.servers[*number].name) != Some(&true));
            for number in behind.collect::<Vec<_>>() {
                self.kill(number);
                self.restart(number);
                restarted.push(self.servers[number].name.clone());
            }
        }
        restarted
    }

    /// Number of the server that leads the stream, and the stream's state.
    pub async fn leader(&self, stream: &str) -> (usize, StreamState) {
        until(&format!("a leader of {stream}"), || async {
            let state = self.jetstream.stream(stream).await?;
            Some((self.number(state.leader.as_deref()?), state))
        })
        .await
    }

    /// Waits until another server leads the stream; returns its number. None
    /// when they cannot agree without the former one.
    pub async fn leader_other_than(&self, stream: &str, former: usize) -> Option<usize> {
        within(PATIENCE / 3, || async {
            let state = self.jetstream.stream_avoiding(Some(former), stream).await?;
            Some(self.number(state.leader.as_deref()?)).filter(|leader| *leader != former)
        })
        .await
    }

    /// Consumers that exist on any server, of any stream.
    pub async fn consumers(&self) -> u64 {
        let mut consumers = 0;
        for server in &self.servers {
            let page = until("a page of monitoring", || {
                http::get_json(server.place.at(MONITORING), "/jsz?accounts=1&streams=1&consumers=1")
            })
            .await;
            let streams = page["account_details"].as_array().into_iter().flatten();
            let streams = streams.flat_map(|account| account["stream_detail"].as_array().into_iter().flatten());
            let listed: usize = streams.map(|stream| stream["consumer_detail"].as_array().map_or(0, Vec::len)).sum();
            // The leader lists them, every replica counts them.
            consumers = consumers.max(page["consumers"].as_u64().expect("a count")).max(listed as u64);
        }
        consumers
    }
}

impl Server {
    fn new(number: usize, network: &mut Network, folder: &Path) -> Self {
        let name = format!("s{number}");
        let folder = folder.join(&name);
        fs::create_dir_all(&folder).expect("a folder");
        Self { place: network.place(&name), name, folder, process: None }
    }

    fn write_config(&self, routes: &str) {
        let place = &self.place;
        let cluster = match routes {
            "" => String::new(),
            _ => format!("cluster {{ name: chaos, listen: \"{}\", routes: [{routes}] }}\n", place.at(ROUTES)),
        };
        // Pings are frequent so that a partition shows while it lasts.
        let config = format!(
            "server_name: {name}\nlisten: \"{}\"\nhttp: \"{}\"\nping_interval: \"2s\"\nping_max: 2\n\
             jetstream {{ store_dir: \"{}\", max_file_store: 4GB }}\n{cluster}",
            place.at(CLIENTS),
            place.at(MONITORING),
            self.folder.join("store").display(),
            name = self.name,
        );
        fs::write(self.folder.join("nats.conf"), config).expect("room");
    }

    fn start(&mut self) {
        let mut command = self.place.command(&*BINARY);
        command.arg("--config").arg(self.folder.join("nats.conf"));
        self.process = Some(Process::start(&self.name, command, &self.folder.join("log")));
    }

    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    /// Where clients of NATS connect.
    pub fn clients(&self) -> SocketAddr {
        self.place.at(CLIENTS)
    }

    /// Where the other servers connect.
    pub fn routes(&self) -> SocketAddr {
        self.place.at(ROUTES)
    }

    /// Whether it says that it is well, and so is its part of JetStream.
    pub async fn healthy(&self) -> bool {
        http::get(self.place.at(MONITORING), "/healthz").await.is_some_and(|(status, _)| status == 200)
    }
}
