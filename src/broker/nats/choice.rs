//! The server that the publishing client tries next. The client library would
//! try any of those that it has heard of, five seconds each; this one goes by the
//! same order and the same pauses as the connections that read.

use std::time::Duration;

use async_nats::{ReconnectToServer, Server, ServerAddr};
use tokio::time::Instant;

use crate::{
    broker::{
        attempts::Cause,
        nats::{
            reading::{LASTING, Servers},
            remedy::{LOST, plain, remedy},
        },
    },
    dial::resolve_host,
};

/// The servers of the publishing client, and which of them it tries.
#[derive(Debug)]
pub(crate) struct ServerChoice {
    servers: Servers,
    tried: Option<(ServerAddr, Instant)>,
}

/// The server to try next, and the one that was tried before, if that has
/// failed.
#[derive(Debug)]
pub(crate) struct NextServer {
    pub(crate) target: Option<ReconnectToServer>,
    pub(crate) failed: Option<FailedServer>,
    pub(crate) wait: Duration,
}

/// A server that could not be connected to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FailedServer {
    host: String,
    port: u16,
    /// The library does not say why where the name is not known.
    problem: Option<String>,
}

impl FailedServer {
    /// Why.
    pub(crate) async fn cause(self) -> Cause {
        let Self { host, port, problem } = self;
        let problem = match problem {
            Some(problem) => plain(&problem),
            None => match resolve_host(&host, port).await {
                Err(error) => error.to_string(),
                Ok(addresses) if addresses.is_empty() => "the name has no address".to_owned(),
                Ok(_) => LOST.to_owned(),
            },
        };
        Cause { server: format!("{}:{port}", shown(&host)), remedy: remedy(&problem), problem }
    }
}

impl ServerChoice {
    pub(crate) fn new(servers: Servers) -> Self {
        Self { servers, tried: None }
    }

    /// The next one; `pool` is what the client knows of each, and `connected`
    /// whether it had a connection since it was asked last.
    pub(crate) fn next(&mut self, pool: &[Server], connected: bool, now: Instant) -> NextServer {
        let at = |address: &ServerAddr| format!("{}:{}", shown(address.host()), address.port());
        let told: Vec<String> = pool.iter().filter(|known| known.is_discovered).map(|known| at(&known.addr)).collect();
        self.servers.learn(&told);
        let mut failed = None;
        if let Some((tried, since)) = self.tried.take() {
            if !connected {
                let known = pool.iter().find(|known| known.addr == tried);
                let problem = known.and_then(|known| known.last_error.clone());
                failed = Some(FailedServer { host: tried.host().to_owned(), port: tried.port(), problem });
            } else if now.saturating_duration_since(since) >= LASTING {
                // One that ends each connection at once is not to be asked without a pause.
                self.servers.worked();
            }
        }
        let Some((wait, address, _)) = self.servers.next() else {
            return NextServer { target: None, failed, wait: Duration::ZERO };
        };
        let is_it = |known: &&Server| {
            let addr = &known.addr;
            addr.port() == address.port && addr.host().eq_ignore_ascii_case(&address.host)
        };
        let target = pool.iter().find(is_it).map(|known| known.addr.clone());
        let target = target.map(|addr| {
            self.tried = Some((addr.clone(), now + wait));
            ReconnectToServer { addr, delay: Some(wait) }
        });
        NextServer { target, failed, wait }
    }
}

/// A host as it stands in an address.
fn shown(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::nats::address::Address;

    fn server(address: &str, is_discovered: bool, last_error: Option<&str>) -> Server {
        let failed_attempts = usize::from(last_error.is_some());
        let last_error = last_error.map(str::to_owned);
        Server {
            addr: address.parse().expect("an address"),
            failed_attempts,
            did_connect: true,
            is_discovered,
            last_error,
        }
    }

    #[tokio::test]
    async fn the_configured_server_comes_first_and_what_has_failed_says_why_without_secrets() {
        let configured = Address::parse("nats://user:hunter2@h:4222").expect("an address");
        let mut choice = ServerChoice::new(Servers::new(vec![configured]));
        let begun = Instant::now();
        let pool = |error| {
            vec![
                server("nats://10.0.0.1:4222", true, None),
                server("nats://user:hunter2@h:4222", false, error),
                server("nats://[::2]:4222", true, None),
            ]
        };
        let NextServer { target, failed, wait } = choice.next(&pool(None), false, begun);
        assert_eq!((target.expect("one").addr.host(), failed, wait), ("h", None, Duration::ZERO));
        let refused = pool(Some("IO error: Connection refused (os error 111)"));
        let NextServer { target, failed, .. } = choice.next(&refused, false, begun);
        let Cause { server, problem, remedy } = failed.expect("it has failed").cause().await;
        assert_eq!((&*server, &*problem), ("h:4222", "Connection refused (os error 111)"));
        assert!(remedy.contains("nobody listens there"));
        assert_ne!(target.expect("another").addr.host(), "h");
        let NextServer { target, wait, .. } = choice.next(&pool(None), true, begun);
        assert!(target.expect("it again").addr.host() == "h" && wait > Duration::ZERO);
        // One that has worked for a while is looked for without a pause.
        let later = begun + 2 * LASTING;
        let NextServer { failed, wait, .. } = choice.next(&pool(None), true, later);
        assert_eq!((failed, wait), (None, Duration::ZERO));
    }

    #[tokio::test]
    async fn a_name_that_nobody_knows_is_told_as_such_though_the_library_does_not() {
        let failed = FailedServer { host: "nats.invalid".into(), port: 4222, problem: None };
        let Cause { problem, remedy, .. } = failed.cause().await;
        assert!(problem.contains("lookup") && remedy.contains("resolver"), "{problem}; {remedy}");
    }
}
