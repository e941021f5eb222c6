//! `notifier sub`: prints events as they arrive, over a WebSocket or an event stream.

use std::{process::ExitCode, time::Duration};

use clap::Args;

use crate::{
    cli::{
        exit::{failed, say},
        pubsub::{NodeArgs, json, lost, position, text},
    },
    client::{
        Client, ClientError, EventStream, EventStreamQuery,
        resume::{Relevance, ResumableSubscription},
    },
    proto::{Event, Position, Replay, ServerFrame, server_frame::Body},
    subject::{BadSubject, Pattern, Subject},
};

#[derive(Args, Debug)]
pub(crate) struct SubArgs {
    /// Subject or pattern, as shop.cart.* or shop.>
    #[arg(required = true, value_parser = pattern)]
    patterns: Vec<Pattern>,
    #[command(flatten)]
    node: NodeArgs,
    /// One JSON object per event and line, for pipes.
    #[arg(long)]
    json: bool,
    /// End after this many events.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Resume behind this position of a stream; repeat it for several.
    #[arg(long, value_name = "STREAM/EPOCH/SEQ", value_parser = position)]
    after: Vec<Position>,
    /// Begin with the newest event of each subject.
    #[arg(long)]
    snapshot: bool,
    /// Read an event stream instead of a WebSocket, as where a proxy lets none through.
    #[arg(long, conflicts_with = "encoding")]
    sse: bool,
}

fn pattern(text: &str) -> Result<Pattern, BadSubject> {
    Pattern::parse(text)
}

pub(crate) async fn subscribe(args: SubArgs) -> ExitCode {
    let asked = |pattern: &Pattern| match args.snapshot {
        true => ResumableSubscription::with_snapshot(pattern.clone()),
        false => ResumableSubscription::after(pattern.clone(), &args.after),
    };
    let mut subscriptions: Vec<_> = args.patterns.iter().map(asked).collect();
    let mut left = args.count.unwrap_or(u64::MAX);
    // Of event streams: it says how far all subscriptions are.
    let mut last_id = String::new();
    loop {
        let mut pause = None;
        let end = match connect(&args, &subscriptions, &last_id).await {
            Ok(mut source) => {
                let end = print(&mut source, &args, &mut subscriptions, &mut left).await;
                if let FrameSource::EventStream(stream) = &source {
                    (last_id, pause) = (stream.last_id().to_owned(), stream.retry());
                }
                if end.is_ok() {
                    source.close().await;
                }
                end
            }
            Err(why) => Err(why),
        };
        subscriptions.iter_mut().for_each(ResumableSubscription::disconnected);
        match end {
            Ok(()) => return ExitCode::SUCCESS,
            Err(why) if why.reconnect() => {
                let pause = pause.unwrap_or_else(|| Duration::from_millis(fastrand::u64(200..1_500)));
                let _ = failed(format!("{why}; connecting again"));
                tokio::time::sleep(pause).await;
            }
            Err(why) => return failed(why),
        }
    }
}

/// The connection that brings frames.
enum FrameSource {
    WebSocket(Client),
    EventStream(EventStream),
}

impl FrameSource {
    async fn next(&mut self) -> Result<ServerFrame, ClientError> {
        match self {
            Self::WebSocket(client) => client.next().await,
            Self::EventStream(stream) => stream.next().await,
        }
    }

    /// Says goodbye, where the other side hears it.
    async fn close(self) {
        if let Self::WebSocket(client) = self {
            client.close().await;
        }
    }
}

/// Connects, and goes on where the connection before ended: for each subscription, or from the last `id`.
async fn connect(
    args: &SubArgs,
    subscriptions: &[ResumableSubscription],
    last_id: &str,
) -> Result<FrameSource, ClientError> {
    if !args.sse {
        let subscriptions = subscriptions.iter().map(ResumableSubscription::request).collect();
        return args.node.connect(subscriptions).await.map(FrameSource::WebSocket);
    }
    let request = EventStreamQuery {
        subjects: args.patterns.iter().map(Pattern::to_string).collect(),
        after: args.after.clone(),
        snapshot: args.snapshot,
        last_id: last_id.to_owned(),
        ..EventStreamQuery::default()
    };
    args.node.event_stream(request).await.map(FrameSource::EventStream)
}

/// Prints events until enough have come.
async fn print(
    source: &mut FrameSource,
    args: &SubArgs,
    subscriptions: &mut [ResumableSubscription],
    left: &mut u64,
) -> Result<(), ClientError> {
    let mut show = |event: &Event| {
        if *left > 0 {
            *left -= 1;
            say(if args.json { json(event) } else { text(event) });
        }
        *left > 0
    };
    loop {
        let more = match source.next().await?.body {
            Some(Body::Event(event)) => {
                // Each one moves its cursor, so none may be left out.
                let new =
                    subscriptions.iter_mut().fold(false, |new, each| new | (each.received(&event) == Relevance::New));
                !new || show(&event)
            }
            // Without a subject it is that of all subscriptions.
            Some(Body::Replay(replay)) => {
                let of = |each: &&mut ResumableSubscription| {
                    replay.subject.is_empty() || each.pattern().as_str() == replay.subject
                };
                subscriptions.iter_mut().filter(of).for_each(|each| each.replay_named(&replay));
                replay.events.iter().filter(|event| replayed(subscriptions, &replay, event)).all(&mut show)
            }
            Some(Body::Gap(gap)) => {
                named(subscriptions, &gap.subject).into_iter().for_each(|each| each.gap(&gap));
                let _ = failed(lost(&gap));
                true
            }
            Some(Body::Error(error)) => {
                let _ = failed(format!("{}: {}", error.subject, error.message));
                true
            }
            Some(Body::Subscribed(subscribed)) => {
                named(subscriptions, &subscribed.subject).into_iter().for_each(|each| each.subscribed(&subscribed));
                if !args.json {
                    let places: String = subscribed.positions.iter().map(|position| format!(" {position}")).collect();
                    say(format!("# {} is live ({}){places}", subscribed.subject, subscribed.delivery));
                }
                true
            }
            Some(Body::Ping(ping)) => {
                subscriptions.iter_mut().for_each(|each| each.checkpoint(&ping.positions));
                true
            }
            _ => true,
        };
        if !more {
            return Ok(());
        }
    }
}

/// Whether an event of a replay is new to a subscription that it is for.
fn replayed(subscriptions: &mut [ResumableSubscription], replay: &Replay, event: &Event) -> bool {
    let subject = Subject::parse(&event.subject).ok();
    let of = |each: &&mut ResumableSubscription| match replay.subject.as_str() {
        "" => subject.as_ref().is_some_and(|subject| each.pattern().matches(subject)),
        name => each.pattern().as_str() == name,
    };
    // Each one moves its cursor, so none may be left out.
    let for_each = subscriptions.iter_mut().filter(of);
    for_each.fold(false, |new, each| new | (each.replayed(event) == Relevance::New))
}

fn named<'a>(subscriptions: &'a mut [ResumableSubscription], subject: &str) -> Option<&'a mut ResumableSubscription> {
    subscriptions.iter_mut().find(|each| each.pattern().as_str() == subject)
}
