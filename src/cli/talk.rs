//! `notifier pub` and `notifier sub`: a client of any node, over the real
//! protocol.

use std::{process::ExitCode, time::Duration};

use clap::Args;

use crate::{
    cli::{
        exit::{failed, say},
        settings::EncodingArg,
    },
    client::{Client, ClientError},
    codec::Encoding,
    proto::{
        self, ClientFrame, Connect, Event, Publish, ServerFrame, Subscription, client_frame::Body as ClientBody,
        server_frame::Body,
    },
    socket::ClientError as SocketError,
};

/// Correlation number of the one frame that is answered.
const ASKED: u64 = 1;

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
    /// What happened, as shop.cart.changed.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Media type of the data.
    #[arg(long, value_name = "MEDIA_TYPE")]
    content_type: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct SubArgs {
    /// Subject or pattern, as shop.cart.* or shop.>
    #[arg(required = true)]
    patterns: Vec<String>,
    #[command(flatten)]
    node: NodeArgs,
    /// One JSON object per event and line, for pipes.
    #[arg(long)]
    json: bool,
    /// End after so many events.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

#[derive(Args, Debug)]
struct NodeArgs {
    /// The node.
    #[arg(long, value_name = "URL", default_value = "ws://127.0.0.1:8080")]
    node: String,
    /// Encoding on the wire.
    #[arg(long, value_enum, default_value = "proto")]
    encoding: EncodingArg,
}

impl NodeArgs {
    async fn connect(&self, patterns: &[String]) -> Result<Client, ClientError> {
        let subscriptions =
            patterns.iter().map(|subject| Subscription { subject: subject.clone(), ..Subscription::default() });
        let client = proto::Client { name: "notifier-cli".into(), version: crate::metrics::VERSION.into() };
        let connect = Connect { client: Some(client), subscriptions: subscriptions.collect(), ..Connect::default() };
        Client::connect(&self.node, Encoding::from(self.encoding), connect).await.map(|(client, _)| client)
    }
}

pub(crate) async fn publish(args: PubArgs) -> ExitCode {
    match try_publish(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => failed(why),
    }
}

async fn try_publish(args: PubArgs) -> Result<(), ClientError> {
    let mut client = args.node.connect(&[]).await?;
    let event = Event {
        id: args.id.unwrap_or_default(),
        r#type: args.kind.unwrap_or_default(),
        content_type: args.content_type.unwrap_or_default(),
        data: args.data.into(),
        ..Event::default()
    };
    let publish = Publish { subject: args.subject, event: Some(event) };
    client.send(ClientFrame { id: ASKED, body: Some(ClientBody::Publish(publish)) }).await?;
    loop {
        match client.next().await? {
            ServerFrame { reply_to: ASKED, body: Some(Body::Error(error)) } => {
                return Err(ClientError::Refused { code: error.code, message: error.message });
            }
            ServerFrame { reply_to: ASKED, .. } => break,
            _ => {}
        }
    }
    client.close().await;
    Ok(())
}

pub(crate) async fn subscribe(args: SubArgs) -> ExitCode {
    let mut left = args.count.unwrap_or(u64::MAX);
    loop {
        let end = match args.node.connect(&args.patterns).await {
            Ok(client) => print(client, &args, &mut left).await,
            Err(why) => Err(why),
        };
        match end {
            Ok(()) => return ExitCode::SUCCESS,
            // The range of the code decides, as for every client.
            Err(ClientError::Socket(SocketError::Closed { code, reason })) if (4000..4500).contains(&code) => {
                let pause = Duration::from_millis(fastrand::u64(200..1_500));
                let _ = failed(format!("closed with code {code} ({reason}); connecting again"));
                tokio::time::sleep(pause).await;
            }
            Err(why) => return failed(why),
        }
    }
}

/// Prints events until enough have come.
async fn print(mut client: Client, args: &SubArgs, left: &mut u64) -> Result<(), ClientError> {
    while *left > 0 {
        let frame = client.next().await?;
        match &frame.body {
            Some(Body::Event(event)) => {
                say(if args.json { json(event) } else { text(event) });
                *left -= 1;
            }
            Some(Body::Subscribed(subscribed)) if !args.json => {
                say(format!("# {} is live ({})", subscribed.subject, subscribed.delivery));
            }
            _ => {}
        }
    }
    client.close().await;
    Ok(())
}

fn json(event: &Event) -> String {
    serde_json::to_string(event).unwrap_or_default()
}

fn text(event: &Event) -> String {
    let data = proto::embeddable(&event.content_type, &event.data)
        .map_or_else(|| String::from_utf8_lossy(&event.data).escape_debug().to_string(), |text| text.into_owned());
    format!("{} {data}", event.subject)
}
