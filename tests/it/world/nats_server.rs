//! A real nats-server, as a child process with a folder of its own.

use std::{
    env, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::LazyLock,
};

use async_nats::Subscriber;
use futures_util::StreamExt as _;
use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::TcpStream,
};

use super::{eventually, node::ask, small_disk::SmallDisk, soon};

/// The binary: `$NATS_SERVER`, or whatever the script finds or builds.
static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
    if let Some(path) = env::var_os("NATS_SERVER") {
        return path.into();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/nats-server.sh");
    let output = Command::new(script).stderr(Stdio::inherit()).output().expect("the script runs");
    assert!(output.status.success(), "no nats-server is to be had");
    String::from_utf8(output.stdout).expect("a path").trim().into()
});

pub struct NatsServer {
    process: Option<Child>,
    folder: TempDir,
    port: u16,
    /// Where it listens, as it says itself.
    ports: Value,
    settings: String,
    disk: Option<SmallDisk>,
}

impl NatsServer {
    pub async fn start() -> Self {
        Self::with("").await
    }

    /// With lines of configuration.
    pub async fn with(settings: &str) -> Self {
        Self::within(tempfile::tempdir().expect("a folder"), settings.to_owned()).await
    }

    /// With JetStream, which stores in the server's own folder.
    pub async fn jetstream() -> Self {
        Self::jetstream_with("").await
    }

    /// The same, with further lines of configuration.
    pub async fn jetstream_with(settings: &str) -> Self {
        Self::jetstream_set("", settings).await
    }

    /// With JetStream in a domain of its own, and further lines of configuration.
    pub async fn domain(name: &str, settings: &str) -> Self {
        Self::jetstream_set(&format!("domain: {name}"), settings).await
    }

    async fn jetstream_set(more: &str, settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = folder.path().join("jetstream");
        let settings = format!("jetstream {{ store_dir: {store:?}, {more} }}\n{settings}");
        Self::within(folder, settings).await
    }

    /// With JetStream on a disk that is nearly full. Nothing where this process
    /// may not mount one, which it says.
    pub async fn on_small_disk() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let store = folder.path().join("jetstream");
        fs::create_dir(&store).expect("a folder");
        let disk = SmallDisk::mount(&store)?;
        // More than there is: the server does not look at the disk before.
        let settings = format!("jetstream {{ store_dir: {store:?}, max_file: 1GB, max_mem: 64MB }}");
        let mut server = Self { process: None, folder, port: 0, ports: Value::Null, settings, disk: Some(disk) };
        server.restart().await;
        Some(server)
    }

    async fn within(folder: TempDir, settings: String) -> Self {
        let mut server = Self { process: None, folder, port: 0, ports: Value::Null, settings, disk: None };
        server.restart().await;
        server
    }

    /// Several that know of each other.
    pub async fn cluster<const COUNT: usize>() -> [Self; COUNT] {
        Self::cluster_with("").await
    }

    /// The same, with further lines of configuration.
    pub async fn cluster_with<const COUNT: usize>(more: &str) -> [Self; COUNT] {
        let mut servers: Vec<Self> = Vec::new();
        for number in 0..COUNT {
            let route = servers.first().map(|first| format!("\"nats://{}\"", first.at("cluster"))).unwrap_or_default();
            let settings = format!(
                "server_name: s{number}\nhttp: \"127.0.0.1:-1\"\n\
                 cluster {{ name: c, listen: \"127.0.0.1:-1\", routes: [{route}] }}\n{more}"
            );
            servers.push(Self::with(&settings).await);
        }
        for server in &servers {
            eventually("a whole cluster", || async {
                let urls = server.publisher().await.info["connect_urls"].as_array().map_or(0, Vec::len);
                // Those that tell the same address count once.
                urls == COUNT || (!more.is_empty() && urls > 0)
            })
            .await;
        }
        servers.try_into().ok().expect("as many as were asked for")
    }

    /// Starts the process again, on the same port.
    pub async fn restart(&mut self) {
        let ports = self.folder.path().join("ports");
        let _ = fs::remove_dir_all(&ports);
        fs::create_dir(&ports).expect("a folder");
        self.write_config();
        let mut command = match &self.disk {
            None => Command::new(&*BINARY),
            Some(disk) => disk.within(&BINARY),
        };
        let process = command
            .arg("--config")
            .arg(self.config())
            .arg("--ports_file_dir")
            .arg(&ports)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server starts");
        self.process = Some(process);
        let read = || {
            let file = fs::read_dir(&ports).ok()?.next()?.ok()?.path();
            serde_json::from_str::<Value>(&fs::read_to_string(file).ok()?).ok()
        };
        eventually("the ports of nats-server", || async { read().is_some() }).await;
        self.ports = read().expect("they were there");
        self.port = self.at("nats").port();
    }

    /// Other lines of configuration from its next start on.
    pub fn set(&mut self, settings: &str) {
        settings.clone_into(&mut self.settings);
    }

    /// Gives the running process other lines of configuration.
    pub fn reload(&mut self, settings: &str) {
        self.set(settings);
        self.write_config();
        self.signal("HUP");
    }

    /// Where JetStream stores.
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("jetstream")
    }

    /// Makes room on its small disk.
    pub fn make_room(&self) {
        self.disk.as_ref().expect("a small disk").make_room();
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("nats.conf")
    }

    fn write_config(&self) {
        let port = if self.port == 0 { -1 } else { i32::from(self.port) };
        fs::write(self.config(), format!("listen: \"127.0.0.1:{port}\"\n{}\n", self.settings)).expect("room");
    }

    /// Where it listens for `nats`, `cluster` or `monitoring`.
    fn at(&self, purpose: &str) -> SocketAddr {
        let url = self.ports[purpose][0].as_str().expect("a port for it");
        url.rsplit('/').next().and_then(|address| address.parse().ok()).expect("an address")
    }

    /// Sends a signal by its name: `STOP`, `CONT`, `HUP`, `USR2` (lame duck mode).
    pub fn signal(&self, name: &str) {
        let process = self.process.as_ref().expect("it runs").id().to_string();
        let status = Command::new("kill").args(["-s", name, &process]).status().expect("kill runs");
        assert!(status.success(), "kill -s {name}");
    }

    /// Stops the process where it is, and returns once no thread of it runs; it
    /// goes on with `CONT`.
    pub async fn pause(&self) {
        self.signal("STOP");
        let tasks = format!("/proc/{}/task", self.process.as_ref().expect("it runs").id());
        let stands = |task: io::Result<fs::DirEntry>| {
            let state = task.and_then(|task| fs::read_to_string(task.path().join("stat"))).unwrap_or_default();
            state.rsplit(')').next().is_some_and(|state| state.trim_start().starts_with('T'))
        };
        eventually("a process that stands", || async { fs::read_dir(&tasks).expect("it runs").all(stands) }).await;
    }

    /// Kills the process at once.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it runs");
            process.wait().expect("it ends");
        }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// A client of the NATS project's own, as a service would use it.
    pub async fn client(&self) -> async_nats::Client {
        async_nats::connect(self.url()).await.expect("a connection")
    }

    /// A client that hears a subject, and of which the server knows it: the
    /// client's own `flush` does not wait for that.
    pub async fn listener(&self, subject: &str) -> (async_nats::Client, Subscriber) {
        let client = self.client().await;
        let heard = client.subscribe(subject.to_owned()).await.expect("subscribed");
        let echo = client.new_inbox();
        let mut echoed = client.subscribe(echo.clone()).await.expect("subscribed");
        client.publish(echo, "".into()).await.expect("published");
        soon("an echo", echoed.next()).await.expect("an echo");
        (client, heard)
    }

    /// A request to JetStream as an operator's tools make it, by what follows
    /// `$JS.API.`; without a body where it is null.
    pub async fn api(&self, request: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let client = self.client().await;
        let answer = soon("an answer", client.request(format!("$JS.API.{request}"), body.clone().into())).await;
        let answer: Value = serde_json::from_slice(&answer.expect("an answer").payload).expect("JSON");
        assert_eq!(answer["error"], Value::Null, "{request} {body}");
        answer
    }

    /// A publisher that can send what no client would.
    pub async fn publisher(&self) -> RawPublisher {
        RawPublisher::connect(self.port).await
    }

    /// The same, as one of the server's users.
    pub async fn user(&self, user: &str, password: &str) -> RawPublisher {
        RawPublisher::connect_as(self.port, &json!({"user": user, "pass": password})).await
    }

    /// What each of the nodes' connections is subscribed to, but for what nodes say
    /// to each other. Needs `http: "127.0.0.1:-1"` in the
    /// configuration.
    pub async fn subscriptions_of_nodes(&self) -> Vec<Vec<String>> {
        let subscriptions = |connection: &Value| -> Vec<String> {
            let list = connection["subscriptions_list"].as_array().map(Vec::as_slice).unwrap_or_default();
            let subjects = list.iter().map(|subject| subject.as_str().expect("a subject").to_owned());
            subjects.filter(|subject| !subject.starts_with("_ntf.")).collect()
        };
        self.connections_of_nodes().await.iter().map(subscriptions).collect()
    }

    /// Bytes that it has sent to nodes; needs the same.
    pub async fn bytes_to_nodes(&self) -> u64 {
        let bytes = |connection: &Value| connection["out_bytes"].as_u64().expect("a number");
        self.connections_of_nodes().await.iter().map(bytes).sum()
    }

    async fn connections_of_nodes(&self) -> Vec<Value> {
        let request = Request::get("/connz?subs=1&limit=1000").body(Full::default()).expect("a request");
        let answer = ask(self.at("monitoring"), request).await;
        let mut answer: Value = serde_json::from_slice(answer.body()).expect("JSON");
        let of_node = |connection: &Value| connection["name"].as_str().is_some_and(|name| name.starts_with("notifier"));
        let mut connections: Vec<Value> = serde_json::from_value(answer["connections"].take()).expect("connections");
        connections.retain(of_node);
        connections
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A connection that speaks the protocol of NATS byte by byte.
pub struct RawPublisher {
    stream: BufStream<TcpStream>,
    pub info: Value,
}

impl RawPublisher {
    async fn connect(port: u16) -> Self {
        Self::connect_as(port, &json!({})).await
    }

    async fn connect_as(port: u16, identity: &Value) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
        let mut publisher = Self { stream: BufStream::new(stream), info: Value::Null };
        let line = publisher.line().await;
        publisher.info = serde_json::from_str(line.strip_prefix("INFO ").expect("INFO first")).expect("JSON");
        let mut connect = json!({"verbose": false, "pedantic": false, "protocol": 0, "headers": true});
        connect.as_object_mut().expect("an object").extend(identity.as_object().expect("an object").clone());
        publisher.send(format!("CONNECT {connect}\r\n").as_bytes()).await;
        publisher.flush().await;
        publisher
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the server reads");
    }

    /// Publishes a message, whatever it is made of.
    pub async fn publish(&mut self, subject: &[u8], reply: &[u8], headers: Option<&[u8]>, payload: &[u8]) {
        let block = headers.unwrap_or_default();
        let total = block.len() + payload.len();
        let (word, lengths) = match headers {
            Some(block) => ("HPUB", format!("{} {total}", block.len())),
            None => ("PUB", total.to_string()),
        };
        let line = [word.as_bytes(), subject, reply, lengths.as_bytes()].join(&b" "[..]);
        self.send(&[&line, &b"\r\n"[..], block, payload, b"\r\n"].concat()).await;
    }

    /// Waits until the server has handled all that was sent.
    pub async fn flush(&mut self) {
        self.send(b"PING\r\n").await;
        self.stream.flush().await.expect("the server reads");
        loop {
            match self.line().await.as_str() {
                "PONG" => return,
                "PING" => self.send(b"PONG\r\n").await,
                line => assert!(line.starts_with("INFO "), "the server says {line}"),
            }
        }
    }

    /// Waits for the next message of our subscriptions that has headers; returns
    /// where its answer goes.
    pub async fn asked(&mut self) -> String {
        loop {
            let line = self.line().await;
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["HMSG", _, _, reply, _, total] => {
                    let mut body = vec![0; total.parse::<usize>().expect("a length") + 2];
                    soon("a message", self.stream.read_exact(&mut body)).await.expect("an open connection");
                    return reply.to_owned();
                }
                ["PING"] => {
                    self.send(b"PONG\r\n").await;
                    self.stream.flush().await.expect("the server reads");
                }
                _ => {}
            }
        }
    }

    /// Sends a command, and returns what the server holds against it.
    pub async fn refused(&mut self, command: &str) -> Vec<String> {
        self.send(format!("{command}PING\r\n").as_bytes()).await;
        self.stream.flush().await.expect("the server reads");
        let mut said = Vec::new();
        loop {
            match self.line().await {
                line if line == "PONG" => return said,
                line => said.extend(line.starts_with("-ERR").then_some(line)),
            }
        }
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        soon("a line of the server", self.stream.read_line(&mut line)).await.expect("an open connection");
        line.trim_end().to_owned()
    }
}
