//! Which server to try next, and how long to wait before. Free of I/O and
//! clocks.

use std::time::Duration;

use crate::broker::nats::address::Address;

/// The shortest wait between two rounds of attempts.
const WAIT_MIN: Duration = Duration::from_millis(50);

/// The longest. Events are lost while we wait (NATS core), so it is short.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Servers learned beyond this many are passed over; no cluster is larger.
const SERVERS: usize = 256;

/// The configured servers, and those that they told us of.
#[derive(Debug)]
pub(crate) struct Servers {
    known: Vec<Known>,
    next: usize,
    /// Attempts since the last success.
    attempts: usize,
}

#[derive(Debug)]
struct Known {
    address: Address,
    /// The name that its certificate has to have.
    certified: String,
    configured: bool,
}

impl Servers {
    /// Starts with any of the configured ones, so that the nodes of a
    /// deployment spread over a cluster.
    pub(crate) fn new(configured: Vec<Address>) -> Self {
        let known: Vec<Known> = configured
            .into_iter()
            .map(|address| Known { certified: address.host.clone(), address, configured: true })
            .collect();
        Self { next: fastrand::usize(..known.len().max(1)), known, attempts: 0 }
    }

    /// Whom to try now, by which certified name, and after which wait.
    pub(crate) fn next(&mut self) -> Option<(Duration, Address, String)> {
        let count = self.known.len();
        let wait = match self.attempts {
            attempts if attempts < count => Duration::ZERO,
            attempts => wait(attempts / count.max(1)),
        };
        self.attempts += 1;
        let place = self.next % count.max(1);
        self.next = place + 1;
        self.known.get(place).map(|known| (wait, known.address.clone(), known.certified.clone()))
    }

    /// The last one tried has worked: it is to be looked for without delay.
    pub(crate) fn worked(&mut self) {
        self.attempts = 0;
    }

    /// Takes over what a server says of its cluster: others than the
    /// configured ones come and go.
    pub(crate) fn learn(&mut self, told: &[String]) {
        if told.is_empty() {
            return;
        }
        let told: Vec<Address> = told.iter().filter_map(|url| Address::parse(url).ok()).collect();
        let Some(model) = self.known.iter().find(|known| known.configured) else { return };
        let (tls, identity) = (model.address.tls, model.address.identity.clone());
        let certified = model.certified.clone();
        self.known.retain(|known| known.configured || told.contains(&known.address));
        for address in told {
            if self.known.len() < SERVERS && self.known.iter().all(|known| known.address != address) {
                // Servers tell addresses, certificates have names: that of the server we were told to trust.
                let is_number = address.host.parse::<std::net::IpAddr>().is_ok();
                let certified = if is_number { certified.clone() } else { address.host.clone() };
                let address = Address { tls, identity: identity.clone(), ..address };
                self.known.push(Known { address, certified, configured: false });
            }
        }
    }

    /// Whether there is anybody else to go to.
    pub(crate) fn others(&self) -> bool {
        self.known.len() > 1
    }
}

/// Doubling with jitter, so that the nodes of a deployment do not all knock at once.
pub(crate) fn wait(rounds: usize) -> Duration {
    let doubled = WAIT_MIN.saturating_mul(1 << rounds.min(10));
    doubled.min(WAIT_MAX).mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).expect("an address")
    }

    #[test]
    fn every_server_is_tried_before_the_first_wait() {
        let mut servers = Servers::new(vec![address("a"), address("b"), address("c")]);
        let mut tried: Vec<String> = (0..3)
            .map(|_| {
                let (wait, address, _) = servers.next().expect("a server");
                assert_eq!(wait, Duration::ZERO);
                address.host
            })
            .collect();
        tried.sort();
        assert_eq!(tried, ["a", "b", "c"]);
        let (wait, ..) = servers.next().expect("a server");
        assert!(wait >= WAIT_MIN / 2, "{wait:?}");
        servers.worked();
        assert_eq!(servers.next().expect("a server").0, Duration::ZERO);
    }

    #[test]
    fn waits_grow_to_their_bound() {
        for rounds in 0..100 {
            assert!(wait(rounds) >= WAIT_MIN / 2 && wait(rounds) <= WAIT_MAX, "{rounds}");
        }
        assert!(wait(50) >= WAIT_MAX / 2);
    }

    #[test]
    fn what_a_server_tells_of_its_cluster_comes_and_goes() {
        let mut servers = Servers::new(vec![address("tls://nats.example:4222")]);
        assert!(!servers.others());
        servers.learn(&["10.0.0.1:4222".into(), "nats.example:4222".into(), "b.example:1".into(), "::bad".into()]);
        let known: Vec<_> =
            servers.known.iter().map(|known| (known.address.to_string(), known.certified.as_str())).collect();
        assert_eq!(
            known,
            [
                ("nats.example:4222".to_owned(), "nats.example"),
                ("10.0.0.1:4222".to_owned(), "nats.example"),
                ("b.example:1".to_owned(), "b.example")
            ]
        );
        assert!(servers.known.iter().all(|known| known.address.tls));
        servers.learn(&["b.example:1".into()]);
        assert_eq!(servers.known.len(), 2);
        assert!(servers.others());
        servers.learn(&[]);
        assert_eq!(servers.known.len(), 2, "a server without a cluster says nothing of others");
    }
}
