//! TLS in the process: the same frames, the same limits, and certificates that
//! are renewed under way.

use std::{fs, net::SocketAddr, sync::Arc, time::Instant};

use hyper::Request;
use notifier::{
    client::Client,
    close::CloseReason,
    codec::Encoding,
    encoded_message::EncodedMessage,
    framing::{Framing, MessageKind},
    metrics::{Listener, Metrics},
    node::Node,
    outbox::{Outbox, Policy},
    proto::{ClientFrame, Connect, Event, Subscribe, client_frame::Body as Ask, server_frame::Body},
    socket::Wire,
    tasks::Tasks,
    tls::Endpoint,
};
use rustls::{
    HandshakeKind,
    version::{TLS12, TLS13},
};
use serde_json::json;
use socket2::SockRef;
use time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{
    handshake::raw::{Neighbour, Raw, UPGRADE, head},
    world::{
        Authority, NatsServer, TestNode, Ws, certificates::handshake, eventually, node::ask_over, node::config, soon,
    },
};

/// A node with TLS, and the authority that vouches for it.
async fn node() -> (TestNode, Authority) {
    let authority = Authority::new();
    (TestNode::with(|config| authority.serve(config)).await, authority)
}

/// The serial number of the certificate that a new handshake shows, and what the node says of its end.
async fn shown(node: &TestNode, authority: &Authority) -> (Vec<u8>, f64) {
    let stream = authority.stream(node.address).await;
    let certificate = stream.get_ref().1.peer_certificates().expect("a certificate")[0].to_vec();
    (certificate, node.metric("notifier_certificate_expiry_seconds{listener=\"clients\"}").await)
}

/// Publishes over HTTP and TLS.
async fn publish(node: &TestNode, authority: &Authority, subject: &str, data: String) {
    let stream = authority.stream(node.address).await;
    let request = Request::post(format!("/v1/publish/{subject}")).body(data.into()).expect("a request");
    assert_eq!(ask_over(stream, node.address, request).await.status(), 200);
}

#[tokio::test]
async fn both_encodings_carry_over_tls_what_they_carry_over_tcp() {
    let authority = Authority::new();
    let nats = NatsServer::start().await;
    let plain = TestNode::nats(&nats).await;
    let secured = TestNode::nats_with(&nats, |config| authority.serve(config)).await;
    let mut clients = Vec::new();
    for (scheme, node) in [("ws", &plain), ("wss", &secured)] {
        for encoding in Encoding::OFFERED {
            let url = format!("{scheme}://{}", node.address);
            let trust = authority.trust();
            let made = Client::connect_trusting(&url, encoding, Connect::default(), &trust);
            let (mut client, _) = soon("welcome", made).await.expect("welcomed");
            let subscribe = Subscribe { subject: "shop.>".into(), ..Subscribe::default() };
            client.send(ClientFrame { id: 1, body: Some(Ask::Subscribe(subscribe)) }).await.expect("sent");
            soon("subscribed", client.next()).await.expect("a frame");
            clients.push(client);
        }
    }
    // From nothing to far more than one record holds.
    for size in [0, 1, 100, 16_000, 16_384, 17_000, 300_000] {
        let data = json!("x".repeat(size)).to_string();
        publish(&secured, &authority, "shop.cart.u42", data).await;
        let mut events = Vec::new();
        for client in &mut clients {
            match soon("an event", client.next()).await.expect("a frame").body {
                // Each node has its own clock.
                Some(Body::Event(event)) => events.push(Event { time: 0, ..event }),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(events[0].data.len(), size + 2);
        assert!(events.iter().all(|event| *event == events[0]), "{size}");
    }
}

#[tokio::test]
async fn what_a_client_sends_right_behind_its_upgrade_is_read() {
    let (node, authority) = node().await;
    let mut stream = authority.stream(node.address).await;
    // More than HTTP reads at once, in as few records as it takes.
    let text = format!("{{\"connect\":{{}}}}\n{}", "{\"subscribe\":{\"subject\":\"a\"}}\n".repeat(600));
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend(u16::try_from(text.len()).expect("it fits").to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(text.bytes());
    stream.write_all(&[head(&UPGRADE), frame].concat()).await.expect("the node reads");
    node.until_metric("notifier_frames_received_total", |count| count == 601.0).await;
}

#[tokio::test]
async fn the_end_of_a_stream_is_told_as_tls_wants_it() {
    let (node, authority) = node().await;
    let mut stream = authority.stream(node.address).await;
    stream.write_all(&head(&UPGRADE)).await.expect("the node reads");
    // A masked Close with 1000.
    stream.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]).await.expect("the node reads");
    let mut rest = Vec::new();
    // Without `close_notify` this would fail with an unexpected end.
    soon("the end", stream.read_to_end(&mut rest)).await.expect("a clean end");
    assert!(rest.ends_with(&[0x88, 0x02, 0x03, 0xe8]), "{rest:?}");
    node.until_metric("notifier_connections", |count| count == 0.0).await;
    // A client that breaks off, with and without a word.
    for polite in [true, false] {
        let mut stream = authority.stream(node.address).await;
        stream.write_all(&head(&UPGRADE)).await.expect("the node reads");
        node.until_metric("notifier_connections", |count| count == 1.0).await;
        if polite {
            stream.shutdown().await.expect("an open stream");
        }
        drop(stream);
        node.until_metric("notifier_connections", |count| count == 0.0).await;
    }
}

#[tokio::test]
async fn who_stops_reading_is_closed_and_who_lags_gets_everything_in_order() {
    let authority = Authority::new();
    let node = TestNode::with(|config| {
        authority.serve(config);
        config.limits.outbox_bytes = "1MiB".parse().expect("a size");
        config.limits.bytes_per_second = "1GiB".parse().expect("a size");
        config.limits.close_time = std::time::Duration::from_millis(200).into();
    })
    .await;
    let mut stalled = Ws::secured(node.address, &authority).await;
    let mut lagging = Ws::secured(node.address, &authority).await;
    stalled.subscribe("load").await;
    lagging.subscribe("load").await;
    let mut publisher = Ws::secured(node.address, &authority).await;
    let padding = "x".repeat(7_000);
    let slow = "notifier_connections_closed_total{reason=\"slow_consumer\"}";
    let mut sent = 0;
    while node.metric(slow).await == 0.0 {
        assert!(sent < 20_000, "140 MB and not yet closed");
        let first = sent;
        for _ in 0..40 {
            let event = json!({"publish": {"subject": "load", "event": {"data": {"n": sent, "padding": padding}}}});
            publisher.send(event).await;
            sent += 1;
        }
        let delivered = |count| count >= f64::from(sent);
        node.until_metric("notifier_deliveries_total", delivered).await;
        // It reads late, and then all of it.
        for number in first..sent {
            assert_eq!(lagging.event().await.1["n"], number);
        }
        // The limit and one chunk more, which holds 64 KiB of events.
        let waiting = node.metric("notifier_outbox_bytes").await;
        assert!(waiting <= f64::from((1 << 20) + (64 << 10)), "{waiting}");
    }
    node.until_metric("notifier_connections", |count| count == 2.0).await;
    assert_eq!(node.metric("notifier_outbox_bytes").await, 0.0);
    assert_eq!(node.metric("notifier_outboxes_waiting").await, 0.0);
    lagging.subscribe("still.here").await;
    drop(stalled);
}

/// A socket takes of a record what it has room for. Chunks of all sizes, a
/// small socket, and a peer that reads now and then: every byte comes, in order.
#[tokio::test]
async fn records_that_the_socket_takes_in_part_arrive_whole() {
    let authority = Authority::new();
    let mut settings = config();
    authority.serve(&mut settings);
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    let endpoint = Endpoint::open(Listener::Clients, &settings.server.tls, &metrics).await.expect("it holds");
    let endpoint = endpoint.expect("TLS is on");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    for seed in 0..8 {
        let mut random = fastrand::Rng::with_seed(seed);
        let accept = async {
            let (stream, _) = listener.accept().await.expect("a connection");
            SockRef::from(&stream).set_send_buffer_size(4 * 1024).expect("a socket");
            endpoint.accept(stream).await.expect("a handshake")
        };
        let (stream, mut peer) = tokio::join!(accept, authority.stream(address));
        let policy = Policy {
            bytes: 1 << 24,
            frames: 1 << 20,
            close_time: std::time::Duration::from_secs(20),
            stall_time: std::time::Duration::from_secs(20),
            tasks: Tasks::new(metrics.clone()),
            metrics: metrics.clone(),
        };
        let framing = Framing::WebSocket(MessageKind::Binary);
        let outbox = Outbox::new(Wire::encrypted(stream).0, framing, Arc::new(policy));
        let mut wanted = Vec::new();
        let mut received = Vec::new();
        for number in 0_u32..300 {
            let size = [0, 10, 1_000, 16_384, 70_000][random.usize(..5)];
            let chunk = EncodedMessage::pong(&number.to_be_bytes());
            let body = EncodedMessage::data(framing, |body| body.resize(size, number as u8));
            // As a sequence, because an outbox joins messages that pile up.
            let chunk = EncodedMessage::sequence([&chunk, &body]);
            wanted.extend_from_slice(chunk.as_bytes());
            assert!(outbox.push(&chunk));
            if random.u8(..3) == 0 {
                let mut some = vec![0; random.usize(1..100_000)];
                if let Ok(Ok(read)) = tokio::time::timeout(std::time::Duration::ZERO, peer.read(&mut some)).await {
                    received.extend_from_slice(&some[..read]);
                }
            }
        }
        outbox.close(CloseReason::Normal);
        let close = EncodedMessage::close(framing, CloseReason::Normal);
        wanted.extend_from_slice(close.as_bytes());
        soon("the end", peer.read_to_end(&mut received)).await.expect("a clean end");
        assert!(received == wanted, "seed {seed}: {} of {} bytes", received.len(), wanted.len());
    }
}

#[tokio::test]
async fn new_handshakes_use_a_renewed_certificate_and_old_sockets_live_on() {
    let (node, authority) = node().await;
    let mut old = Ws::secured(node.address, &authority).await;
    old.subscribe("a").await;
    let (first, first_end) = shown(&node, &authority).await;
    authority.issue("node", Duration::days(90));
    eventually("the new certificate", || async { shown(&node, &authority).await.0 != first }).await;
    let (second, second_end) = shown(&node, &authority).await;
    assert!((second_end - first_end - 60.0 * 86_400.0).abs() < 60.0, "{first_end} {second_end}");

    // What does not hold changes nothing: no PEM, another key, an end that has come.
    let refused = "notifier_certificate_reloads_total{result=\"refused\"}";
    let renew: [(&str, &dyn Fn()); 3] = [
        ("no certificate", &|| fs::write(authority.path("node.pem"), "soon").expect("room")),
        ("expired", &|| authority.issue("node", Duration::days(-1))),
        ("no key", &|| fs::remove_file(authority.path("node.key")).expect("a file")),
    ];
    for (name, change) in renew {
        let before = node.metric(refused).await;
        change();
        node.until_metric(refused, |count| count > before).await;
        assert_eq!(shown(&node, &authority).await, (second.clone(), second_end), "{name}");
    }
    authority.issue("node", Duration::days(10));
    eventually("the third certificate", || async { shown(&node, &authority).await.0 != second }).await;
    publish(&node, &authority, "a", "1".into()).await;
    assert_eq!(old.event().await.1, 1);
    assert!(node.metric("notifier_certificate_reloads_total{result=\"taken\"}").await >= 2.0);
}

#[tokio::test]
async fn who_does_not_finish_a_handshake_in_time_is_cut_off() {
    let authority = Authority::new();
    let short = std::time::Duration::from_millis(300);
    let node = TestNode::with(|config| {
        authority.serve(config);
        config.limits.handshake_time = short.into();
    })
    .await;
    let mut neighbour = Ws::secured(node.address, &authority).await;
    neighbour.subscribe("a").await;
    let start = Instant::now();
    let (silent, mut dripping) = (Raw::open(node.address).await, Raw::open(node.address).await);
    let drip = async {
        // The head of a record that is to hold a ClientHello of 512 bytes, which never comes.
        for byte in [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3].into_iter().chain(std::iter::repeat(0)) {
            if dripping.send(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(short / 20).await;
        }
    };
    soon("both ends", async { tokio::join!(silent.rest(), drip) }).await;
    assert!(start.elapsed() >= short);
    assert_eq!(node.metric("notifier_accepts_failed_total{reason=\"tls_timeout\"}").await, 2.0);
    publish(&node, &authority, "a", "1".into()).await;
    assert_eq!(neighbour.event().await.1, 1);
}

#[tokio::test]
async fn a_client_without_tls_is_told_so() {
    let (node, authority) = node().await;
    let failed = "notifier_accepts_failed_total{reason=\"tls\"}";
    let mut raw = Raw::open(node.address).await;
    raw.send(&head(&UPGRADE)).await.expect("the node reads");
    let answer = raw.answer().await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("https:// or wss://"), "{answer:?}");
    node.until_metric(failed, |count| count == 1.0).await;
    for noise in [&b"\x00\x01\x02\x03\x04\x05\x06\x07"[..], b"\x16\x03\x01\xff\xff\x01", b"\x80\x2e\x01\x00\x02"] {
        let mut raw = Raw::open(node.address).await;
        raw.send(noise).await.expect("the node reads");
        raw.finish().await;
        raw.rest().await;
    }
    node.until_metric(failed, |count| count == 4.0).await;
    assert_eq!(authority.stream(node.address).await.get_ref().1.alpn_protocol(), None);
}

#[tokio::test]
async fn handshakes_resume_and_keep_to_the_protocols_that_are_served() {
    let (node, authority) = node().await;
    for version in [&TLS12, &TLS13] {
        let mut client = authority.client(&[version], None);
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let client = Arc::new(client);
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let stream = handshake(node.address, client.clone()).await.expect("a handshake");
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind), "{version:?}");
            // Tickets come behind the handshake: an answer proves that they are here.
            let request = Request::get("/").body(Default::default()).expect("a request");
            assert_eq!(ask_over(stream, node.address, request).await.status(), 404);
        }
    }
    let mut client = authority.client(&[&TLS13], None);
    client.alpn_protocols = vec![b"h2".to_vec()];
    assert!(handshake(node.address, Arc::new(client)).await.is_err());
}

#[tokio::test]
async fn with_an_authority_for_clients_only_those_with_a_certificate_come_in() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    stranger.issue("client", Duration::days(1));
    authority.issue("client", Duration::days(1));
    authority.issue("old", Duration::days(-1));
    let node = TestNode::with(|config| {
        authority.serve(config);
        config.server.tls.client_ca_file = Some(authority.path("ca.pem"));
    })
    .await;
    /// Whether an answer comes.
    async fn served(address: SocketAddr, client: rustls::ClientConfig) -> bool {
        let Ok(mut stream) = handshake(address, Arc::new(client)).await else { return false };
        let sent = stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.is_ok();
        let mut answer = Vec::new();
        sent && stream.read_to_end(&mut answer).await.is_ok() && !answer.is_empty()
    }
    for version in [&TLS12, &TLS13] {
        assert!(served(node.address, authority.client(&[version], Some("client"))).await);
        assert!(!served(node.address, authority.client(&[version], None)).await);
        assert!(!served(node.address, authority.client(&[version], Some("old"))).await);
    }
    fs::copy(stranger.path("client.pem"), authority.path("strange.pem")).expect("room");
    fs::copy(stranger.path("client.key"), authority.path("strange.key")).expect("room");
    assert!(!served(node.address, authority.client(&[&TLS13], Some("strange"))).await);
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_at_the_start() {
    let (authority, other) = (Authority::new(), Authority::new());
    fs::write(authority.path("text"), "hello").expect("room");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    fs::write(authority.path("broken"), broken).expect("room");
    let rows = [
        ("server.tls.cert_file", authority.path("nowhere.pem"), "No such file"),
        ("server.tls.cert_file", authority.path("text"), "holds no certificate"),
        ("server.tls.cert_file", authority.path("broken"), "holds no X.509"),
        ("server.tls.key_file", authority.path("nowhere.key"), "No such file"),
        ("server.tls.key_file", authority.path("text"), "holds no private key"),
        ("server.tls.key_file", authority.path("node.pem"), "holds no private key"),
        ("server.tls.key_file", other.path("node.key"), "does not go with"),
        ("server.tls.client_ca_file", authority.path("nowhere.pem"), "No such file"),
        ("server.tls.client_ca_file", authority.path("text"), "holds no certificate"),
        ("server.internal_tls.cert_file", authority.path("text"), "holds no certificate"),
    ];
    for (key, path, problem) in rows {
        let mut config = config();
        authority.serve(&mut config);
        authority.serve_internal(&mut config);
        let file = match key {
            "server.tls.cert_file" => &mut config.server.tls.cert_file,
            "server.tls.key_file" => &mut config.server.tls.key_file,
            "server.tls.client_ca_file" => &mut config.server.tls.client_ca_file,
            _ => &mut config.server.internal_tls.cert_file,
        };
        *file = Some(path.clone());
        let error = Node::bind(config).await.expect_err(key).to_string();
        assert!(error.starts_with(&format!("{key}: {}: ", path.display())) && error.contains(problem), "{error}");
    }
}

/// A node without TLS that is spoken to in TLS.
#[tokio::test]
async fn tls_on_a_plain_port_fails_at_once() {
    let node = TestNode::memory().await;
    let mut neighbour = Neighbour::of(&node).await;
    let authority = Authority::new();
    let client = Arc::new(authority.client(rustls::ALL_VERSIONS, None));
    assert!(soon("an end", handshake(node.address, client)).await.is_err());
    let _ = TcpStream::connect(node.address).await.expect("a connection");
    neighbour.is_served_by(&node).await;
}
