//! `notifier request`: asks a service through a node.

use std::{process::ExitCode, time::Duration};

use clap::Args;

use crate::{
    cli::{
        exit::{failed, say},
        pubsub::{ASKED, NodeArgs, answer, json, text},
    },
    client::ClientError,
    proto::{ClientFrame, Event, Request, client_frame::Body as ClientBody, server_frame::Body},
};

#[derive(Args, Debug)]
pub(crate) struct RequestArgs {
    /// Subject the service listens on, as ask.cart.u42.
    subject: String,
    /// The question's data; JSON, or any text.
    #[arg(default_value = "")]
    data: String,
    #[command(flatten)]
    node: NodeArgs,
    /// How long to wait, as 500ms or 2s; the node has a limit of its own.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// The whole answer as one JSON object, for pipes.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn request(args: RequestArgs) -> ExitCode {
    match try_request(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => failed(why),
    }
}

async fn try_request(args: RequestArgs) -> Result<(), ClientError> {
    let mut client = args.node.connect(Vec::new()).await?;
    let event = Some(Event { data: args.data.into(), ..Event::default() });
    // Zero would ask for as long as the node waits.
    let timeout_ms = args.timeout.map_or(0, |timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1));
    let request = Request { subject: args.subject, event, timeout_ms };
    client.send(ClientFrame { id: ASKED, body: Some(ClientBody::Request(request)) }).await?;
    if let Some(Body::Response(response)) = answer(&mut client).await? {
        let event = response.event.unwrap_or_default();
        say(if args.json { json(&event) } else { text(&event) });
    }
    client.close().await;
    Ok(())
}
