//! Where the processes of a world live. Each has an address of its own, so
//! ports are fixed, a restarted process finds its port free, and no outgoing
//! connection can take it meanwhile.

use std::{
    ffi::OsStr,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    process::{self, Command},
};

use super::netns::{Bridge, Namespace};

/// Taken by the test itself.
const FIRST_HOST: u8 = 2;

/// All addresses of a world.
pub struct Network {
    kind: Kind,
    next_host: u8,
}

enum Kind {
    /// Addresses of the loopback interface: always possible, nothing can be cut.
    Loopback([u8; 3]),
    /// A network namespace each, on one bridge.
    Namespaces(Bridge),
}

/// Where one process lives.
#[derive(Clone)]
pub struct Place {
    address: Ipv4Addr,
    namespace: Option<Namespace>,
}

impl Network {
    /// Namespaces where they can be had and are not declined by
    /// `CHAOS_NETWORK=loopback`; else loopback, and it says so.
    pub fn best() -> Self {
        if std::env::var("CHAOS_NETWORK").is_ok_and(|wanted| wanted == "loopback") {
            println!("network: loopback, as asked for; NO partitions");
            return Self::loopback();
        }
        match Bridge::new() {
            Ok(bridge) => {
                println!("network: namespaces on {}", bridge.name());
                Self { kind: Kind::Namespaces(bridge), next_host: FIRST_HOST }
            }
            Err(why) => {
                println!("network: loopback, NO partitions: {why}");
                Self::loopback()
            }
        }
    }

    pub fn loopback() -> Self {
        // Two runs at a time must not meet: the process gives the start, the probe the proof.
        let start = process::id();
        let free = (start..start + 1000).map(|number| {
            let [_, _, high, low] = number.to_be_bytes();
            [127, 64 + high % 128, low]
        });
        let prefix = free
            .into_iter()
            .find(|[a, b, c]| TcpListener::bind((Ipv4Addr::new(*a, *b, *c, FIRST_HOST), 4222)).is_ok())
            .expect("loopback addresses that nobody uses");
        Self { kind: Kind::Loopback(prefix), next_host: FIRST_HOST }
    }

    /// Whether connections can be cut.
    pub fn can_cut(&self) -> bool {
        matches!(self.kind, Kind::Namespaces(_))
    }

    /// The address from which the test process speaks to the others.
    pub fn own_address(&self) -> Ipv4Addr {
        match &self.kind {
            Kind::Loopback(_) => Ipv4Addr::LOCALHOST,
            Kind::Namespaces(bridge) => bridge.address(),
        }
    }

    /// An address nobody has yet.
    pub fn place(&mut self, name: &str) -> Place {
        let host = self.next_host;
        self.next_host += 1;
        match &mut self.kind {
            Kind::Loopback([a, b, c]) => Place { address: Ipv4Addr::new(*a, *b, *c, host), namespace: None },
            Kind::Namespaces(bridge) => {
                let (address, namespace) = bridge.add(name, host);
                Place { address, namespace: Some(namespace) }
            }
        }
    }
}

impl Place {
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.address), port)
    }

    /// What can be cut; only where [`Network::can_cut`].
    pub fn namespace(&self) -> &Namespace {
        self.namespace.as_ref().expect("a network that can be cut")
    }

    /// A program that will run here, under the process id of the child.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        match &self.namespace {
            None => Command::new(program),
            Some(namespace) => namespace.command(program),
        }
    }
}
