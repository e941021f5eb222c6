//! Notifier nodes as the processes that operators run.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use super::{
    http,
    network::{Network, Place},
    patience::until,
    process::Process,
    publisher::STREAM,
};

/// How often the nodes of this world ping.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

const CLIENTS: u16 = 8080;
const INTERNAL: u16 = 9090;

/// Makes a node lose each n-th message that the stream republishes.
const LOSE: &str = "NOTIFIER_TEST_DROP_REPUBLISHED";

pub struct Node {
    pub name: String,
    pub place: Place,
    folder: PathBuf,
    /// Each how many-th republished message is lost; 0: none.
    loses: u32,
    process: Option<Process>,
    /// Healed gaps of the processes before this one.
    healed_before: f64,
}

impl Node {
    /// Starts a node of a cluster with these addresses.
    pub fn start(number: usize, network: &mut Network, folder: &Path, servers: &[String], loses: u32) -> Self {
        let name = format!("n{number}");
        let folder = folder.join(&name);
        fs::create_dir_all(&folder).expect("a folder");
        let place = network.place(&name);
        let mut node = Self { name, place, folder, loses, process: None, healed_before: 0.0 };
        fs::write(node.config(), node.settings(servers)).expect("room");
        node.restart();
        node
    }

    fn config(&self) -> PathBuf {
        self.folder.join("notifier.toml")
    }

    /// Small buffers, so that a reader that stalls for seconds is a slow one.
    fn settings(&self, servers: &[String]) -> String {
        format!(
            "[node]\nname = \"{name}\"\n\
             [server]\nlisten = \"{clients}\"\ninternal_listen = \"{internal}\"\nheartbeat = \"{heartbeat}ms\"\n\
             [broker.nats]\nurls = {servers:?}\nping_interval = \"2s\"\n\
             [auth]\nmode = \"anonymous\"\n\
             [limits]\noutbox_bytes = \"64KiB\"\nstall_time = \"3s\"\n\
             [drain]\nwindow = \"500ms\"\nmove_time = \"500ms\"\ngrace = \"10s\"\n\
             [[streams]]\nname = \"{STREAM}\"\nsubjects = [\"chaos.>\"]\nreplicas = {replicas}\n\
             [[subjects]]\npattern = \"chaos.>\"\ndelivery = \"durable\"\nstream = \"{STREAM}\"\n",
            name = self.name,
            clients = self.clients(),
            internal = self.place.at(INTERNAL),
            replicas = servers.len(),
            heartbeat = HEARTBEAT.as_millis(),
        )
    }

    /// Where clients connect.
    pub fn clients(&self) -> SocketAddr {
        self.place.at(CLIENTS)
    }

    /// Starts the process again; returns its id.
    pub fn restart(&mut self) -> u32 {
        let mut command = self.place.command(env!("CARGO_BIN_EXE_notifier"));
        command.arg("serve").arg("--config").arg(self.config());
        if self.loses > 0 {
            command.env(LOSE, self.loses.to_string());
        }
        let process = Process::start(&self.name, command, &self.folder.join("log"));
        let pid = process.pid();
        self.process = Some(process);
        pid
    }

    /// Kills it with SIGKILL; returns the process id it had.
    pub async fn kill(&mut self) -> u32 {
        self.keep_figures().await;
        let mut process = self.process.take().expect("it runs");
        process.kill();
        process.pid()
    }

    /// Tells it to leave and waits until it has; returns the process id it had.
    pub async fn leave(&mut self) -> (u32, ExitStatus) {
        self.keep_figures().await;
        let mut process = self.process.take().expect("it runs");
        process.signal("TERM");
        (process.pid(), process.ended().await)
    }

    /// Waits until it says that it is ready.
    pub async fn until_ready(&mut self) {
        let (name, internal) = (self.name.clone(), self.place.at(INTERNAL));
        let process = self.process.as_mut().expect("it runs");
        until(&format!("readiness of {name}"), || {
            process.must_live();
            async { http::get(internal, "/readyz").await.filter(|(status, _)| *status == 200) }
        })
        .await;
    }

    /// The sum of a metric over its labels; none when the node does not tell.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let (_, page) = http::get(self.place.at(INTERNAL), "/metrics").await?;
        let of_name =
            |series: &str| series == name || series.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'));
        let values = page.lines().filter_map(|line| line.rsplit_once(' ')).filter(|(series, _)| of_name(series));
        Some(values.filter_map(|(_, value)| value.parse::<f64>().ok()).sum())
    }

    /// Holes in the stream of republished messages that it has filled, over all its lives.
    pub async fn healed(&self) -> f64 {
        self.healed_before + self.metric("notifier_gaps_healed_total").await.unwrap_or_default()
    }

    /// Whether it is made to lose messages.
    pub fn loses(&self) -> u32 {
        self.loses
    }

    /// Counters end with their process.
    async fn keep_figures(&mut self) {
        self.healed_before = self.healed().await;
    }
}
