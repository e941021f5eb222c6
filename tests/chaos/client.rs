//! A client that behaves as the protocol asks of it, on a network and with a
//! reader that do not: sockets are dropped, nothing is read for seconds. It
//! goes on with another node, from its cursors.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    life::{Command, Life},
    state::State,
    subscription::Subscription,
    transport::Habits,
};

pub struct ChaosClient {
    pub name: String,
    state: Arc<Mutex<State>>,
    orders: mpsc::Sender<Command>,
    task: JoinHandle<()>,
}

impl ChaosClient {
    pub fn start(
        name: String,
        nodes: Vec<SocketAddr>,
        habits: Habits,
        seed: u64,
        subscriptions: Vec<Subscription>,
    ) -> Self {
        let state = Arc::new(Mutex::new(State::new(subscriptions)));
        let (orders, received) = mpsc::channel(16);
        let life =
            Life { nodes, habits, random: fastrand::Rng::with_seed(seed), state: Arc::clone(&state), orders: received };
        Self { name, state, orders, task: tokio::spawn(life.run()) }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    pub fn node(&self) -> Option<usize> {
        self.state().node
    }

    /// Tells it to misbehave.
    pub async fn order(&self, order: Command) {
        self.orders.send(order).await.expect("it lives");
    }

    /// Panics when its task has.
    pub fn must_live(&self) {
        assert!(!self.task.is_finished(), "{} has ended", self.name);
    }
}

impl Drop for ChaosClient {
    fn drop(&mut self) {
        self.task.abort();
    }
}
