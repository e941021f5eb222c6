//! `notifier healthcheck`: for containers and scripts.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use crate::{
    cli::exit::{failed, say},
    tls::{self, Trust},
};

/// How long a node that is alive takes at most.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Args, Debug)]
pub(crate) struct HealthArgs {
    /// The node's internal address.
    #[arg(long, value_name = "ADDR", env = "NOTIFIER_SERVER__INTERNAL_LISTEN", default_value = "127.0.0.1:9090")]
    internal: SocketAddr,
    /// The internal listener's certificate (PEM), where it speaks TLS.
    #[arg(long, value_name = "FILE", env = "NOTIFIER_SERVER__INTERNAL_TLS__CERT_FILE")]
    cert_file: Option<PathBuf>,
    /// Ask whether it is ready instead of alive.
    #[arg(long)]
    ready: bool,
}

pub(crate) async fn healthcheck(args: &HealthArgs) -> ExitCode {
    let mut address = args.internal;
    if address.ip().is_unspecified() {
        // The address of a listener on all interfaces; this machine is one of them.
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let path = if args.ready { "/readyz" } else { "/livez" };
    let trust = args.cert_file.clone().map(Trust::Certificate);
    let scheme = if trust.is_some() { "https" } else { "http" };
    match timeout(PATIENCE, reach(address, path, trust)).await {
        Ok(Ok((StatusCode::OK, body))) => {
            say(body.trim_end());
            ExitCode::SUCCESS
        }
        Ok(Ok((status, body))) => failed(format!("{status}: {}", body.trim_end())),
        Ok(Err(why)) => failed(format!("no answer from {scheme}://{address}{path}: {why}")),
        Err(_) => failed(format!("no answer from {scheme}://{address}{path} within {} s", PATIENCE.as_secs())),
    }
}

/// Status and body.
type Answer = Result<(StatusCode, String), Box<dyn std::error::Error>>;

async fn reach(address: SocketAddr, path: &str, trust: Option<Trust>) -> Answer {
    let stream = TcpStream::connect(address).await?;
    match trust {
        None => ask(stream, address, path).await,
        Some(trust) => ask(tls::connect(stream, &address.ip().to_string(), &trust).await?, address, path).await,
    }
}

async fn ask<S>(stream: S, address: SocketAddr, path: &str) -> Answer
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder().uri(path).header(header::HOST, address.to_string()).body(Empty::<Bytes>::new())?;
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
