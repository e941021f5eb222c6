//! A real nats-server, as a child process with a folder of its own.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::LazyLock,
};

use serde_json::Value;
use tempfile::TempDir;

use super::eventually;

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
    settings: String,
}

impl NatsServer {
    pub async fn start() -> Self {
        Self::with("").await
    }

    /// With lines of configuration.
    pub async fn with(settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut server = Self { process: None, folder, port: 0, settings: settings.to_owned() };
        server.restart().await;
        server
    }

    /// Starts the process again, on the same port.
    pub async fn restart(&mut self) {
        let ports = self.folder.path().join("ports");
        let _ = fs::remove_dir_all(&ports);
        fs::create_dir(&ports).expect("a folder");
        let config = self.folder.path().join("nats.conf");
        let port = if self.port == 0 { -1 } else { i32::from(self.port) };
        fs::write(&config, format!("listen: \"127.0.0.1:{port}\"\n{}\n", self.settings)).expect("room");
        let process = Command::new(&*BINARY)
            .arg("--config")
            .arg(&config)
            .arg("--ports_file_dir")
            .arg(&ports)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server starts");
        self.process = Some(process);
        eventually("the ports of nats-server", || async { self.read_port(&ports) != 0 }).await;
        self.port = self.read_port(&ports);
    }

    fn read_port(&self, ports: &Path) -> u16 {
        let read = || {
            let file = fs::read_dir(ports).ok()?.next()?.ok()?.path();
            let value: Value = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
            value["nats"][0].as_str()?.rsplit(':').next()?.parse().ok()
        };
        read().unwrap_or(0)
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
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}
