//! What servers do to the connection: they are absent, leave, hang, fall
//! silent, or are no NATS servers at all.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use notifier::config::{BrokerKind, Config};
use serde_json::json;
use socket2::{Domain, Socket, Type};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};

use super::{flows, reported, roomy};
use crate::world::{FakeNats, NatsServer, TestNode, Ws, eventually, free_address, node::config, soon};

/// A node that begins to look for these servers.
async fn node_of(urls: Vec<String>, change: impl FnOnce(&mut Config)) -> TestNode {
    let mut config = config();
    config.broker.kind = BrokerKind::Nats;
    config.broker.nats.urls = urls.into_iter().map(Into::into).collect();
    roomy(&mut config);
    change(&mut config);
    TestNode::start(config).await
}

/// Whether the node reads this pattern from that server.
async fn reads_from(server: &NatsServer, pattern: &str) -> bool {
    server.subscriptions_of_nodes().await.concat().iter().any(|subscribed| subscribed == pattern)
}

#[tokio::test]
async fn a_configured_server_that_is_not_there_is_passed_over() {
    let server = NatsServer::start().await;
    let absent = format!("nats://127.0.0.1:{}", free_address().rsplit(':').next().expect("a port"));
    // Where a node begins is left to chance.
    for _ in 0..4 {
        let node = node_of(vec![absent.clone(), server.url()], |_| {}).await;
        node.until_ready().await;
        let mut client = node.client().await;
        client.subscribe("a").await;
        node.publish("a", "1").await;
        assert_eq!(client.event().await.1, json!(1));
    }
}

#[tokio::test]
async fn servers_of_the_cluster_are_learned_from_the_first_one() {
    let mut servers: [NatsServer; 3] = NatsServer::cluster().await;
    let node = TestNode::nats_with(&servers[0], roomy).await;
    let mut client = node.client().await;
    client.subscribe("a").await;
    flows(&servers[2], "a", &mut client).await;
    // Each time what is known comes from the last server only.
    for gone in 0..2 {
        let here =
            futures_util::future::join_all(servers.iter().skip(gone).map(|server| reads_from(server, "a"))).await;
        let place = gone + here.iter().position(|reads| *reads).expect("it reads from one of them");
        servers.swap(gone, place);
        servers[gone].kill();
        // It may be connected again before a heartbeat has said that it is not.
        eventually("another server", || async {
            let others = servers.iter().skip(gone + 1).map(|server| reads_from(server, "a"));
            futures_util::future::join_all(others).await.contains(&true)
        })
        .await;
        for server in &servers[gone + 1..] {
            flows(server, "a", &mut client).await;
        }
    }
}

/// A listener whose queue is full: the system drops what asks for more.
async fn silent() -> (Socket, Vec<TcpStream>, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().expect("an address").into()).expect("a free port");
    socket.listen(0).expect("it listens");
    let at = socket.local_addr().ok().and_then(|at| at.as_socket()).expect("an address");
    let mut queued = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(at)).await {
        queued.push(stream.expect("the queue has room"));
    }
    (socket, queued, at)
}

#[tokio::test]
async fn publishing_is_back_as_soon_as_reading_where_a_cluster_tells_addresses_out_of_reach() {
    let (_socket, _queued, nowhere) = silent().await;
    let [mut server, _other] = NatsServer::cluster_with(&format!("client_advertise: \"{nowhere}\"")).await;
    let node = TestNode::nats_with(&server, roomy).await;
    let mut client = node.client().await;
    client.subscribe("a").await;
    for _ in 0..4 {
        server.kill();
        while client.ping().await["broker"] != "down" {}
        server.restart().await;
        let begun = Instant::now();
        // Both connections are there.
        while client.ping().await["broker"] != "ok" {}
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        node.publish("a", "1").await;
        assert_eq!(client.event().await.1, json!(1));
    }
}

#[tokio::test]
async fn a_node_leaves_a_server_in_lame_duck_mode_before_that_closes() {
    let [leaving, staying] = NatsServer::cluster().await;
    let node = TestNode::nats_with(&leaving, roomy).await;
    let mut client = node.client().await;
    client.subscribe("a").await;
    assert!(reads_from(&leaving, "a").await);
    leaving.signal("USR2");
    // Both connections hear of it; only the one that reads moves.
    node.until_metric(&reported("lame_duck"), |count| count >= 2.0).await;
    eventually("reading from the other one", || reads_from(&staying, "a")).await;
    assert!(!reads_from(&leaving, "a").await);
    assert_eq!(leaving.subscriptions_of_nodes().await.len(), 1, "nats-server has not closed anything yet");
    assert_eq!(node.metric(&reported("disconnected")).await, 1.0);
    flows(&staying, "a", &mut client).await;
    assert_eq!(node.metric(&reported("disconnected")).await, 1.0);
}

#[tokio::test]
async fn a_node_stays_at_the_only_server_until_that_closes() {
    let mut server = NatsServer::start().await;
    let node = TestNode::nats_with(&server, roomy).await;
    let mut client = node.client().await;
    client.subscribe("a").await;
    let mut publisher = server.publisher().await;
    server.signal("USR2");
    node.until_metric(&reported("lame_duck"), |count| count >= 2.0).await;
    // Longer than it would take to go elsewhere, and shorter than the server's patience.
    let until = Instant::now() + Duration::from_millis(2_500);
    while Instant::now() < until {
        publisher.publish(b"a", b"", None, b"1").await;
        publisher.flush().await;
        assert_eq!(client.event().await.1, json!(1));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(node.metric(&reported("disconnected")).await, 0.0);
    server.kill();
    while client.ping().await["broker"] != "down" {}
    server.restart().await;
    while client.ping().await["broker"] != "ok" {}
    flows(&server, "a", &mut client).await;
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_and_taken_back() {
    let server = NatsServer::start().await;
    let node = TestNode::nats_with(&server, |config| {
        roomy(config);
        config.broker.nats.ping_interval = Duration::from_millis(200).into();
    })
    .await;
    let mut client = node.client().await;
    client.subscribe("a").await;
    // An idle connection that is answered is none that hangs.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(node.metric(&reported("disconnected")).await, 0.0);
    server.signal("STOP");
    while client.ping().await["broker"] != "down" {}
    node.until_metric(&reported("disconnected"), |count| count >= 2.0).await;
    server.signal("CONT");
    while client.ping().await["broker"] != "ok" {}
    flows(&server, "a", &mut client).await;
}

#[tokio::test]
async fn a_server_that_hangs_is_left_for_another_one() {
    let [hanging, other] = NatsServer::cluster().await;
    let node = TestNode::nats_with(&hanging, |config| {
        roomy(config);
        config.broker.nats.ping_interval = Duration::from_millis(200).into();
    })
    .await;
    let mut client = node.client().await;
    client.subscribe("a").await;
    hanging.signal("STOP");
    while client.ping().await["broker"] != "down" {}
    eventually("reading from the other one", || reads_from(&other, "a")).await;
    flows(&other, "a", &mut client).await;
    hanging.signal("CONT");
}

/// A listener that answers every connection with these bytes, and ends it or
/// keeps it open.
async fn no_nats(says: &'static [u8], stays: bool) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("nats://{}", listener.local_addr().expect("an address"));
    let taken = Arc::<AtomicUsize>::default();
    let count = taken.clone();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(says).await;
            if stays {
                open.push(stream);
            }
        }
    });
    (url, taken)
}

#[tokio::test]
async fn a_server_that_speaks_something_else_is_passed_over() {
    let rows: [(&'static [u8], bool); 8] = [
        (b"", true),
        (b"", false),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", false),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", true),
        (b"INFO {\r\n", true),
        (b"INFO {\"headers\":false}\r\n", true),
        (b"-ERR 'no'\r\n", false),
        (&[b'x'; 200_000], true),
    ];
    let row = |(says, stays)| async move {
        let mut server = NatsServer::start().await;
        server.kill();
        let (url, taken) = no_nats(says, stays).await;
        let node = node_of(vec![url, server.url()], |_| {}).await;
        // Both connections have tried it, and tried again.
        eventually("attempts", || async { taken.load(Ordering::SeqCst) >= 4 }).await;
        node.until_metric(&reported("client_error"), |count| count >= 3.0).await;
        assert_eq!(node.internal("/livez").await.0, 200);
        assert_eq!(node.metric(&reported("connected")).await, 0.0);
        server.restart().await;
        node.until_ready().await;
        let mut client = node.client().await;
        client.subscribe("a").await;
        node.publish("a", "1").await;
        assert_eq!(client.event().await.1, json!(1));
        assert_eq!(node.metric("notifier_panics_total").await, 0.0);
    };
    futures_util::future::join_all(rows.map(row)).await;
}

#[tokio::test]
async fn a_server_that_loses_the_thread_is_connected_to_again_and_again_but_not_at_once() {
    let rows: [&[u8]; 9] = [
        b"MSG\r\n",
        b"MSG a\r\n",
        b"MSG a x 1\r\n1\r\n",
        b"MSG a 1 -1\r\n\r\n",
        b"HMSG a 1 9 1\r\n1\r\n",
        b"MSG a 1 99999999999999999999\r\n",
        b"MSG a 1 1\r\n12\r\n",
        b"\r\n",
        b"HELLO\r\n",
    ];
    let mut server = FakeNats::start().await;
    let node = node_of(vec![server.url()], |_| {}).await;
    let mut client = Ws::connected(node.address).await;
    client.send(json!({"subscribe": {"subject": "a"}})).await;
    let begun = Instant::now();
    for (row, bytes) in rows.iter().enumerate() {
        let mut line = server.reader().await;
        let number = line.subscribed().await;
        // What came before it is not lost.
        line.say(&[format!("MSG a {number} 1\r\n{row}\r\n").as_bytes(), bytes].concat()).await;
        line.ended().await;
    }
    client.expect("subscribed").await;
    for row in 0..rows.len() {
        assert_eq!(client.event().await.1, json!(row));
    }
    assert!(begun.elapsed() > Duration::from_secs(1), "{:?}", begun.elapsed());
    let mut last = server.reader().await;
    last.subscribed().await;
    assert_eq!(node.metric(&reported("disconnected")).await, rows.len() as f64);
    assert_eq!(node.metric("notifier_panics_total").await, 0.0);
}

#[tokio::test]
async fn everything_a_server_may_say_is_understood_however_it_is_cut() {
    let mut server = FakeNats::start().await;
    let node = node_of(vec![server.url()], |_| {}).await;
    let mut line = server.reader().await;
    let mut client = node.client().await;
    client.send(json!({"subscribe": {"subject": "a"}})).await;
    let number = line.subscribed().await;
    client.expect("subscribed").await;
    let said = format!(
        "INFO {{\"headers\":true,\"new_field\":[{{}}]}}\r\n+OK\r\nMSG a {number} 1\r\n1\r\n\
         MSG a 999999 1\r\n7\r\nMSG a 18446744073709551 r.e.ply 1\r\n7\r\nMSG a {number} r.e.ply 1\r\n2\r\n\
         INFO no JSON\r\nPING\r\nHMSG a {number} 28 29\r\nNATS/1.0\r\nNats-Msg-Id: i\r\n\r\n3\r\n\
         -ERR 'Permissions Violation for Something'\r\nINFO {{\"connect_urls\":[\"::bad\"]}}\r\nMSG a {number} 1\r\n4\r\n\
         MSG a {number} 0\r\n\r\nPING\r\nMSG a {number} 1\r\n5\r\n"
    );
    let pieces = |size: usize| said.as_bytes().chunks(size).map(<[u8]>::to_vec).collect::<Vec<_>>();
    for size in [said.len(), 1, 2, 3, 7] {
        for piece in pieces(size) {
            line.say(&piece).await;
            // The node runs on this thread too, so it has read the piece by then.
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
        }
        for expected in [json!(1), json!(2), json!(3), json!(4), json!(null), json!(5)] {
            assert_eq!(client.event().await.1, expected, "in pieces of {size}");
        }
        for _ in 0..2 {
            line.until("PONG").await;
        }
    }
    assert!(client.events_until_now().await.is_empty());
    assert_eq!(node.metric(&reported("disconnected")).await, 0.0);
    assert_eq!(node.metric(&reported("server_error")).await, 5.0);
}

#[tokio::test]
async fn a_node_is_connected_when_all_its_connections_know_all_subscriptions() {
    let mut server = FakeNats::start().await;
    let node = node_of(vec![server.url()], |config| config.broker.nats.read_connections = 3).await;
    let mut lines = Vec::new();
    for _ in 0..3 {
        let mut line = server.reader().await;
        line.until("PING").await;
        lines.push(line);
    }
    node.until_metric(&reported("connected"), |count| count >= 1.0).await;
    for (answered, line) in lines.iter_mut().enumerate() {
        assert_eq!(node.internal("/readyz").await.0, 503, "{answered} of 3 have answered");
        line.say(b"PONG\r\n").await;
        let connected = 2.0 + answered as f64;
        node.until_metric(&reported("connected"), |count| count >= connected).await;
    }
    node.until_ready().await;
}

#[tokio::test]
async fn news_of_the_cluster_that_come_with_the_handshake_are_heard() {
    let mut second = FakeNats::start().await;
    // nats-server says who it is once more before its first `PONG`, and only then, if its cluster has changed.
    let info = format!("INFO {{\"headers\":true,\"connect_urls\":[\"127.0.0.1:{}\"]}}\r\n", second.port);
    let mut first = FakeNats::saying(&info).await;
    let _node = node_of(vec![first.url()], |_| {}).await;
    let line = first.reader().await;
    first.leave();
    drop(line);
    second.reader().await;
}

#[tokio::test]
async fn a_subscription_that_was_given_up_meanwhile_is_not_made_again() {
    let mut server = FakeNats::start().await;
    let node = node_of(vec![server.url()], |_| {}).await;
    let mut client = Ws::connected(node.address).await;
    let mut line = server.reader().await;
    client.send(json!({"subscribe": {"subject": "gone"}})).await;
    line.until("SUB gone").await;
    // Lost before it is confirmed, and given up while there is no connection.
    drop(line);
    client.send(json!({"id": 1, "unsubscribe": {"subject": "gone"}})).await;
    client.send(json!({"subscribe": {"subject": "wanted"}})).await;
    while client.next().await["replyTo"] != 1 {}
    let mut line = server.reader().await;
    let mut subjects = Vec::new();
    while subjects.last().is_none_or(|last| last != "wanted") {
        let subscription = line.until("SUB ").await;
        subjects.push(subscription.split(' ').nth(1).expect("a subject").to_owned());
    }
    // Where it was made, it is given up again.
    if subjects.iter().any(|subject| subject == "gone") {
        line.until("UNSUB ").await;
    }
    line.until("PING").await;
    line.say(b"PONG\r\n").await;
    soon("the answer", client.expect("subscribed")).await;
}
