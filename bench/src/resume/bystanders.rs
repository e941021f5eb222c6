//! Clients of a live subject who are there while others resume: how long their events take, on a thread of their own.

use std::{
    net::SocketAddr,
    sync::mpsc::{self, Receiver, Sender, TryRecvError},
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    clock::{self, SECOND},
    drive::{Drive, Pace, Pump},
    failure::{Because as _, Failure, Outcome},
    feed::Feed,
    names::Names,
    plug::Plug,
    swarm::{Faults, Role, Swarm, WINDOW},
};

/// Their subject, which nobody stores.
const NAMES: Names = Names::plain("live");

/// Events a second: one every 20 ms.
const RATE: f64 = 50.0;

/// Bytes of each.
const PAYLOAD: usize = 128;

/// The thread.
#[derive(Debug)]
pub(super) struct Bystanders {
    ask: Sender<Sender<f64>>,
    thread: JoinHandle<Outcome<Faults>>,
}

impl Bystanders {
    /// `count` clients of the node at `listen`.
    pub(super) fn enter(listen: SocketAddr, nats: SocketAddr, count: usize) -> Outcome<Self> {
        let (ask, asked) = mpsc::channel();
        let thread = thread::spawn(move || attend(listen, nats, count, &asked));
        let bystanders = Self { ask, thread };
        match bystanders.p99() {
            Some(_) => Ok(bystanders),
            None => Err(bystanders.leave().err().unwrap_or_else(|| Failure::new("the bystanders have left"))),
        }
    }

    /// Milliseconds since this was asked last. The first answer means that all are there.
    pub(super) fn p99(&self) -> Option<f64> {
        let (tell, told) = mpsc::channel();
        self.ask.send(tell).ok()?;
        told.recv().ok()
    }

    /// They go. Returns what they missed.
    pub(super) fn leave(self) -> Outcome<Faults> {
        drop(self.ask);
        self.thread.join().unwrap_or_else(|_| Err(Failure::new("the bystanders have failed")))
    }
}

fn attend(listen: SocketAddr, nats: SocketAddr, count: usize, asked: &Receiver<Sender<f64>>) -> Outcome<Faults> {
    let mut feed = Feed::connect(nats, NAMES)?;
    let mut swarm = Swarm::new(listen, NAMES, None, None)?;
    let role = Role { plug: Plug::NotifierJson, subject: 0, subjects: 1, group: 0, narrow: false };
    swarm.open(&vec![role; count], true, WINDOW)?;
    let drive = Drive { subjects: 0..1, members: count as u64, payload: PAYLOAD, pace: Pace::Every(RATE), group: 0 };
    let mut pump = Pump::new(&drive, [0, 0]);
    let mut attended = clock::now();
    swarm.tally.record();
    loop {
        let deliveries = |swarm: &Swarm| std::array::from_fn(|group| swarm.tally.groups[group].deliveries);
        match asked.try_recv() {
            Ok(tell) => {
                tell.send(swarm.tally.groups[0].quantile(0.99)).because(|| "nobody wants the answer".into())?;
                swarm.tally.record();
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => {
                let end = clock::now() + 3 * SECOND;
                while pump.outstanding(deliveries(&swarm)) > 0 && clock::now() < end {
                    swarm.turn(Duration::from_millis(10))?;
                }
                swarm.audit(&feed.published);
                return Ok(std::mem::take(&mut swarm.tally.faults));
            }
        }
        let wake = pump.publish(&mut feed, deliveries(&swarm), u64::MAX);
        feed.flush()?;
        if clock::now() - attended > SECOND / 10 {
            attended = clock::now();
            feed.attend()?;
        }
        swarm.turn(Duration::from_nanos(wake.saturating_sub(clock::now())).min(Duration::from_millis(5)))?;
    }
}
