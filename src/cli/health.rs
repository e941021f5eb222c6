//! `notifier healthcheck`: for containers and scripts.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use http_body_util::Full;
use hyper::{Request, header};
use tokio::net::TcpStream;

use crate::{
    cli::internal::{Answer, ask, report},
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
    report(&format!("{scheme}://{address}{path}"), PATIENCE, reach(address, path, trust)).await
}

async fn reach(address: SocketAddr, path: &str, trust: Option<Trust>) -> Answer {
    let stream = TcpStream::connect(address).await?;
    let request = Request::builder().uri(path).header(header::HOST, address.to_string()).body(Full::default())?;
    match trust {
        None => ask(stream, request).await,
        Some(trust) => ask(tls::connect(stream, &address.ip().to_string(), &trust).await?, request).await,
    }
}
