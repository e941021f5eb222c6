//! Network namespaces on a bridge, for partitions that are real: links that
//! are down, packets that go nowhere, lines that are slow. Needs root and
//! iproute2; where they are missing it says so and nothing is cut.

use std::{
    ffi::OsStr,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
};

/// Begins every name of ours; then comes the process that made it, so that a
/// later run can remove what a killed one left behind.
const MARK: &str = "nt";

/// A bridge of the root namespace and the namespaces on it. All of it is
/// removed on drop.
pub struct Bridge {
    name: String,
    prefix: [u8; 3],
    namespaces: Vec<Namespace>,
}

/// One namespace with one address.
#[derive(Clone)]
pub struct Namespace {
    name: String,
    /// Its end of the wire that is plugged into the bridge.
    plug: String,
}

/// Several worlds of one test process.
static WORLDS: AtomicU32 = AtomicU32::new(0);

impl Bridge {
    /// # Errors
    /// Why there can be none here.
    pub fn new() -> Result<Self, String> {
        sweep();
        let world = WORLDS.fetch_add(1, Ordering::Relaxed);
        // Interface names have at most 15 bytes.
        let name = format!("{MARK}{}x{world}", process::id());
        let [_, _, high, low] = (process::id().wrapping_add(world << 12)).to_be_bytes();
        let bridge = Self { name, prefix: [10, 128 + high % 64, low], namespaces: Vec::new() };
        // The one step that tells whether we may; from here on a failure is a failure.
        ip(&["link", "add", &bridge.name, "type", "bridge"])?;
        ip(&["addr", "add", &format!("{}/24", bridge.address()), "dev", &bridge.name])?;
        ip(&["link", "set", &bridge.name, "up"])?;
        let probe = format!("{}probe", bridge.name);
        ip(&["netns", "add", &probe])?;
        ip(&["netns", "del", &probe])?;
        Ok(bridge)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn address(&self) -> Ipv4Addr {
        self.host(1)
    }

    fn host(&self, host: u8) -> Ipv4Addr {
        let [a, b, c] = self.prefix;
        Ipv4Addr::new(a, b, c, host)
    }

    /// A new namespace with this host number.
    pub fn add(&mut self, name: &str, host: u8) -> (Ipv4Addr, Namespace) {
        let address = self.host(host);
        let namespace = format!("{}{name}", self.name);
        let plug = format!("{}h{host}", self.name);
        let namespace = Namespace { name: namespace, plug };
        self.namespaces.push(namespace.clone());
        let Namespace { name, plug } = &namespace;
        must(&["netns", "add", name]);
        must(&["link", "add", plug, "type", "veth", "peer", "name", "eth0", "netns", name]);
        must(&["link", "set", plug, "master", &self.name, "up"]);
        must(&["-n", name, "addr", "add", &format!("{address}/24"), "dev", "eth0"]);
        must(&["-n", name, "link", "set", "lo", "up"]);
        must(&["-n", name, "link", "set", "eth0", "up"]);
        (address, namespace)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        for Namespace { name, plug } in &self.namespaces {
            // The kernel keeps a nameless namespace, and the wire into it, until the connections of killed
            // processes have timed out.
            let _ = ip(&["link", "del", plug]);
            let _ = ip(&["netns", "del", name]);
        }
        let _ = ip(&["link", "del", &self.name]);
    }
}

impl Namespace {
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Pulls the plug: nothing comes in or goes out until [`Self::plug_in`].
    pub fn unplug(&self) {
        must(&["link", "set", &self.plug, "down"]);
    }

    pub fn plug_in(&self) {
        must(&["link", "set", &self.plug, "up"]);
    }

    /// Packets to this address go nowhere until [`Self::mend`]. One-way: for
    /// a partition both sides have to cut.
    pub fn cut(&self, address: Ipv4Addr) {
        must(&["-n", &self.name, "route", "replace", "blackhole", &format!("{address}/32")]);
    }

    pub fn mend(&self, address: Ipv4Addr) {
        must(&["-n", &self.name, "route", "del", "blackhole", &format!("{address}/32")]);
    }

    /// Slows down what comes in, until [`Self::hasten`].
    pub fn slow_down(&self, kilobits: u32) -> Result<(), String> {
        let rate = format!("{kilobits}kbit");
        run(
            "tc",
            &["qdisc", "replace", "dev", &self.plug, "root", "tbf", "rate", &rate, "burst", "16kb", "limit", "64kb"],
        )
        .map(drop)
    }

    pub fn hasten(&self) {
        run("tc", &["qdisc", "del", "dev", &self.plug, "root"]).expect("it was slow");
    }

    /// How many packets had to wait since [`Self::slow_down`].
    pub fn held_back(&self) -> u64 {
        let shown = run("tc", &["-s", "qdisc", "show", "dev", &self.plug]).unwrap_or_default();
        let count = shown.split("overlimits ").nth(1).and_then(|rest| rest.split_whitespace().next());
        count.and_then(|count| count.parse().ok()).unwrap_or_default()
    }

    /// Whether a connection can be opened from in here. `ping` would do, were
    /// it installed everywhere; bash is.
    pub async fn reaches(&self, address: SocketAddr) -> bool {
        let connect = format!(": < /dev/tcp/{}/{}", address.ip(), address.port());
        let mut command = self.command("timeout");
        command.args(["1", "bash", "-c", &connect]);
        tokio::process::Command::from(command).output().await.is_ok_and(|output| output.status.success())
    }
}

/// Removes what processes left behind that are no more.
fn sweep() {
    let abandoned = |name: &str| {
        let pid = name.strip_prefix(MARK)?.split('x').next()?.parse::<u32>().ok()?;
        (!Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    };
    let names = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| abandoned(name).is_some())
            .collect()
    };
    for namespace in names("/run/netns") {
        println!("removing the abandoned namespace {namespace}");
        for pid in run("ip", &["netns", "pids", &namespace]).unwrap_or_default().split_whitespace() {
            let _ = run("kill", &["-s", "KILL", pid]);
        }
        let _ = ip(&["netns", "del", &namespace]);
    }
    for interface in names("/sys/class/net") {
        let _ = ip(&["link", "del", &interface]);
    }
}

fn must(arguments: &[&str]) {
    ip(arguments).expect("what was possible a moment ago");
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    run("ip", arguments).map(drop)
}

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("{program} {}: {said}", arguments.join(" ")))
}
