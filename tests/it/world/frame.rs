//! Frames as they stand on the wire, for tests that have an end of it.

use tokio::{io::AsyncReadExt as _, net::TcpStream};

/// One unmasked frame: first byte and body.
pub async fn frame(peer: &mut TcpStream) -> (u8, Vec<u8>) {
    let first = peer.read_u8().await.expect("a frame");
    let length = match peer.read_u8().await.expect("a length") {
        126 => u64::from(peer.read_u16().await.expect("a length")),
        127 => peer.read_u64().await.expect("a length"),
        short => u64::from(short),
    };
    let mut body = vec![0; usize::try_from(length).expect("it fits")];
    peer.read_exact(&mut body).await.expect("a body");
    (first, body)
}
