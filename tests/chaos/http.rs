//! Pages of monitoring ports.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};

/// A process on the same machine answers at once, or it is stopped, dead or cut off.
const PATIENCE: Duration = Duration::from_secs(1);

/// Status and body; none from whoever is silent.
pub async fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    timeout(PATIENCE, async {
        let stream = TcpStream::connect(address).await.ok()?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        let connection = tokio::spawn(connection);
        let request = Request::get(path).header("host", address.to_string()).body(Empty::<Bytes>::new()).ok()?;
        let response = sender.send_request(request).await.ok()?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        connection.abort();
        Some((head.status.as_u16(), String::from_utf8_lossy(&body).into_owned()))
    })
    .await
    .ok()?
}

pub async fn get_json(address: SocketAddr, path: &str) -> Option<Value> {
    serde_json::from_str(&get(address, path).await?.1).ok()
}

/// Whether anybody takes connections there.
pub async fn accepts(address: SocketAddr) -> bool {
    matches!(timeout(PATIENCE, TcpStream::connect(address)).await, Ok(Ok(_)))
}
