//! What happens to nodes, to clients, and between them.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{Lane, seconds};
use crate::{
    client::ChaosClient,
    http,
    life::Command,
    network::Place,
    nodes::Node,
    patience::until,
    report::Outcome,
    schedule::{Fault, Planned},
    sockets::unread,
};

/// A client with so much unread was no fast reader.
const UNREAD_BYTES: u64 = 16 * 1024;

/// Of a line that is slow: less than the stream's events need.
const SLOW_KILOBITS: u32 = 500;

pub struct Edge<'w> {
    pub nodes: &'w mut [Node],
    pub clients: &'w [ChaosClient],
    /// Where the brokers are.
    pub servers: Vec<Place>,
    /// Where the clients are.
    pub own_address: Ipv4Addr,
}

impl Lane for Edge<'_> {
    async fn inflict(&mut self, planned: &Planned) -> Outcome {
        let mut random = fastrand::Rng::with_seed(planned.luck);
        let random = &mut random;
        match planned.fault {
            Fault::KillNode => self.kill_node(random).await,
            Fault::LeaveNode => self.leave_node(random).await,
            Fault::DropSockets => self.drop_sockets(random).await,
            Fault::StallReaders => self.stall_readers(random).await,
            Fault::CutNodeFromServers => self.cut_from_servers(random).await,
            Fault::CutNodeFromClients => self.cut_from_clients(random).await,
            Fault::SlowNode => self.slow_node(random).await,
            other => panic!("{other:?} is none of the edge's"),
        }
    }
}

impl Edge<'_> {
    fn on(&self, node: usize) -> usize {
        self.clients.iter().filter(|client| client.node() == Some(node)).count()
    }

    /// A node that somebody is on: only such a one can be missed.
    async fn victim(&self, random: &mut fastrand::Rng) -> usize {
        let first = random.usize(..self.nodes.len());
        until("a node with clients", || async {
            let nodes = (0..self.nodes.len()).map(|step| (first + step) % self.nodes.len());
            nodes.into_iter().find(|node| self.on(*node) > 0)
        })
        .await
    }

    async fn until_all_moved(&self, node: usize) -> f64 {
        let since = Instant::now();
        until("clients that have moved", || async { (self.on(node) == 0).then_some(()) }).await;
        since.elapsed().as_secs_f64()
    }

    async fn kill_node(&mut self, random: &mut fastrand::Rng) -> Outcome {
        let node = self.victim(random).await;
        let clients = self.on(node);
        let pid = self.nodes[node].kill().await;
        let took = self.until_all_moved(node).await;
        let new = self.nodes[node].restart();
        self.nodes[node].until_ready().await;
        let name = &self.nodes[node].name;
        Ok(format!("{name} killed (pid {pid}), clients on it: {clients}, gone after {took:.1} s; {name} is pid {new}"))
    }

    async fn leave_node(&mut self, random: &mut fastrand::Rng) -> Outcome {
        let node = self.victim(random).await;
        let clients = self.on(node);
        let (pid, status) = self.nodes[node].leave().await;
        let took = self.until_all_moved(node).await;
        let new = self.nodes[node].restart();
        self.nodes[node].until_ready().await;
        let name = &self.nodes[node].name;
        let proof = format!(
            "{name} left (pid {pid}, {status}), clients on it: {clients}, gone {took:.1} s later; {name} is pid {new}"
        );
        if status.success() { Ok(proof) } else { Err(proof) }
    }

    fn some_clients(
        &self,
        random: &mut fastrand::Rng,
        most: usize,
        fit: impl Fn(&ChaosClient) -> bool,
    ) -> Vec<&ChaosClient> {
        let mut connected: Vec<&ChaosClient> =
            self.clients.iter().filter(|client| client.node().is_some() && fit(client)).collect();
        random.shuffle(&mut connected);
        connected.truncate(random.usize(1..=most));
        connected
    }

    async fn drop_sockets(&self, random: &mut fastrand::Rng) -> Outcome {
        let victims = self.some_clients(random, self.clients.len() / 2, |_| true);
        let before: Vec<u64> = victims.iter().map(|client| client.state().all_welcomes()).collect();
        for client in &victims {
            client.order(Command::DropSocket).await;
        }
        let since = Instant::now();
        for (client, before) in victims.iter().zip(before) {
            until("a client that is back", || async { (client.state().all_welcomes() > before).then_some(()) }).await;
        }
        let (count, took) = (victims.len(), since.elapsed().as_secs_f64());
        if count == 0 {
            Err("nobody was connected".into())
        } else {
            Ok(format!("{count} clients dropped their sockets, all back after {took:.1} s"))
        }
    }

    async fn stall_readers(&self, random: &mut fastrand::Rng) -> Outcome {
        // Somebody who polls has nothing that waits for it.
        let whole = |client: &ChaosClient| client.state().takes_all() && !client.state().is_polling();
        let victims = self.some_clients(random, 3, whole);
        let time = seconds(random, 2.0, 5.0);
        for client in &victims {
            client.order(Command::StopReading(time)).await;
        }
        let (since, mut most) = (Instant::now(), 0);
        while since.elapsed() < time {
            most = self.nodes.iter().map(|node| unread(node.clients())).fold(most, u64::max);
            sleep(Duration::from_millis(50)).await;
        }
        let (count, time) = (victims.len(), time.as_secs_f64());
        let proof =
            format!("{count} clients read nothing for {time:.1} s; up to {} KiB waited in a socket", most / 1024);
        if most >= UNREAD_BYTES { Ok(proof) } else { Err(proof) }
    }

    /// Which servers the node reaches.
    async fn reached(&self, node: usize, servers: &[Place]) -> usize {
        let mut reached = 0;
        for server in servers {
            reached += usize::from(self.nodes[node].place.namespace().reaches(server.at(4222)).await);
        }
        reached
    }

    async fn cut_from_servers(&self, random: &mut fastrand::Rng) -> Outcome {
        let node = self.victim(random).await;
        let (clients, time) = (self.on(node), seconds(random, 2.0, 8.0));
        let place = &self.nodes[node].place;
        for server in &self.servers {
            place.namespace().cut(server.address());
            server.namespace().cut(place.address());
        }
        let since = Instant::now();
        let reached = self.reached(node, &self.servers).await;
        sleep(time.saturating_sub(since.elapsed())).await;
        for server in &self.servers {
            place.namespace().mend(server.address());
            server.namespace().mend(place.address());
        }
        let lasted = since.elapsed().as_secs_f64();
        until("a node that reaches a server", || async { (self.reached(node, &self.servers).await > 0).then_some(()) })
            .await;
        let proof =
            format!("{} cut off from the brokers for {lasted:.1} s, clients on it: {clients}", self.nodes[node].name);
        if reached == 0 { Ok(proof) } else { Err(format!("{proof}; it reached {reached}")) }
    }

    async fn cut_from_clients(&self, random: &mut fastrand::Rng) -> Outcome {
        let node = self.victim(random).await;
        let (clients, time) = (self.on(node), seconds(random, 2.0, 8.0));
        let place = &self.nodes[node].place;
        let address = self.nodes[node].clients();
        place.namespace().cut(self.own_address);
        let since = Instant::now();
        let answered = http::accepts(address).await;
        sleep(time.saturating_sub(since.elapsed())).await;
        let left = self.on(node);
        place.namespace().mend(self.own_address);
        let lasted = since.elapsed().as_secs_f64();
        until("a node that is reached", || async { http::accepts(address).await.then_some(()) }).await;
        let name = &self.nodes[node].name;
        let proof = format!(
            "{name} cut off from its clients for {lasted:.1} s, clients on it: {clients} before, {left} at the end"
        );
        if answered { Err(format!("{proof}; it answered")) } else { Ok(proof) }
    }

    async fn slow_node(&self, random: &mut fastrand::Rng) -> Outcome {
        let node = self.victim(random).await;
        let time = seconds(random, 2.0, 5.0);
        let namespace = self.nodes[node].place.namespace();
        namespace.slow_down(SLOW_KILOBITS)?;
        sleep(time).await;
        let held_back = namespace.held_back();
        namespace.hasten();
        let (name, time) = (&self.nodes[node].name, time.as_secs_f64());
        let proof = format!("{name} on {SLOW_KILOBITS} kbit/s for {time:.1} s, {held_back} packets had to wait");
        if held_back > 0 { Ok(proof) } else { Err(proof) }
    }
}
