//! The health of the node as the node itself knows it: whether it lives, whether
//! it is ready for clients, and its state.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::{
    metrics::Metrics,
    server::{
        admin::ADMIN,
        response::{self, HttpResponse},
    },
};

/// The time without a beat of the clients' event loop after which the node
/// counts as dead. Long enough for any pause that ends by itself.
const STALL: Duration = Duration::from_secs(30);

/// Whether the node is well, as the node itself knows it.
pub struct Health {
    start: Instant,
    /// Milliseconds since `start` of the event loop's last beat.
    beat: AtomicU64,
    ready: Box<dyn Fn() -> Vec<&'static str> + Send + Sync>,
    state: Box<dyn Fn() -> Value + Send + Sync>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Health {
    /// `ready` names what stands against new clients, `state` describes the node.
    pub fn new(
        metrics: Arc<Metrics>,
        ready: impl Fn() -> Vec<&'static str> + Send + Sync + 'static,
        state: impl Fn() -> Value + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            beat: AtomicU64::new(0),
            ready: Box::new(ready),
            state: Box::new(state),
            metrics,
        })
    }

    /// Says that the clients' event loop runs. Called by it, every second.
    pub fn beat(&self) {
        self.beat.store(self.start.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    pub(crate) fn answer(&self, path: &str) -> HttpResponse {
        match path {
            "/livez" => self.live(),
            "/readyz" => self.readiness(),
            "/metrics" => response::of_type("text/plain; version=0.0.4; charset=utf-8", self.metrics.render()),
            "/debug/state" => response::state(StatusCode::OK, &(self.state)()),
            _ => {
                let paths = ["/livez", "/readyz", "/metrics", "/debug/state", ADMIN];
                response::state(StatusCode::NOT_FOUND, &json!({ "paths": paths }))
            }
        }
    }

    /// Whether the node lives, for clients: without a reason.
    pub(crate) fn public_liveness(&self) -> HttpResponse {
        let live = self.silence() <= STALL;
        response::state(status_of(live), &json!({"live": live}))
    }

    /// Whether the node is ready for clients, for them: without a reason.
    pub(crate) fn public_readiness(&self) -> HttpResponse {
        let ready = (self.ready)().is_empty();
        response::state(status_of(ready), &json!({"ready": ready}))
    }

    /// Time since the last beat.
    fn silence(&self) -> Duration {
        self.start.elapsed().saturating_sub(Duration::from_millis(self.beat.load(Ordering::Relaxed)))
    }

    fn live(&self) -> HttpResponse {
        let silence = self.silence();
        let mut body = json!({"live": silence <= STALL});
        if silence > STALL {
            body["reasons"] = json!([format!("the event loop has not run for {} s", silence.as_secs())]);
        }
        response::state(status_of(silence <= STALL), &body)
    }

    fn readiness(&self) -> HttpResponse {
        let against = (self.ready)();
        let code = status_of(against.is_empty());
        let mut state = (self.state)();
        let mut body = json!({"ready": against.is_empty(), "reasons": against, "broker": state["broker"].take()});
        // An issuer that works is not listed.
        let issuers = state["issuers"].as_array().into_iter().flatten();
        let failing: Vec<&Value> = issuers.filter(|issuer| issuer["failing"] == true).collect();
        if !failing.is_empty() {
            body["issuers"] = json!(failing);
        }
        if !state["certificates"].is_null() {
            body["certificates"] = state["certificates"].take();
        }
        response::state(code, &body)
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").field("start", &self.start).finish_non_exhaustive()
    }
}

fn status_of(well: bool) -> StatusCode {
    if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    fn health(age: Duration, reasons: &'static [&'static str]) -> Health {
        Health {
            start: Instant::now().checked_sub(age).expect("the machine is older than that"),
            beat: AtomicU64::new(0),
            ready: Box::new(|| reasons.to_vec()),
            state: Box::new(|| json!({"broker": {"kind": "memory"}})),
            metrics: Arc::new(Metrics::new().expect("buckets are not empty")),
        }
    }

    #[test]
    fn a_node_whose_event_loop_stands_still_is_not_alive() {
        let health = health(STALL + Duration::from_secs(1), &[]);
        let statuses = || [health.answer("/livez").status(), health.public_liveness().status()];
        assert_eq!(statuses(), [StatusCode::SERVICE_UNAVAILABLE; 2]);
        health.beat();
        assert_eq!(statuses(), [StatusCode::OK; 2]);
    }

    #[test]
    fn a_node_is_ready_when_nothing_stands_against_it() {
        let statuses = |reasons| {
            let health = health(Duration::ZERO, reasons);
            [health.answer("/readyz").status(), health.public_readiness().status()]
        };
        assert_eq!(statuses(&[]), [StatusCode::OK; 2]);
        assert_eq!(statuses(&["leaving"]), [StatusCode::SERVICE_UNAVAILABLE; 2]);
    }

    #[tokio::test]
    async fn the_public_hears_no_reason() {
        let health = health(STALL + Duration::from_secs(1), &["leaving"]);
        for (answer, text) in
            [(health.public_liveness(), "{\"live\":false}\n"), (health.public_readiness(), "{\"ready\":false}\n")]
        {
            assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes(), text);
        }
    }
}
