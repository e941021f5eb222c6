//! A node in this process.

use std::{fs::File, net::SocketAddr, process::Stdio, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, client::conn::http1};
use hyper_util::rt::TokioIo;
use notifier::{
    access::grants::Grants,
    config::{AuthMode, BrokerKind, Config, Drain, Span},
    node::{Node, NodeError},
    proto::Envelope,
    publish::{Publisher, Sender},
};
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    process::{Child, Command},
    sync::oneshot,
    task::JoinHandle,
    time::sleep,
};

use super::{NatsServer, Ws, eventually, free_address, soon};

/// A running node. Dropping it aborts it; [`TestNode::stop`] lets it leave.
pub struct TestNode {
    pub address: SocketAddr,
    pub internal: SocketAddr,
    publisher: Option<Arc<Publisher>>,
    /// Of the process, where it has one of its own.
    process: Option<u32>,
    stop: Option<oneshot::Sender<()>>,
    run: JoinHandle<Result<(), NodeError>>,
}

/// Settings of a test node: free ports, anonymous, a quick farewell.
pub fn config() -> Config {
    let mut config = Config::default();
    config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.server.internal_listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.broker.kind = BrokerKind::Memory;
    config.auth.mode = Some(AuthMode::Anonymous);
    config.drain = Drain {
        window: Duration::from_millis(200).into(),
        move_time: Duration::from_millis(200).into(),
        grace: Span::seconds(10),
    };
    config
}

impl TestNode {
    /// On the embedded broker.
    pub async fn memory() -> Self {
        Self::start(config()).await
    }

    /// On a nats-server.
    pub async fn nats(server: &NatsServer) -> Self {
        Self::nats_with(server, |_| {}).await
    }

    /// On a nats-server, with other settings.
    pub async fn nats_with(server: &NatsServer, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        config.broker.kind = BrokerKind::Nats;
        config.broker.nats.urls = vec![server.url().into()];
        change(&mut config);
        let node = Self::start(config).await;
        node.until_ready().await;
        node
    }

    /// On the embedded broker, with other settings.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        change(&mut config);
        Self::start(config).await
    }

    pub async fn start(config: Config) -> Self {
        let node = Node::bind(config).await.expect("the node starts");
        let (address, internal) = (node.local_addr().expect("an address"), node.internal_addr());
        let publisher = Some(node.publisher());
        let (stop, stopped) = oneshot::channel::<()>();
        let run = tokio::spawn(node.run(async {
            let _ = stopped.await;
        }));
        Self { address, internal, process: None, publisher, stop: Some(stop), run }
    }

    /// A process on the embedded broker, with a configuration as operators write it: its memory is
    /// its own.
    pub async fn alone(text: &str) -> Self {
        Self::spawn(&format!("[broker]\nkind = \"memory\"\n{text}"), &[], None).await
    }

    /// The same with something in its environment.
    pub async fn alone_with(environment: &[(&str, &str)], text: &str) -> Self {
        Self::spawn(&format!("[broker]\nkind = \"memory\"\n{text}"), environment, None).await
    }

    /// The same, and its log goes to a file.
    pub async fn logging(text: &str, log: File) -> Self {
        Self::spawn(&format!("[broker]\nkind = \"memory\"\n{text}"), &[], Some(log)).await
    }

    /// The process that operators run, with a configuration as they write it,
    /// and what is to be in its environment.
    pub async fn process(nats: &NatsServer, text: &str, environment: &[(&str, &str)]) -> Self {
        let broker = format!("[broker.nats]\nurls = [\"{}\"]\n{text}", nats.url());
        Self::spawn(&broker, environment, None).await
    }

    async fn spawn(text: &str, environment: &[(&str, &str)], log: Option<File>) -> Self {
        // A free port may have been taken before the process has it.
        let begun = async {
            loop {
                if let Some(begun) = begin(text, environment, log.as_ref()).await {
                    return begun;
                }
            }
        };
        let (mut process, file, address, internal) = soon("a listening process", begun).await;
        let number = process.id();
        let run = tokio::spawn(async move {
            let _file = file;
            let status = process.wait().await.expect("a child of ours");
            panic!("the process has ended: {status}");
        });
        let node = Self { address, internal, process: number, publisher: None, stop: None, run };
        node.until_ready().await;
        node
    }

    /// Sends the process a signal by its name: `STOP`, `CONT`.
    pub async fn signal(&self, name: &str) {
        let number = self.process.expect("a process of its own").to_string();
        let status = Command::new("kill").args(["-s", name, &number]).status().await.expect("kill runs");
        assert!(status.success(), "kill -s {name}");
    }

    /// The most memory that the process has ever held, bytes.
    pub fn most_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// The memory that the process holds now and that is no file, bytes.
    pub fn own_memory(&self) -> u64 {
        self.status("RssAnon:")
    }

    fn status(&self, line: &str) -> u64 {
        let number = self.process.expect("a process of its own");
        let status = std::fs::read_to_string(format!("/proc/{number}/status")).expect("a process that runs");
        let kilobytes = status.lines().find_map(|text| text.strip_prefix(line)).expect("its memory");
        kilobytes.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    /// Until nothing that was sent to its clients' port waits in the kernel.
    pub async fn until_all_is_read(&self) {
        let port = format!("{:04X}", self.address.port());
        eventually("the end of what was sent", || async {
            let sockets = std::fs::read_to_string("/proc/net/tcp").expect("Linux tells it");
            // Number, here, there, state, "what waits to be sent:what waits to be read".
            sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).all(|line| match line[..] {
                [_, here, _, "01", waiting, ..] if here.ends_with(&port) => waiting.ends_with(":00000000"),
                [_, _, there, "01", waiting, ..] if there.ends_with(&port) => waiting.starts_with("00000000:"),
                _ => true,
            })
        })
        .await;
    }

    /// A connected client that speaks JSON.
    pub async fn client(&self) -> Ws {
        Ws::connected(self.address).await
    }

    /// Tells the node to leave, without waiting.
    pub fn leave(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until the node has left.
    pub async fn gone(mut self) {
        soon("the node's end", &mut self.run).await.expect("no panic").expect("a clean end");
    }

    /// Publishes over HTTP.
    pub async fn publish(&self, subject: &str, data: impl Into<Bytes>) {
        let answer = self.post(&format!("/v1/publish/{subject}"), &[], data.into()).await;
        assert_eq!(answer.status(), 200, "{:?}", answer.body());
    }

    /// Publishes as a service does, whatever clients of this node may.
    pub async fn inject(&self, subject: &str, data: impl Into<Bytes>) -> u64 {
        let envelope = Envelope { data: data.into(), ..Envelope::default() };
        let publisher = self.publisher.as_ref().expect("a node in this process");
        let everybody = Grants::anonymous(Arc::default());
        let service = Sender { grants: &everybody, connection: None };
        publisher.publish(service, subject, envelope).await.expect("it is taken").seq
    }

    /// Until every event that connections were to get was delivered, or it is
    /// known what became of it.
    pub async fn balanced(&self) {
        eventually("a balance", || async {
            let text = self.internal("/metrics").await.1;
            let sum = |name: &str| -> f64 {
                let of_it = |line: &&str| line.split([' ', '{']).next() == Some(name);
                let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
                text.lines().filter(of_it).filter_map(value).sum()
            };
            let known = ["notifier_deliveries_total", "notifier_undelivered_total", "notifier_pending"].map(sum);
            sum("notifier_owed_total") == known.iter().sum::<f64>()
        })
        .await;
    }

    /// The same, as somebody.
    pub async fn publish_as(&self, token: &str, subject: &str, data: impl Into<Bytes>) {
        let bearer = format!("Bearer {token}");
        let answer = self.post(&format!("/v1/publish/{subject}"), &[("authorization", &bearer)], data.into()).await;
        assert_eq!(answer.status(), 200, "{:?}", answer.body());
    }

    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: Bytes) -> Response<Bytes> {
        let mut request = Request::post(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        ask(self.address, request.body(Full::new(body)).expect("a request")).await
    }

    pub async fn get(&self, path: &str) -> Response<Bytes> {
        ask(self.address, Request::get(path).body(Full::default()).expect("a request")).await
    }

    /// A page of the internal listener: status and body.
    pub async fn internal(&self, path: &str) -> (u16, String) {
        let response = ask(self.internal, Request::get(path).body(Full::default()).expect("a request")).await;
        (response.status().as_u16(), String::from_utf8(response.body().to_vec()).expect("text"))
    }

    pub async fn internal_json(&self, path: &str) -> Value {
        serde_json::from_str(&self.internal(path).await.1).expect("JSON")
    }

    /// The value of one series, as `name` or `name{label="value"}`.
    pub async fn metric(&self, series: &str) -> f64 {
        let text = self.internal("/metrics").await.1;
        text.lines()
            .filter_map(|line| line.rsplit_once(' '))
            .find(|(name, _)| *name == series)
            .map_or(0.0, |(_, value)| value.parse().expect("a number"))
    }

    pub async fn until_metric(&self, series: &str, fits: impl Fn(f64) -> bool) {
        eventually(series, || async { fits(self.metric(series).await) }).await;
    }

    pub async fn until_ready(&self) {
        eventually("readiness", || async { self.internal("/readyz").await.0 == 200 }).await;
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        self.run.abort();
    }
}

/// A process that listens, its file and its addresses; none when it has ended at once.
async fn begin(
    text: &str,
    environment: &[(&str, &str)],
    log: Option<&File>,
) -> Option<(Child, NamedTempFile, SocketAddr, SocketAddr)> {
    let (address, internal) = (free_address(), free_address());
    let file = NamedTempFile::new().expect("a file");
    let settings = format!(
        "[server]\nlisten = \"{address}\"\ninternal_listen = \"{internal}\"\n\
         [auth]\nmode = \"anonymous\"\n{text}"
    );
    std::fs::write(file.path(), settings).expect("room");
    let log = log.map_or_else(Stdio::null, |log| log.try_clone().expect("a file").into());
    let mut process = Command::new(env!("CARGO_BIN_EXE_notifier"))
        .args(["serve", "--config"])
        .arg(file.path())
        .envs(environment.iter().copied())
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .expect("the binary runs");
    let [address, internal] = [address, internal].map(|address| address.parse().expect("an address"));
    loop {
        if process.try_wait().expect("a child of ours").is_some() {
            return None;
        }
        if TcpStream::connect(internal).await.is_ok() {
            return Some((process, file, address, internal));
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// One HTTP request on a connection of its own.
pub async fn ask(address: SocketAddr, request: Request<Full<Bytes>>) -> Response<Bytes> {
    let stream = TcpStream::connect(address).await.expect("a connection");
    ask_over(stream, address, request).await
}

/// One HTTP request on a stream.
pub async fn ask_over<S>(stream: S, address: SocketAddr, mut request: Request<Full<Bytes>>) -> Response<Bytes>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let host = address.to_string().parse().expect("a header value");
    request.headers_mut().insert("host", host);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
    let connection = tokio::spawn(connection);
    let response = soon("an answer", sender.send_request(request)).await.expect("an answer");
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    connection.abort();
    Response::from_parts(head, body)
}
