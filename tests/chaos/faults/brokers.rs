//! What happens to the brokers.

use std::time::Instant;

use tokio::time::sleep;

use super::{Lane, seconds};
use crate::{
    cluster::{Cluster, SERVERS},
    http,
    patience::{PATIENCE, until, within},
    publisher::STREAM,
    report::Outcome,
    schedule::{Fault, Planned},
};

pub struct Brokers<'w> {
    pub cluster: &'w mut Cluster,
}

impl Lane for Brokers<'_> {
    async fn inflict(&mut self, planned: &Planned) -> Outcome {
        let mut random = fastrand::Rng::with_seed(planned.luck);
        let outcome = match planned.fault {
            Fault::KillServer => self.kill_server(&mut random).await,
            Fault::KillLeader => self.kill_leader().await,
            Fault::StepDown => self.step_down().await,
            Fault::PauseServer => self.pause_server(&mut random).await,
            Fault::RestartCluster => self.restart_cluster().await,
            Fault::IsolateServer => self.isolate_server(&mut random).await,
            Fault::SplitServer => self.split_server(&mut random).await,
            other => panic!("{other:?} is none of the brokers'"),
        };
        let restarted = self.cluster.heal(STREAM).await;
        if restarted.is_empty() {
            return outcome;
        }
        let stuck = format!("; NATS did not bring its replica up to date, restarted: {}", restarted.join(", "));
        outcome.map(|proof| proof + &stuck).map_err(|missed| missed + &stuck)
    }
}

impl Brokers<'_> {
    fn name(&self, server: usize) -> String {
        self.cluster.servers()[server].name.clone()
    }

    async fn kill_server(&mut self, random: &mut fastrand::Rng) -> Outcome {
        let server = random.usize(..SERVERS);
        let (leader, _) = self.cluster.leader(STREAM).await;
        let pid = self.cluster.kill(server);
        let silent = !http::accepts(self.cluster.servers()[server].clients()).await;
        sleep(seconds(random, 0.0, 2.0)).await;
        let new = self.cluster.restart(server);
        let role = if leader == server { "the leader" } else { "a follower" };
        let proof = format!("{}, {role}, killed (pid {pid}), started again (pid {new})", self.name(server));
        if silent { Ok(proof) } else { Err(format!("{proof}; its port still answered")) }
    }

    async fn kill_leader(&mut self) -> Outcome {
        let (leader, _) = self.cluster.leader(STREAM).await;
        let (pid, since) = (self.cluster.kill(leader), Instant::now());
        let now = self.cluster.leader_other_than(STREAM, leader).await;
        let took = since.elapsed().as_secs_f64();
        let new = self.cluster.restart(leader);
        let former = self.name(leader);
        let Some(next) = now.map(|now| self.name(now)) else {
            return Err(format!("leader was {former}, killed (pid {pid}); the others did not agree on another one"));
        };
        Ok(format!(
            "leader was {former}, killed (pid {pid}); leader is now {next}, after {took:.1} s; {former} is pid {new}"
        ))
    }

    async fn step_down(&mut self) -> Outcome {
        let (leader, _) = self.cluster.leader(STREAM).await;
        let since = Instant::now();
        self.cluster.jetstream().step_down(STREAM).await.map_err(|trouble| trouble.to_string())?;
        let other = within(PATIENCE / 4, || async {
            let (now, _) = self.cluster.leader(STREAM).await;
            (now != leader).then_some(now)
        })
        .await;
        let (former, took) = (self.name(leader), since.elapsed().as_secs_f64());
        match other {
            Some(now) => Ok(format!(
                "leader was {former}, told to step down; leader is now {}, after {took:.1} s",
                self.name(now)
            )),
            None => Err(format!("{former} was told to step down and leads on")),
        }
    }

    async fn pause_server(&mut self, random: &mut fastrand::Rng) -> Outcome {
        let (number, time) = (random.usize(..SERVERS), seconds(random, 1.0, 8.0));
        let (leader, _) = self.cluster.leader(STREAM).await;
        let server = &self.cluster.servers()[number];
        server.process().signal("STOP");
        let since = Instant::now();
        let silent = !server.healthy().await;
        sleep(time.saturating_sub(since.elapsed())).await;
        let state = server.process().state();
        server.process().signal("CONT");
        let role = if leader == number { "the leader" } else { "a follower" };
        let paused = since.elapsed().as_secs_f64();
        let proof = format!("{}, {role}, stopped for {paused:.1} s: state {state:?}, silent: {silent}", server.name);
        if silent && state == Some('T') { Ok(proof) } else { Err(proof) }
    }

    async fn restart_cluster(&mut self) -> Outcome {
        let (_, before) = self.cluster.leader(STREAM).await;
        let killed: Vec<u32> = (0..SERVERS).map(|server| self.cluster.kill(server)).collect();
        let mut silent = true;
        for server in self.cluster.servers() {
            silent &= !http::accepts(server.clients()).await;
        }
        let started: Vec<u32> = (0..SERVERS).map(|server| self.cluster.restart(server)).collect();
        let since = Instant::now();
        self.cluster.heal(STREAM).await;
        let (_, after) = self.cluster.leader(STREAM).await;
        let took = since.elapsed().as_secs_f64();
        let proof = format!(
            "all killed (pids {killed:?}), well again (pids {started:?}) after {took:.1} s; the stream ended at {} and is at {}",
            before.last, after.last
        );
        if silent { Ok(proof) } else { Err(format!("{proof}; a port still answered")) }
    }

    async fn isolate_server(&mut self, random: &mut fastrand::Rng) -> Outcome {
        let (number, time) = (random.usize(..SERVERS), seconds(random, 2.0, 10.0));
        let (leader, _) = self.cluster.leader(STREAM).await;
        let [server, sibling] = [number, (number + 1) % SERVERS].map(|number| &self.cluster.servers()[number]);
        let address = server.clients();
        server.place.namespace().unplug();
        let since = Instant::now();
        let outside = http::accepts(address).await;
        let inside = sibling.place.namespace().reaches(address).await;
        sleep(time.saturating_sub(since.elapsed())).await;
        server.place.namespace().plug_in();
        let lasted = since.elapsed().as_secs_f64();
        until("a server that is back on the network", || async { http::accepts(address).await.then_some(()) }).await;
        let next = match leader == number {
            true => {
                let (now, _) = self.cluster.leader(STREAM).await;
                format!("was the leader, leader is now {}", self.name(now))
            }
            false => "was a follower".to_owned(),
        };
        let proof = format!("{} off the network for {lasted:.1} s, {next}", server.name);
        match (outside, inside) {
            (false, false) => Ok(proof),
            reached => Err(format!("{proof}; it was reached {reached:?}")),
        }
    }

    async fn split_server(&mut self, random: &mut fastrand::Rng) -> Outcome {
        let (number, time) = (random.usize(..SERVERS), seconds(random, 2.0, 10.0));
        let (leader, _) = self.cluster.leader(STREAM).await;
        let server = &self.cluster.servers()[number];
        let others = || self.cluster.servers().iter().filter(|other| other.name != server.name);
        for other in others() {
            server.place.namespace().cut(other.place.address());
            other.place.namespace().cut(server.place.address());
        }
        let since = Instant::now();
        let by_clients = http::accepts(server.clients()).await;
        let mut by_servers = false;
        for other in others() {
            by_servers |= other.place.namespace().reaches(server.routes()).await;
        }
        sleep(time.saturating_sub(since.elapsed())).await;
        for other in others() {
            server.place.namespace().mend(other.place.address());
            other.place.namespace().mend(server.place.address());
        }
        let lasted = since.elapsed().as_secs_f64();
        let (now, _) = self.cluster.leader(STREAM).await;
        let (former, next) = (self.name(leader), self.name(now));
        let proof =
            format!("{} split off from the others for {lasted:.1} s; leader was {former}, is now {next}", server.name);
        match (by_clients, by_servers) {
            (true, false) => Ok(proof),
            reached => Err(format!("{proof}; reached by (clients, servers): {reached:?}")),
        }
    }
}
