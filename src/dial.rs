//! TCP connections to a name that may have several addresses, of which some may
//! be silent: attempts begin a moment apart, and the first that comes about
//! counts (RFC 8305, "Happy Eyeballs").

use std::{io, net::SocketAddr, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::{
    net::{TcpStream, lookup_host},
    time::sleep,
};

/// Between the beginnings of two attempts, unless the first has failed before
/// (RFC 8305 section 8).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to one of the addresses of a host. It waits as long as the system
/// does; the caller bounds it.
///
/// # Errors
/// When the name has no address, or why the last attempt failed.
pub async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    dial_any(&resolve_host(host, port).await?).await
}

/// The addresses of a host, in the order in which to try them.
///
/// # Errors
/// When the name is not known.
pub async fn resolve_host(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    Ok(alternate(&addresses))
}

/// Connects to one of these addresses, trying them in this order.
///
/// # Errors
/// Why the last attempt failed.
pub async fn dial_any(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut untried = addresses.iter();
    let mut attempts = FuturesUnordered::new();
    loop {
        if let Some(address) = untried.next() {
            attempts.push(TcpStream::connect(*address));
        }
        tokio::select! {
            ended = attempts.next() => match ended {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(error)) => failed = error,
                None => return Err(failed),
            },
            () = sleep(ATTEMPT_DELAY), if !untried.as_slice().is_empty() => {}
        }
    }
}

/// The two families in turns, beginning with the one that the resolver prefers
/// (RFC 8305 section 4): where one of them leads nowhere, the other comes next.
fn alternate(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let prefers_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<SocketAddr>, Vec<SocketAddr>) =
        addresses.iter().copied().partition(|address| address.is_ipv4() == prefers_v4);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut turns = Vec::with_capacity(addresses.len());
    while turns.len() < addresses.len() {
        turns.extend(first.next());
        turns.extend(second.next());
    }
    turns
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Socket, Type};
    use tokio::{net::TcpListener, time::timeout};

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    /// A listener whose queue is full: the system drops what asks for more.
    async fn silent() -> (Socket, Vec<TcpStream>, SocketAddr) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&address("127.0.0.1:0").into()).expect("a free port");
        socket.listen(0).expect("it listens");
        let at = socket.local_addr().ok().and_then(|at| at.as_socket()).expect("an address");
        let mut queued = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(500), TcpStream::connect(at)).await {
            queued.push(stream.expect("the queue has room"));
        }
        (socket, queued, at)
    }

    #[tokio::test]
    async fn a_silent_address_holds_up_nobody_who_answers_at_another() {
        let (_socket, _queued, silent) = silent().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let answers = listener.local_addr().expect("an address");
        let stream = timeout(Duration::from_secs(20), dial_any(&[silent, silent, answers])).await;
        let stream = stream.expect("long before the system gives up").expect("a connection");
        assert_eq!(stream.peer_addr().expect("an address"), answers);
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_passed_over_at_once_and_the_last_reason_told() {
        let refuses = TcpListener::bind("127.0.0.1:0").await.and_then(|gone| gone.local_addr()).expect("an address");
        let error = dial_any(&[refuses, refuses]).await.expect_err("nobody listens");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(dial_any(&[]).await.expect_err("no address").kind(), io::ErrorKind::NotFound);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let answers = listener.local_addr().expect("an address");
        assert_eq!(dial("127.0.0.1", answers.port()).await.expect("it listens").peer_addr().ok(), Some(answers));
    }

    #[test]
    fn families_take_turns_and_the_preferred_one_begins() {
        let [a, b, c, x, y] = ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1", "[::1]:1", "[::2]:1"].map(address);
        assert_eq!(alternate(&[a, b, c, x, y]), [a, x, b, y, c]);
        assert_eq!(alternate(&[x, y, a]), [x, a, y]);
        assert_eq!(alternate(&[a, b]), [a, b]);
        assert_eq!(alternate(&[]), []);
    }
}
