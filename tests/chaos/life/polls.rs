//! Polls, one after the other, for as long as the node answers: a connection to it, for whoever
//! counts those.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use notifier::codec::Encoding;
use tokio::time::sleep;

use super::{CHANGED, Life, NO_CONNECTION, SILENCE};
use crate::{http, state::UNEXPECTED};

/// How long the node is to wait for an event.
const WAIT: Duration = Duration::from_secs(1);

/// Between two polls.
const PAUSE: Duration = Duration::from_millis(20);

impl Life {
    pub(super) async fn polls(&mut self, node: usize) -> Result<Infallible, String> {
        let address = self.nodes[node];
        loop {
            let request = self.poll_request(&address.to_string());
            let asking = async { http::ask(address, request).await.ok_or_else(|| NO_CONNECTION.to_owned()) };
            let (status, body) = self.attend(WAIT + SILENCE, asking).await?;
            self.take_answer(node, status, &body)?;
            if self.state().wants_to_change() {
                return Err(CHANGED.into());
            }
            sleep(PAUSE).await;
        }
    }

    fn poll_request(&mut self, host: &str) -> Request<Full<Bytes>> {
        let (method, target, id, body) = self.request("/v1/poll", &format!("&wait={}", WAIT.as_secs()));
        let mut request = Request::builder().method(method).uri(target).header("host", host);
        if let Some(id) = id {
            request = request.header("last-event-id", id);
        }
        request.body(Full::from(body)).expect("a request")
    }

    /// Takes a whole answer at once. It ends the connection where a frame of it does.
    fn take_answer(&mut self, node: usize, status: u16, body: &[u8]) -> Result<(), String> {
        let mut state = self.state();
        match status {
            200 => {}
            // Full, leaving, or without its broker: another node may do.
            429 | 503 => return Err(format!("status {status}")),
            _ => {
                state.wrong.find(UNEXPECTED, || format!("status {status}"));
                return Err(format!("status {status}"));
            }
        }
        state.unsubscribed();
        let frames = Encoding::Json.read_server(body.trim_ascii_end()).expect("frames of the protocol");
        // The last one says where to go on, also behind one that ends the connection.
        let ends: Vec<String> = frames.into_iter().filter_map(|frame| state.take(node, frame)).collect();
        ends.into_iter().next().map_or(Ok(()), Err)
    }
}
