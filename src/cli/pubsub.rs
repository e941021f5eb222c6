//! `notifier pub` and `history`: a client of any node, over the real protocol.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use crate::{
    cli::{
        exit::{failed, say},
        settings::EncodingArg,
    },
    client::{Client, ClientError, EventStream, EventStreamQuery},
    codec::Encoding,
    proto::{
        self, ClientFrame, Connect, Event, Fetch, Gap, Position, Publish, ServerFrame, Subscription,
        client_frame::Body as ClientBody, server_frame::Body,
    },
    tls::Trust,
};

/// Correlation number of the one frame that is answered.
pub(crate) const ASKED: u64 = 1;

#[derive(Args, Debug)]
pub(crate) struct PubArgs {
    /// Concrete subject, as shop.cart.u42.
    subject: String,
    /// The event's data; JSON, or any text.
    data: String,
    #[command(flatten)]
    node: NodeArgs,
    /// Identifier of the event.
    #[arg(long)]
    id: Option<String>,
    /// Type of the event, as shop.cart.changed.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Media type of the data.
    #[arg(long, value_name = "MEDIA_TYPE")]
    content_type: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct HistoryArgs {
    /// Subject or pattern, as shop.cart.* or shop.>
    pattern: String,
    #[command(flatten)]
    node: NodeArgs,
    /// One JSON object per event and line, for pipes.
    #[arg(long)]
    json: bool,
    /// Begin behind this position of a stream; repeat it for several.
    #[arg(long, value_name = "STREAM/EPOCH/SEQ", value_parser = position)]
    after: Vec<Position>,
    /// The newest event of each subject instead of all.
    #[arg(long)]
    last: bool,
    /// End after this many events.
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
}

/// A position as `/v1/fetch` takes it. No name of a stream has a slash.
pub(crate) fn position(text: &str) -> Result<Position, String> {
    text.parse().map_err(|problem: proto::BadPosition| problem.to_string())
}

#[derive(Args, Debug)]
pub(crate) struct NodeArgs {
    /// The node.
    #[arg(long, value_name = "URL", default_value = "ws://127.0.0.1:8080")]
    node: String,
    /// PEM file with the authorities of a wss:// node, instead of the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Encoding on the wire.
    #[arg(long, value_enum, default_value = "proto")]
    encoding: EncodingArg,
    /// Access token; `notifier token` makes one to try out. Other users of the
    /// machine can see it here: prefer --token-file.
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<String>,
    /// File that holds the access token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl NodeArgs {
    pub(crate) async fn connect(&self, subscriptions: Vec<Subscription>) -> Result<Client, ClientError> {
        let client = proto::Client { name: "notifier-cli".into(), version: crate::metrics::VERSION.into() };
        let connect = Connect { token: self.token()?, client: Some(client), subscriptions, ..Connect::default() };
        let client =
            Client::connect_trusting(&self.node, Encoding::from(self.encoding), connect, &self.trust()).await?;
        Ok(client.0)
    }

    pub(crate) async fn event_stream(&self, request: EventStreamQuery) -> Result<EventStream, ClientError> {
        let request = EventStreamQuery { token: self.token()?, ..request };
        EventStream::open(&self.node, &request, &self.trust()).await
    }

    fn trust(&self) -> Trust {
        self.ca_file.clone().map_or(Trust::System, Trust::Authorities)
    }

    /// Read anew for each connection: somebody may renew it.
    fn token(&self) -> Result<String, ClientError> {
        match &self.token_file {
            Some(path) => match std::fs::read_to_string(path) {
                Ok(text) => Ok(text.trim().to_owned()),
                Err(source) => Err(ClientError::Token { path: path.clone(), source }),
            },
            None => Ok(self.token.clone().unwrap_or_default()),
        }
    }
}

pub(crate) async fn publish(args: PubArgs) -> ExitCode {
    match try_publish(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => failed(why),
    }
}

async fn try_publish(args: PubArgs) -> Result<(), ClientError> {
    let mut client = args.node.connect(Vec::new()).await?;
    let event = Event {
        id: args.id.unwrap_or_default(),
        r#type: args.kind.unwrap_or_default(),
        content_type: args.content_type.unwrap_or_default(),
        data: args.data.into(),
        ..Event::default()
    };
    let publish = Publish { subject: args.subject, event: Some(event) };
    client.send(ClientFrame { id: ASKED, body: Some(ClientBody::Publish(publish)) }).await?;
    if let Some(Body::Published(published)) = answer(&mut client).await?
        && published.seq > 0
    {
        let known = if published.duplicate { " (was there before)" } else { "" };
        say(format!("{} {}{known}", published.stream, published.seq));
    }
    client.close().await;
    Ok(())
}

/// Waits for the answer to the one frame that is answered.
pub(crate) async fn answer(client: &mut Client) -> Result<Option<Body>, ClientError> {
    loop {
        match client.next().await? {
            ServerFrame { reply_to: ASKED, body: Some(Body::Error(error)) } => {
                return Err(ClientError::Refused { code: error.code, message: error.message });
            }
            ServerFrame { reply_to: ASKED, body } => return Ok(body),
            _ => {}
        }
    }
}

pub(crate) async fn history(args: HistoryArgs) -> ExitCode {
    match try_history(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => failed(why),
    }
}

async fn try_history(args: HistoryArgs) -> Result<(), ClientError> {
    let mut client = args.node.connect(Vec::new()).await?;
    let mut left = args.limit.unwrap_or(u32::MAX);
    let mut after = args.after;
    while left > 0 {
        // Zero asks for as many as the node hands out at once.
        let limit = if left == u32::MAX { 0 } else { left };
        let fetch = Fetch { subject: args.pattern.clone(), after: after.clone(), last: args.last, limit };
        client.send(ClientFrame { id: ASKED, body: Some(ClientBody::Fetch(fetch)) }).await?;
        let Some(Body::Fetched(fetched)) = answer(&mut client).await? else { break };
        for gap in &fetched.gaps {
            let _ = failed(lost(gap));
        }
        for event in &fetched.events {
            say(if args.json { json(event) } else { text(event) });
        }
        left = left.saturating_sub(u32::try_from(fetched.events.len()).unwrap_or(u32::MAX));
        after = fetched.positions;
        if !fetched.more {
            break;
        }
    }
    if !args.json {
        after.iter().for_each(|position| say(format!("# {position}")));
    }
    client.close().await;
    Ok(())
}

pub(crate) fn lost(gap: &Gap) -> String {
    let Gap { subject, stream, from_seq, to_seq, reason, epoch: _ } = gap;
    match (stream.as_str(), to_seq) {
        ("", _) => format!("some events of {subject} are lost: {reason}"),
        (_, 0) => format!("events of {subject} in {stream} from {from_seq} on are lost: {reason}"),
        _ => format!("events of {subject} in {stream} from {from_seq} to {to_seq} are lost: {reason}"),
    }
}

pub(crate) fn json(event: &Event) -> String {
    serde_json::to_string(event).unwrap_or_default()
}

pub(crate) fn text(event: &Event) -> String {
    let data = proto::embeddable(&event.content_type, &event.data)
        .map_or_else(|| String::from_utf8_lossy(&event.data).escape_debug().to_string(), |text| text.into_owned());
    format!("{} {data}", event.subject)
}
