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

/// Without a beat of the clients' event loop for so long, the node is dead.
/// Long enough for any pause that ends by itself.
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

    fn live(&self) -> HttpResponse {
        let silent = self.start.elapsed().saturating_sub(Duration::from_millis(self.beat.load(Ordering::Relaxed)));
        if silent > STALL {
            let why = format!("the event loop has not run for {} s", silent.as_secs());
            return response::state(StatusCode::SERVICE_UNAVAILABLE, &json!({"live": false, "reasons": [why]}));
        }
        response::state(StatusCode::OK, &json!({"live": true}))
    }

    fn readiness(&self) -> HttpResponse {
        let against = (self.ready)();
        let code = if against.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let mut state = (self.state)();
        let mut body = json!({"ready": against.is_empty(), "reasons": against, "broker": state["broker"].take()});
        // What is well says nothing.
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

#[cfg(test)]
mod tests {
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
        assert_eq!(health.answer("/livez").status(), StatusCode::SERVICE_UNAVAILABLE);
        health.beat();
        assert_eq!(health.answer("/livez").status(), StatusCode::OK);
    }

    #[test]
    fn a_node_is_ready_when_nothing_stands_against_it() {
        assert_eq!(health(Duration::ZERO, &[]).answer("/readyz").status(), StatusCode::OK);
        let leaving = health(Duration::ZERO, &["leaving"]).answer("/readyz").status();
        assert_eq!(leaving, StatusCode::SERVICE_UNAVAILABLE);
    }
}
