//! `notifier sub --sse`: the command line over an event stream.

use std::{
    net::SocketAddr,
    process::Stdio,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines, copy_bidirectional},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdout, Command},
};

use super::numbers;
use crate::world::{Kind, Shop, TestNode, soon};

/// A subscriber in a process of its own.
struct Subscriber {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Subscriber {
    fn begin(address: SocketAddr, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_notifier"));
        command.arg("sub").args(arguments).args(["--node", &format!("http://{address}")]);
        let mut process = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("the binary runs");
        let lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        Self { process, lines }
    }

    async fn line(&mut self) -> String {
        soon("a line", self.lines.next_line()).await.expect("text").expect("it goes on")
    }

    async fn event(&mut self) -> Value {
        serde_json::from_str(&self.line().await).expect("an event")
    }

    /// Whether it ends as it should.
    async fn succeeds(mut self) -> bool {
        assert_eq!(soon("the end", self.lines.next_line()).await.expect("text"), None);
        soon("the end", self.process.wait()).await.expect("it ended").success()
    }
}

/// One address in front of nodes, as a balancer is.
async fn balancer(target: Arc<Mutex<SocketAddr>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let target = *target.lock().expect("no panic");
            tokio::spawn(async move {
                let mut node = TcpStream::connect(target).await?;
                copy_bidirectional(&mut client, &mut node).await
            });
        }
    });
    address
}

#[tokio::test]
async fn it_prints_what_a_websocket_brings() {
    let shop = Shop::open(Kind::Nats).await;
    shop.publish("cart.a", [1, 2]).await;
    shop.publish("cart.b", [3]).await;
    shop.until_followed().await;
    let mut printed = Vec::new();
    for transport in [&[][..], &["--sse"]] {
        let arguments = [&["cart.*", "--snapshot", "--count", "3"], transport].concat();
        printed.push(Subscriber::begin(shop.node.address, &arguments));
    }
    let [websocket, stream] = &mut printed[..] else { panic!("two") };
    for _ in 0..3 {
        // Two values, and where it is live.
        let line = websocket.line().await;
        assert_eq!(stream.line().await, line);
        assert!(line.starts_with("cart.") || line.starts_with("# cart.* is live (durable) SHOP/"), "{line}");
    }
    shop.publish("cart.a", [4]).await;
    for mut subscriber in printed {
        assert_eq!(subscriber.line().await, "cart.a 4");
        assert!(subscriber.succeeds().await);
    }
}

#[tokio::test]
async fn it_goes_on_from_its_last_id_when_its_node_leaves() {
    let mut shop = Shop::open(Kind::Nats).await;
    let other = Shop::node(shop.nats.as_ref(), |_| {}).await;
    let target = Arc::new(Mutex::new(shop.node.address));
    let arguments = ["cart.*", "price.*", "--sse", "--json", "--count", "6"];
    let mut subscriber = Subscriber::begin(balancer(target.clone()).await, &arguments);
    shop.node.until_metric("notifier_subscriptions", |held| held == 2.0).await;
    shop.publish("cart.a", 1..=3).await;
    let mut got = Vec::new();
    for _ in 0..3 {
        got.push(subscriber.event().await["data"].take());
    }
    *target.lock().expect("no panic") = other.address;
    shop.publish("cart.a", [4]).await;
    shop.node.leave();
    got.push(subscriber.event().await["data"].take());
    shop.node.gone().await;
    other.publish("cart.a", "5").await;
    other.publish("cart.a", "6").await;
    for _ in 0..2 {
        got.push(subscriber.event().await["data"].take());
    }
    assert_eq!(got, numbers(1..=6));
    assert!(subscriber.succeeds().await);
}

#[tokio::test]
async fn it_ends_where_it_is_refused() {
    let node = TestNode::memory().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_notifier"));
    command.args(["sub", "$SYS.a", "--sse", "--node", &format!("ws://{}", node.address)]);
    let output = soon("the end", command.output()).await.expect("the binary runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(!output.status.success() && said.contains("refused: forbidden"), "{said}");
}
