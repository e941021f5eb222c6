//! Asking a node's internal listener, for the verbs of operators.

use std::{error::Error, future::Future, process::ExitCode, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, StatusCode, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use crate::cli::exit::{failed, say};

/// Status and body.
pub(crate) type Answer = Result<(StatusCode, String), Box<dyn Error>>;

/// Makes one request on a stream of its own.
pub(crate) async fn ask<S>(stream: S, request: Request<Full<Bytes>>) -> Answer
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    tokio::select! {
        answer = answer => answer,
        end = connection => Err(end.err().map_or_else(|| "the connection ended".into(), Into::into)),
    }
}

/// Says what the node at a URL answers within a time, or why it does not.
pub(crate) async fn report(url: &str, patience: Duration, answer: impl Future<Output = Answer>) -> ExitCode {
    match timeout(patience, answer).await {
        Ok(Ok((StatusCode::OK, body))) => {
            say(body.trim_end());
            ExitCode::SUCCESS
        }
        Ok(Ok((status, body))) => failed(format!("{status}: {}", body.trim_end())),
        Ok(Err(why)) => failed(format!("no answer from {url}: {why}")),
        Err(_) => failed(format!("no answer from {url} within {} s", patience.as_secs())),
    }
}
