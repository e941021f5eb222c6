//! A connection that is an event stream, read in pieces of any size.

use std::convert::Infallible;

use notifier::codec::{Encoding, EventFormat};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{BROKEN, CHANGED, CONNECT_TIME, Life, NO_CONNECTION, SILENCE};
use crate::{state::UNEXPECTED, stream_message::StreamMessage};

/// Bytes of the largest piece that is read at once: most messages come in several.
const PIECE: usize = 2048;

impl Life {
    pub(super) async fn event_stream(&mut self, node: usize) -> Result<Infallible, String> {
        let request = self.event_stream_request();
        let opening = open(self.nodes[node], &request);
        let (mut stream, status, mut ahead) =
            timeout(CONNECT_TIME, opening).await.map_err(|_| "no answer in time")??;
        if status != 200 {
            self.state().wrong.find(UNEXPECTED, || format!("status {status}"));
            return Err(format!("status {status}"));
        }
        loop {
            while let Some(StreamMessage { id, name, data, .. }) = StreamMessage::take(&mut ahead) {
                assert_eq!(name, "", "frames have no names");
                let frames = Encoding::EventStream(EventFormat::Frames)
                    .read_server(data.unwrap_or_default().as_bytes())
                    .expect("frames of the protocol");
                let mut state = self.state();
                for frame in frames {
                    if let Some(end) = state.take(node, frame) {
                        return Err(end);
                    }
                }
                id.into_iter().for_each(|id| state.set_id(id));
                if state.wants_to_change() {
                    return Err(CHANGED.into());
                }
            }
            let mut piece = vec![0; self.random.usize(1..PIECE)];
            let reading = async { stream.read(&mut piece).await.map_err(|_| BROKEN.to_owned()) };
            match self.attend(SILENCE, reading).await? {
                0 => return Err("the stream ended".into()),
                length => ahead.extend_from_slice(&piece[..length]),
            }
        }
    }

    /// As an `EventSource` asks, so that a refusal that passes is told in a stream.
    fn event_stream_request(&mut self) -> String {
        let (method, target, id, body) = self.request("/v1/events", "");
        let id = id.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
        let length = body.len();
        let content = match length {
            0 => String::new(),
            _ => format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"),
        };
        format!("{method} {target} HTTP/1.1\r\nHost: chaos\r\nAccept: text/event-stream\r\n{id}{content}\r\n{body}")
    }
}

/// The stream, its status, and what came behind the head.
async fn open(address: std::net::SocketAddr, request: &str) -> Result<(TcpStream, u16, Vec<u8>), String> {
    let mut stream = TcpStream::connect(address).await.map_err(|_| NO_CONNECTION)?;
    stream.write_all(request.as_bytes()).await.map_err(|_| BROKEN)?;
    let mut head = Vec::new();
    let end = loop {
        if let Some(end) = head.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut head).await.map_err(|_| BROKEN)? == 0 {
            return Err("no answer".into());
        }
    };
    let rest = head.split_off(end + 4);
    let status = str::from_utf8(&head).ok().and_then(|head| head.split(' ').nth(1)?.parse().ok());
    Ok((stream, status.ok_or("no status")?, rest))
}
