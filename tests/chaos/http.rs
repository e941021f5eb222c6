//! HTTP: pages of monitoring ports, and requests of clients.

use std::{future::pending, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};

/// A process on the same machine answers at once, or it is stopped, dead or cut off.
const PATIENCE: Duration = Duration::from_secs(1);

/// Status and body; none from whoever is silent.
pub async fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let request = Request::get(path).header("host", address.to_string()).body(Full::default()).ok()?;
    let (status, body) = timeout(PATIENCE, ask(address, request)).await.ok()??;
    Some((status, String::from_utf8_lossy(&body).into_owned()))
}

/// Status and whole body of the answer to a request; none where the connection ends before. It ends when this is
/// dropped.
pub async fn ask(address: SocketAddr, request: Request<Full<Bytes>>) -> Option<(u16, Bytes)> {
    let stream = TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let answer = async {
        let (head, body) = sender.send_request(request).await.ok()?.into_parts();
        Some((head.status.as_u16(), body.collect().await.ok()?.to_bytes()))
    };
    // Side by side, in this task, so that whoever drops it has dropped the socket.
    tokio::select! {
        answer = answer => answer,
        () = async { drop(connection.await); pending().await } => None,
    }
}

pub async fn get_json(address: SocketAddr, path: &str) -> Option<Value> {
    serde_json::from_str(&get(address, path).await?.1).ok()
}

/// Whether anybody takes connections there.
pub async fn accepts(address: SocketAddr) -> bool {
    matches!(timeout(PATIENCE, TcpStream::connect(address)).await, Ok(Ok(_)))
}
