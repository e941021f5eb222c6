//! Rejects a connection before HTTP is spoken with it: too many are open, or TLS was
//! expected.

use std::{io, time::Duration};

use hyper::StatusCode;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::timeout};

use crate::{error::Refusal, server::response};

/// Time that a client has to read the answer.
const FAREWELL_TIME: Duration = Duration::from_secs(1);

/// Answers with a refusal whatever the client sends, and ends the connection when the
/// client has read it, or had the time to.
pub(crate) async fn reject(stream: TcpStream, refusal: Refusal) {
    // Whether it hears us is its own affair.
    let _ = timeout(FAREWELL_TIME, tell(stream, refusal)).await;
}

async fn tell(mut stream: TcpStream, refusal: Refusal) -> io::Result<()> {
    let status = StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let retry_after = if refusal.code.retryable() { "retry-after: 1\r\n" } else { "" };
    let body = response::body(refusal);
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{retry_after}connection: close\r\ncontent-length: \
         {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.shutdown().await?;
    // Closing with unread bytes would destroy the answer on its way.
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop)
}
