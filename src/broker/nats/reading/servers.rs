//! The servers of a cluster: which to try next, and how long to wait before. Servers
//! that a cluster tells of may be out of reach, and cost the whole time of an
//! attempt then: so the configured servers come first, and one of them again after
//! each other one. Both kinds of connection use it. Free of I/O and clocks.

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
    configured: Turns,
    learned: Turns,
    /// Attempts since the last success.
    attempts: usize,
}

/// Servers that take turns.
#[derive(Debug, Default)]
struct Turns {
    known: Vec<KnownServer>,
    next: usize,
}

#[derive(Clone, Debug)]
struct KnownServer {
    address: Address,
    /// The name that its certificate has to have.
    certified: String,
}

impl Turns {
    fn take(&mut self) -> Option<KnownServer> {
        let place = self.next % self.known.len().max(1);
        self.next = place + 1;
        self.known.get(place).cloned()
    }

    fn has(&self, address: &Address) -> bool {
        self.known.iter().any(|known| known.address == *address)
    }
}

impl Servers {
    /// Starts with any of the configured ones, so that the nodes of a
    /// deployment spread over a cluster.
    pub(crate) fn new(configured: Vec<Address>) -> Self {
        let known: Vec<KnownServer> =
            configured.into_iter().map(|address| KnownServer { certified: address.host.clone(), address }).collect();
        let configured = Turns { next: fastrand::usize(..known.len().max(1)), known };
        Self { configured, learned: Turns::default(), attempts: 0 }
    }

    /// The server to try now, by which certified name, and after which wait.
    pub(crate) fn next(&mut self) -> Option<(Duration, Address, String)> {
        let (configured, learned) = (self.configured.known.len(), self.learned.known.len());
        let round = (configured + (2 * learned).saturating_sub(1)).max(1);
        let (rounds, place) = (self.attempts / round, self.attempts % round);
        let is_first = place < configured;
        let is_configured = is_first || (place - configured) % 2 == 1;
        let wait = match rounds {
            0 if is_first || !is_configured => Duration::ZERO,
            rounds => wait(rounds),
        };
        self.attempts += 1;
        let turns = if is_configured { &mut self.configured } else { &mut self.learned };
        turns.take().map(|KnownServer { address, certified }| (wait, address, certified))
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
        let Some(model) = self.configured.known.first().cloned() else { return };
        let (tls, identity, certified) = (model.address.tls, model.address.identity, model.certified);
        self.learned.known.retain(|known| told.contains(&known.address));
        for address in told {
            let is_new = !self.configured.has(&address) && !self.learned.has(&address);
            if is_new && self.learned.known.len() < SERVERS {
                // Servers tell addresses, certificates have names: that of the server we were told to trust.
                let is_number = address.host.parse::<std::net::IpAddr>().is_ok();
                let certified = if is_number { certified.clone() } else { address.host.clone() };
                let address = Address { tls, identity: identity.clone(), ..address };
                self.learned.known.push(KnownServer { address, certified });
            }
        }
    }

    /// Whether there is anybody else to go to.
    pub(crate) fn others(&self) -> bool {
        self.configured.known.len() + self.learned.known.len() > 1
    }
}

/// Doubling with jitter, so that the nodes of a deployment do not all knock at once.
fn wait(rounds: usize) -> Duration {
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
    fn the_configured_servers_are_tried_before_those_that_the_cluster_tells_of() {
        let mut servers = Servers::new(vec![address("a"), address("b")]);
        servers.learn(&["10.0.0.1".into(), "10.0.0.2".into(), "10.0.0.3".into()]);
        for round in 0..3 {
            let tried: Vec<_> = (0..7).filter_map(|_| servers.next()).collect();
            let hosts: Vec<&str> = tried.iter().map(|(_, address, _)| address.host.as_str()).collect();
            let is_learned: Vec<bool> = hosts.iter().map(|host| host.starts_with("10.")).collect();
            assert_eq!(is_learned, [false, false, true, false, true, false, true], "{hosts:?}");
            assert_eq!([hosts[2], hosts[4], hosts[6]], ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
            assert!(hosts[..2].contains(&"a") && hosts[..2].contains(&"b"));
            let at_once: Vec<bool> = tried.iter().map(|(wait, ..)| wait.is_zero()).collect();
            let expected = if round == 0 { [true, true, true, false, true, false, true] } else { [false; 7] };
            assert_eq!(at_once, expected, "what was tried a moment ago is given one");
        }
        // Also after one of the others had worked, and has gone.
        servers.worked();
        assert!(["a", "b"].contains(&servers.next().expect("a server").1.host.as_str()));
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
        let known = servers.configured.known.iter().chain(&servers.learned.known);
        let known: Vec<_> = known.map(|known| (known.address.to_string(), known.certified.as_str())).collect();
        assert_eq!(
            known,
            [
                ("nats.example:4222".to_owned(), "nats.example"),
                ("10.0.0.1:4222".to_owned(), "nats.example"),
                ("b.example:1".to_owned(), "b.example")
            ]
        );
        assert!(servers.learned.known.iter().all(|known| known.address.tls));
        servers.learn(&["b.example:1".into()]);
        assert_eq!(servers.learned.known.len(), 1);
        assert!(servers.others());
        servers.learn(&[]);
        assert_eq!(servers.learned.known.len(), 1, "a server without a cluster says nothing of others");
    }
}
