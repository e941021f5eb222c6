//! What is measured: the servers, how each is started, and how each is spoken to.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;

use crate::{
    certificate::Certificate,
    failure::{Because as _, Failure, Outcome},
    plug::Plug,
    settings,
};

/// A kind of server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Server {
    /// The least there is: one `send` per delivery, or `batch` waiting events in one.
    Floor {
        /// Events in one write at most.
        batch: usize,
    },
    /// The obvious design: a task and a broadcast receiver per connection.
    Naive,
    /// A bare subscriber that serves nobody.
    Sink(Reader),
    /// npm `ws` on Node.
    Ws,
    /// nats-server's own WebSocket listener.
    Nats,
    /// A notifier node.
    Notifier(PathBuf),
    /// Centrifugo in NATS raw mode.
    Centrifugo(PathBuf),
}

/// What a bare subscriber reads with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reader {
    /// `async-nats`.
    Library,
    /// The node's own reading connection, which makes events of what it reads.
    Node,
}

/// A server, a protocol and the name that stands in tables.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// What is started.
    pub server: Server,
    /// What its clients speak.
    pub plug: Plug,
    /// Whether the events of the benchmark are stored in JetStream, and durable.
    pub stored: bool,
    /// Whether everything is on that a node can do for its clients: tokens, grants, denials, limits, streams; and its
    /// metrics are read.
    pub full: bool,
    /// Whether it is for users of whom one is hostile: tokens, limits as they are by default, a stream beside what is live.
    pub hostile: bool,
    /// Whether it and its clients speak TLS.
    pub tls: bool,
}

/// The names of the targets that are measured when none is named; those that need a path are not among them.
pub const NAMES: &[&str] = &["floor", "floor16", "notifier", "notifier-proto", "naive", "ws", "nats"];

/// Nodes that are measured only where they are named: by event streams, with stored events, with everything on, with
/// both, over TLS.
pub const NAMED: &[&str] =
    &["notifier-sse", "notifier-durable", "notifier-full", "notifier-full-durable", "notifier-tls"];

/// The end of the names of servers that are measured over TLS.
const TLS: &str = "-tls";

/// Where the programs are that are not part of this one.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The node.
    pub node: PathBuf,
    /// nats-server: it feeds all targets and is one itself.
    pub nats_server: PathBuf,
    /// Centrifugo, if it is to be measured.
    pub centrifugo: Option<PathBuf>,
    /// The folder of the `ws` peer.
    pub ws: PathBuf,
}

impl Programs {
    /// Whether the `ws` peer can run.
    pub fn ws_installed(&self) -> bool {
        self.ws.join("node_modules/ws").exists()
    }

    /// Fails if what every target needs is missing.
    pub fn check(&self) -> Outcome<()> {
        present(&self.nats_server, "--nats-server")
    }
}

fn present(program: &Path, flag: &str) -> Outcome<()> {
    // A bare name is looked up in PATH when it is started.
    if program.components().count() == 1 || program.is_file() {
        return Ok(());
    }
    Err(Failure::new(format!("there is no program {}: build it, or name another with {flag}", program.display())))
}

impl Target {
    /// Fails if it cannot run here.
    pub fn check(&self, programs: &Programs) -> Outcome<()> {
        match &self.server {
            Server::Notifier(path) if self.plug == Plug::NotifierJson && *path != programs.node => {
                present(path, "--compare")
            }
            Server::Notifier(path) => present(path, "--node"),
            Server::Centrifugo(path) => present(path, "--centrifugo"),
            Server::Ws if !programs.ws_installed() => {
                Err(Failure::new(format!("the target ws is not installed: run `npm ci` in {}", programs.ws.display())))
            }
            _ => Ok(()),
        }
    }

    /// The target with this name.
    pub fn named(name: &str, programs: &Programs) -> Outcome<Self> {
        let (server, plug) = match name {
            "floor" => (Server::Floor { batch: 1 }, Plug::Plain),
            "floor16" => (Server::Floor { batch: 16 }, Plug::Plain),
            "naive" => (Server::Naive, Plug::Plain),
            "ws" => (Server::Ws, Plug::Plain),
            "nats" => (Server::Nats, Plug::Nats),
            "notifier" | "notifier-durable" | "notifier-full" | "notifier-full-durable" | "notifier-tls" => {
                (Server::Notifier(programs.node.clone()), Plug::NotifierJson)
            }
            "notifier-proto" => (Server::Notifier(programs.node.clone()), Plug::NotifierProto),
            "notifier-sse" => (Server::Notifier(programs.node.clone()), Plug::NotifierEvents),
            "centrifugo" | "centrifugo-tls" => match &programs.centrifugo {
                Some(path) => (Server::Centrifugo(path.clone()), Plug::Centrifugo),
                None => return Err(Failure::new(format!("the target {name} needs --centrifugo PATH"))),
            },
            _ => {
                let known = [NAMES, NAMED].concat().join(", ");
                return Err(Failure::new(format!(
                    "there is no target {name}; there are {known}, centrifugo, centrifugo-tls"
                )));
            }
        };
        Ok(Self {
            stored: matches!(name, "notifier-durable" | "notifier-full-durable"),
            full: matches!(name, "notifier-full" | "notifier-full-durable"),
            ..Self::bare(name, server, plug)
        })
    }

    /// A server with nothing on, over TLS where its name ends in `-tls`.
    fn bare(name: &str, server: Server, plug: Plug) -> Self {
        let tls = name.ends_with(TLS);
        Self { name: name.into(), server, plug, stored: false, full: false, hostile: false, tls }
    }

    /// Another build of the node, from `NAME=PATH`; over TLS where the name ends in `-tls`.
    pub fn compared(assignment: &str) -> Outcome<Self> {
        let Some((name, path)) = assignment.split_once('=') else {
            return Err(Failure::new(format!("--compare {assignment}: must be NAME=PATH")));
        };
        Ok(Self::bare(name, Server::Notifier(path.into()), Plug::NotifierJson))
    }

    /// The bare subscribers.
    pub fn sinks() -> [Self; 2] {
        [("sink", Reader::Library), ("intake", Reader::Node)]
            .map(|(name, reader)| Self::bare(name, Server::Sink(reader), Plug::Plain))
    }

    /// Whether it is a notifier node.
    pub fn is_notifier(&self) -> bool {
        matches!(self.server, Server::Notifier(_))
    }

    /// Whether it is one of the floors.
    pub fn is_floor(&self) -> bool {
        matches!(self.server, Server::Floor { .. })
    }

    /// Whether it follows a stream: that of the benchmark's events, or one beside them.
    pub fn has_streams(&self) -> bool {
        self.stored || self.full || self.hostile
    }

    /// The command that serves clients at `listen`, fed by the nats-server at `nats`. Files go to `scratch`.
    pub fn command(&self, places: &Places<'_>) -> Outcome<Command> {
        let Places { programs, listen, internal, nats, certificate, scratch } = places;
        let own = |word: &str| -> Outcome<Command> {
            let mut command = Command::new(std::env::current_exe().because(|| "cannot find this program".into())?);
            command.arg(word).args(["--listen", &listen.to_string(), "--nats", &nats.to_string()]);
            Ok(command)
        };
        Ok(match &self.server {
            Server::Floor { batch } => {
                let mut command = own("floor")?;
                command.args(["--batch", &batch.to_string()]);
                command
            }
            Server::Naive => own("naive")?,
            Server::Sink(Reader::Library) => own("sink")?,
            Server::Sink(Reader::Node) => own("intake")?,
            Server::Ws => {
                let mut command = Command::new("node");
                command.arg(programs.ws.join("server.mjs")).args([listen.port().to_string(), nats.port().to_string()]);
                command
            }
            Server::Nats => {
                let config = format!(
                    "listen: \"{nats}\"\nwebsocket {{ listen: \"{listen}\", no_tls: true }}\n",
                    nats = places.nats,
                );
                let file = write(scratch, "nats-websocket.conf", &config)?;
                let mut command = Command::new(&programs.nats_server);
                command.arg("-c").arg(file);
                command
            }
            Server::Notifier(path) => {
                let mut command = Command::new(path);
                command.args(["serve", "--nats", &format!("nats://{nats}")]);
                command.args(["--listen", &listen.to_string(), "--internal-listen", &internal.to_string()]);
                let mut settings = if self.hostile {
                    settings::with_default_limits(scratch)
                } else {
                    settings::of_node(self.stored, self.full, scratch)
                };
                if let Some(certificate) = certificate {
                    settings += &settings::tls(certificate);
                }
                command.arg("--config").arg(write(scratch, "node.toml", &settings)?);
                command
            }
            Server::Centrifugo(path) => {
                let tls = certificate.map(|certificate| {
                    json!({ "enabled": true, "cert_pem": certificate.cert_file, "key_pem": certificate.key_file })
                });
                let (address, port) = (listen.ip().to_string(), listen.port().to_string());
                let config = json!({
                    "http_server": { "address": address, "port": port, "tls": tls.unwrap_or_else(|| json!({})) },
                    "client": { "insecure": true, "connection_limit": 100_000 },
                    "channel": { "without_namespace": { "allow_subscribe_for_client": true } },
                    "broker": { "enabled": true, "type": "nats",
                        "nats": { "url": format!("nats://{nats}"), "raw_mode": { "enabled": true } } },
                });
                let file = write(scratch, "centrifugo.json", &config.to_string())?;
                let mut command = Command::new(path);
                command.arg("-c").arg(file);
                command
            }
        })
    }
}

/// What a server is told of its surroundings.
#[derive(Debug)]
pub struct Places<'a> {
    /// Where programs are.
    pub programs: &'a Programs,
    /// Where clients come.
    pub listen: SocketAddr,
    /// Where operators come, for a node.
    pub internal: SocketAddr,
    /// Where events come from.
    pub nats: SocketAddr,
    /// What it shows to its clients, where they speak TLS.
    pub certificate: Option<&'a Certificate>,
    /// A folder for files.
    pub scratch: &'a Path,
}

fn write(folder: &Path, name: &str, text: &str) -> Outcome<PathBuf> {
    let file = folder.join(name);
    std::fs::write(&file, text).because(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
