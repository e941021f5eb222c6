//! One nats-server with JetStream that comes and goes, and one node that stays.

use std::{
    net::SocketAddr,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use notifier::{access::auth::Signer, config::Algorithm};
use rustix::process::Signal;
use serde_json::{Map, json};

use crate::{
    failure::{Because as _, Failure, Outcome},
    operator::{self, Metrics},
    process::{Process, free_addresses},
    rig::{Ground, empty_folder},
};

/// Shared by the issuer and the node.
const SECRET: &str = "a secret of thirty-two bytes....";

/// How long the node may take to be connected again.
const RECONNECTED: Duration = Duration::from_secs(30);

/// What the node is told. Windows fill within a minute, so that memory is what it is soon; queues are small, so that
/// slow readers meet their ends.
const CONFIG: &str = r#"
[server]
heartbeat = "5s"

[limits]
outbox_bytes = "64KiB"
send_buffer = "16KiB"
stall_time = "10s"

[auth]
mode = "jwt"
leeway = "0s"
expiry_warning = "5s"

[[auth.issuers]]
issuer = "soak"
audience = "soak"
algorithms = ["HS256"]
secret = "SECRET"

[[grants]]
role = "*"
subscribe = ["soak.>"]
publish = ["soak.own.{sub}", "soak.say.*"]
request = ["soak.ask.*"]

[[grants]]
role = "guest"
deny = ["soak.l.0.>"]

[[subjects]]
pattern = "soak.d.>"
delivery = "durable"
stream = "SOAK"

[[subjects]]
pattern = "soak.own.>"
delivery = "durable"
stream = "SOAK"

[[subjects]]
pattern = "soak.v.*"
delivery = "latest"
stream = "VALUES"

[[streams]]
name = "SOAK"
subjects = ["soak.d.>", "soak.own.>"]
max_age = "4m"
duplicate_window = "4m"

[streams.window]
bytes = "2MiB"

[[streams]]
name = "VALUES"
subjects = ["soak.v.*"]

[streams.window]
bytes = "1MiB"
"#;

#[derive(Debug)]
pub(super) struct World<'a> {
    ground: &'a Ground,
    pub(super) nats: SocketAddr,
    pub(super) listen: SocketAddr,
    pub(super) internal: SocketAddr,
    pub(super) node: Process,
    server: Option<Process>,
}

impl<'a> World<'a> {
    pub(super) fn start(ground: &'a Ground) -> Outcome<Self> {
        let [nats, listen, internal] = free_addresses()?;
        empty_folder(&ground.scratch, "jetstream")?;
        let server = serve(ground, nats)?;
        let file = ground.scratch.join("soak.toml");
        std::fs::write(&file, CONFIG.replace("SECRET", SECRET))
            .because(|| format!("cannot write {}", file.display()))?;
        let mut command = Command::new(&ground.programs.node);
        command.args(["serve", "--nats", &format!("nats://{nats}"), "--config"]).arg(file);
        command.args(["--listen", &listen.to_string(), "--internal-listen", &internal.to_string()]);
        let mut node = Process::start("node", None, &command, &ground.scratch, listen)?;
        operator::await_ready(&mut node, internal)?;
        Ok(Self { ground, nats, listen, internal, node, server: Some(server) })
    }

    /// Ends nats-server by `signal`, and starts it where it was, on what it has stored, when it has been `away` for so
    /// long. Returns the seconds until the node was connected again.
    pub(super) fn restart_nats(&mut self, signal: Signal, away: Duration) -> Outcome<f64> {
        let begun = Instant::now();
        if let Some(server) = self.server.take() {
            server.end(signal)?;
        }
        sleep(away);
        self.server = Some(serve(self.ground, self.nats)?);
        while Metrics::of(self.internal)?.value("notifier_broker_connected")? == 0.0 {
            if begun.elapsed() > RECONNECTED {
                return Err(Failure::new(format!(
                    "the node is not connected to NATS after {} s",
                    RECONNECTED.as_secs()
                )));
            }
            sleep(Duration::from_millis(50));
        }
        Ok(begun.elapsed().as_secs_f64())
    }

    /// Fails if one of them has ended.
    pub(super) fn check(&mut self) -> Outcome<()> {
        self.node.check()?;
        self.server.as_mut().map_or(Ok(()), Process::check)
    }
}

fn serve(ground: &Ground, address: SocketAddr) -> Outcome<Process> {
    let mut command = Command::new(&ground.programs.nats_server);
    command.args(["-a", &address.ip().to_string(), "-p", &address.port().to_string(), "-js", "-sd"]);
    command.arg(ground.scratch.join("jetstream"));
    Process::start("nats-server", None, &command, &ground.scratch, address)
}

/// Signs tokens that the node takes.
pub(super) fn issuer() -> Outcome<Signer> {
    Signer::secret(SECRET.as_bytes(), Algorithm::HS256).because(|| "cannot sign tokens".into())
}

/// What a token says: who, in which role, until which second since 1970.
pub(super) fn claims(user: &str, role: &str, until: u64) -> Map<String, serde_json::Value> {
    let claims = [
        ("iss", json!("soak")),
        ("aud", json!("soak")),
        ("sub", json!(user)),
        ("roles", json!([role])),
        ("exp", json!(until)),
    ];
    claims.into_iter().map(|(name, value)| (name.into(), value)).collect()
}
