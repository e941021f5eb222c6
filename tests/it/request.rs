//! Questions of clients to services: real services on a real nats-server.

use std::time::Duration;

use async_nats::{HeaderMap, Message, Subscriber};
use futures_util::StreamExt as _;
use notifier::{
    client::Client,
    codec::Encoding,
    config::Span,
    event::headers::ENVELOPE,
    proto::{ClientFrame, Connect, Event, Request, client_frame::Body as ClientBody, server_frame::Body},
};
use serde_json::{Value, json};

use super::world::{Kind, NatsServer, Shop, TestNode, Ws, eventually, soon, tokens};

/// A service, which does what the test says.
struct Service {
    client: async_nats::Client,
    asked: Subscriber,
}

impl Service {
    async fn at(nats: &NatsServer, subject: &'static str) -> Self {
        let (client, asked) = nats.listener(subject).await;
        Self { client, asked }
    }

    /// The next question.
    async fn asked(&mut self) -> Message {
        soon("a question", self.asked.next()).await.expect("a question")
    }

    async fn answer(&self, question: &Message, headers: &[(&str, &str)], data: impl Into<bytes::Bytes>) {
        let mut map = HeaderMap::new();
        headers.iter().for_each(|(name, value)| map.append(*name, *value));
        let reply = question.reply.clone().expect("somewhere to answer to");
        self.client.publish_with_headers(reply, map, data.into()).await.expect("answered");
        self.client.flush().await.expect("the server hears");
    }

    /// From now on it answers with what it is asked.
    fn echo(mut self) {
        tokio::spawn(async move {
            while let Some(Message { reply: Some(reply), payload, .. }) = self.asked.next().await {
                self.client.publish(reply, payload).await.expect("answered");
            }
        });
    }
}

fn ask(id: u64, subject: &str, data: &Value) -> Value {
    json!({"id": id, "request": {"subject": subject, "event": {"data": data}}})
}

/// The error that answers a frame: its code.
async fn refused(client: &mut Ws, id: u64) -> String {
    let frame = client.expect("error").await;
    assert_eq!(frame["replyTo"], id, "{frame}");
    frame["error"]["code"].as_str().expect("a code").to_owned()
}

#[tokio::test]
async fn a_client_asks_a_service_and_gets_its_answer() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats_with(&nats, |config| config.broker.nats.inbox_prefix = "_NTF_INBOX".into()).await;
    let mut service = Service::at(&nats, "cart.*.get").await;
    let mut client = Ws::open(node.address).await;
    client.send(json!({"connect": {}})).await;
    let welcome = client.expect("welcome").await["welcome"].take();
    assert_eq!((&welcome["limits"]["requestsInFlight"], &welcome["limits"]["requestMs"]), (&json!(16), &json!(5000)));
    let event = json!({"id": "q1", "type": "t", "headers": {"traceparent": "00-1", "x-own": "2"}, "data": {"a": 1}});
    client.send(json!({"id": 7, "request": {"subject": "cart.u42.get", "event": event}})).await;

    let question = service.asked().await;
    assert_eq!((question.subject.as_str(), &question.payload[..]), ("cart.u42.get", &b"{\"a\":1}"[..]));
    let reply = question.reply.as_ref().expect("somewhere to answer to");
    assert!(reply.starts_with("_NTF_INBOX.notifier."), "{reply}");
    let headers = question.headers.as_ref().expect("headers");
    let expected = [
        ("Notifier-Id", "q1"),
        ("ce-type", "t"),
        ("traceparent", "00-1"),
        ("x-own", "2"),
        ("Notifier-User", ""),
        ("Notifier-Connection", welcome["connection"].as_str().expect("a name")),
    ];
    for (name, value) in expected {
        assert_eq!(headers.get(name).map(|value| value.as_str()), Some(value), "{name}");
    }
    let said = [("Content-Type", "application/json"), ("ce-type", "cart"), ("Traceparent", "00-2"), ("X-Inside", "1")];
    service.answer(&question, &said, "[1,\n2]").await;

    let mut frame = client.expect("response").await;
    assert!(frame["response"]["event"]["time"].take().is_u64());
    let event = json!({"subject": "cart.u42.get", "time": null, "type": "cart", "contentType": "application/json",
        "headers": {"traceparent": "00-2"}, "data": [1, 2]});
    assert_eq!(frame, json!({"replyTo": 7, "response": {"event": event}}));
    // A second answer goes nowhere, and harms nothing.
    service.answer(&question, &[], "3").await;
    client.send(ask(8, "cart.u42.get", &json!(4))).await;
    let question = service.asked().await;
    service.answer(&question, &[], "5").await;
    assert_eq!(client.expect("response").await["response"]["event"]["data"], 5);
    assert_eq!(node.metric("notifier_requests_total").await, 2.0);
    assert_eq!(node.metric("notifier_requests_waiting").await, 0.0);
}

#[tokio::test]
async fn a_service_reads_which_user_asks_and_grants_say_where_anybody_may() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats_with(&nats, |config| {
        tokens::with_secret(config);
        let grant = json!({"role": "customer", "request": ["cart.*.get"], "publish": ["cart.*.seen"]});
        config.grants = vec![serde_json::from_value(grant).expect("a grant")];
    })
    .await;
    let mut service = Service::at(&nats, "cart.>").await;
    // Nothing of a token reads as another header, user or role.
    let token = tokens::token_of("J\u{fc}rgen, %", &["customer", "a,b"]);
    let expected = [("Notifier-User", "J%C3%BCrgen%2C%20%25"), ("Notifier-Roles", "customer,a%2Cb")];
    let stamped = |message: &Message| {
        let headers = message.headers.as_ref().expect("headers");
        for (name, value) in expected {
            assert_eq!(headers.get(name).map(|value| value.as_str()), Some(value), "{name}");
        }
        headers.get("Notifier-Connection").is_some()
    };
    let mut client = Ws::with_token(node.address, &token).await;
    client.send(ask(1, "cart.u42.get", &json!(1))).await;
    let question = service.asked().await;
    assert!(stamped(&question));
    service.answer(&question, &[], "2").await;
    client.expect("response").await;
    client.send(json!({"publish": {"subject": "cart.u42.seen"}})).await;
    assert!(stamped(&service.asked().await));
    for subject in ["cart.u42.seen", "cart.get", "order.u42.get"] {
        client.send(ask(2, subject, &json!(1))).await;
        assert_eq!(refused(&mut client, 2).await, "forbidden", "{subject}");
    }

    let bearer = format!("Bearer {token}");
    let post = async |path, status| {
        let answer = node.post(path, &[("authorization", &bearer)], "1".into()).await;
        assert_eq!(answer.status(), status, "{path}");
    };
    post("/v1/publish/cart.u42.seen", 200).await;
    assert!(!stamped(&service.asked().await));
    post("/v1/publish/cart.u42.get", 403).await;
    post("/v1/request/cart.u42.seen", 403).await;
    let answering = async {
        let question = service.asked().await;
        assert!(!stamped(&question));
        service.answer(&question, &[], "2").await;
    };
    tokio::join!(post("/v1/request/cart.u42.get", 200), answering);
    assert_eq!(node.post("/v1/request/cart.u42.get", &[], "1".into()).await.status(), 401);
}

#[tokio::test]
async fn both_encodings_carry_questions_and_answers() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats(&nats).await;
    Service::at(&nats, "echo").await.echo();
    for encoding in Encoding::OFFERED {
        let url = format!("ws://{}", node.address);
        let (mut client, _) = Client::connect(&url, encoding, Connect::default()).await.expect("a welcome");
        let event = Event { data: "\u{0}\u{1}".into(), ..Event::default() };
        let request = Request { subject: "echo".into(), event: Some(event), timeout_ms: 0 };
        client.send(ClientFrame { id: 9, body: Some(ClientBody::Request(request)) }).await.expect("sent");
        let frame = soon("an answer", client.next()).await.expect("an answer");
        let Some(Body::Response(response)) = frame.body else { panic!("{frame:?}") };
        let event = response.event.expect("an event");
        assert_eq!((frame.reply_to, event.subject.as_str(), &event.data[..]), (9, "echo", &b"\x00\x01"[..]));
        client.close().await;
    }
}

#[tokio::test]
async fn a_service_is_asked_with_curl() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats(&nats).await;
    let mut service = Service::at(&nats, "cart.get").await;
    let post = node.post("/v1/request/cart.get?timeoutMs=20000", &[("ce-type", "t")], "{}".into());
    let serve = async {
        let question = service.asked().await;
        let headers = question.headers.clone().expect("headers");
        assert_eq!(headers.get("Notifier-User").map(|value| value.as_str()), Some(""));
        assert!(headers.get("Notifier-Connection").is_none());
        service.answer(&question, &[], "{\"qty\":3}").await;
    };
    let (answer, ()) = tokio::join!(post, serve);
    let mut body: Value = serde_json::from_slice(answer.body()).expect("JSON");
    assert!(body["response"]["event"]["time"].take().is_u64());
    let expected = json!({"response": {"event": {"subject": "cart.get", "time": null, "data": {"qty": 3}}}});
    assert_eq!((answer.status().as_u16(), body), (200, expected));

    let rows = [
        ("/v1/request/cart.get?timeoutMs=1", "timeout", 504),
        ("/v1/request/cart.get?timeoutMs=x", "bad_request", 400),
        ("/v1/request/cart.get?wait=1", "bad_request", 400),
        ("/v1/request/nobody", "no_responders", 503),
        ("/v1/request/a.*", "bad_subject", 400),
        ("/v1/request/$SYS.REQ.SERVER.PING", "forbidden", 403),
    ];
    for (path, code, status) in rows {
        let answer = node.post(path, &[], "1".into()).await;
        let body: Value = serde_json::from_slice(answer.body()).expect("JSON");
        assert_eq!((answer.status().as_u16(), &body["error"]["code"]), (status, &json!(code)), "{path}");
    }
    for name in ["Notifier-User", "nats-service-error"] {
        assert_eq!(node.post("/v1/request/cart.get", &[(name, "root")], "1".into()).await.status(), 400, "{name}");
    }
    let get = node.get("/v1/request/cart.get").await;
    assert_eq!((get.status().as_u16(), &get.headers()["allow"]), (405, &"POST".parse().expect("a value")));
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_with_a_reason_on_every_broker() {
    for kind in [Kind::Memory, Kind::Nats] {
        let shop = Shop::with(kind, |config| config.limits.event_bytes = "1KiB".parse().expect("a size")).await;
        let mut client = shop.node.client().await;
        let rows = [
            ("a..b", json!({}), "bad_subject"),
            ("a.>", json!({}), "bad_subject"),
            ("$JS.API.INFO", json!({}), "forbidden"),
            ("_INBOX.a", json!({}), "forbidden"),
            ("ntf.SHOP.cart.a", json!({}), "forbidden"),
            ("cart.a", json!({}), "bad_request"),
            ("a", json!({"headers": {"Notifier-Roles": "admin"}}), "bad_request"),
            ("a", json!({"headers": {"Nats-Expected-Stream": "S"}}), "bad_request"),
            ("a", json!({"data": "x".repeat(1024)}), "too_large"),
            ("a", json!({}), "no_responders"),
        ];
        for (subject, event, code) in rows {
            client.send(json!({"id": 3, "request": {"subject": subject, "event": event}})).await;
            assert_eq!(refused(&mut client, 3).await, code, "{kind:?} {subject}");
        }
        // Without an id there is nobody to answer.
        client.send(json!({"request": {"subject": "a..b"}})).await;
        assert_eq!(client.events_until_now().await, []);
    }
}

#[tokio::test]
async fn who_does_not_answer_in_time_is_not_awaited_longer() {
    let nats = NatsServer::start().await;
    let limit = Duration::from_millis(300);
    let node = TestNode::nats_with(&nats, |config| config.limits.request_time = limit.into()).await;
    let mut service = Service::at(&nats, "slow").await;
    let mut client = node.client().await;
    for (asked, waited) in [(0, 300), (3_600_000, 300), (100, 100)] {
        client.send(json!({"id": 1, "request": {"subject": "slow", "timeoutMs": asked}})).await;
        let frame = client.expect("error").await;
        assert_eq!((&frame["error"]["code"], &frame["error"]["retryable"]), (&json!("timeout"), &json!(true)));
        let message = frame["error"]["message"].as_str().expect("a message");
        assert!(message.contains(&format!("within {waited} ms")), "{message}");
    }
    // An answer that comes too late goes nowhere.
    let late = service.asked().await;
    service.answer(&late, &[], "1").await;
    assert_eq!(client.events_until_now().await, []);
}

#[tokio::test]
async fn answers_come_in_their_own_order_and_hold_nothing_up() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats(&nats).await;
    let mut service = Service::at(&nats, "get").await;
    let mut client = node.client().await;
    for id in 1..=3 {
        client.send(ask(id, "get", &json!(id))).await;
    }
    let mut questions = Vec::new();
    for _ in 0..3 {
        questions.push(service.asked().await);
    }
    // While they wait the connection is served on.
    client.subscribe("news").await;
    node.publish("news", "1").await;
    assert_eq!(client.event().await.1, json!(1));
    for question in questions.iter().rev() {
        service.answer(question, &[], question.payload.clone()).await;
        let frame = client.expect("response").await;
        assert_eq!(frame["replyTo"], frame["response"]["event"]["data"]);
        assert_eq!(frame["replyTo"].to_string().as_bytes(), &question.payload[..]);
    }
}

#[tokio::test]
async fn a_cancelled_request_frees_its_place_and_is_not_answered() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats_with(&nats, |config| config.limits.requests_in_flight = 1).await;
    let mut service = Service::at(&nats, "get").await;
    let mut client = node.client().await;
    client.send(ask(1, "get", &json!(1))).await;
    let first = service.asked().await;
    // One that names no request changes nothing.
    client.send(json!({"cancel": {"id": 9}})).await;
    client.send(ask(2, "get", &json!(2))).await;
    assert_eq!(refused(&mut client, 2).await, "request_limit");
    // Together: the place is free at once.
    client.send_text(&format!("{}\n{}", json!({"id": 3, "cancel": {"id": 1}}), ask(4, "get", &json!(4)))).await;
    let second = service.asked().await;
    service.answer(&first, &[], first.payload.clone()).await;
    service.answer(&second, &[], second.payload.clone()).await;
    let frame = client.expect("response").await;
    assert_eq!(frame["replyTo"], 4);
    // The answer to the cancelled one would have come before.
    client.send(json!({"id": 5, "ping": {}})).await;
    assert_eq!(client.expect("pong").await["replyTo"], 5);
}

#[tokio::test]
async fn a_connection_has_so_many_questions_under_way_and_no_more() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats_with(&nats, |config| config.limits.requests_in_flight = 2).await;
    let mut service = Service::at(&nats, "get").await;
    let (mut client, mut neighbour) = (node.client().await, node.client().await);
    client.send(ask(1, "get", &json!(1))).await;
    client.send(ask(2, "get", &json!(2))).await;
    let (first, second) = (service.asked().await, service.asked().await);
    client.send(ask(3, "get", &json!(3))).await;
    assert_eq!(refused(&mut client, 3).await, "request_limit");
    neighbour.send(ask(1, "get", &json!(4))).await;
    let others = service.asked().await;
    service.answer(&others, &[], "4").await;
    neighbour.expect("response").await;
    service.answer(&first, &[], "1").await;
    client.expect("response").await;
    client.send(ask(4, "get", &json!(5))).await;
    let fourth = service.asked().await;
    for question in [second, fourth] {
        service.answer(&question, &[], question.payload.clone()).await;
        client.expect("response").await;
    }
}

#[tokio::test]
async fn a_question_ends_with_its_connection() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats_with(&nats, |config| config.limits.request_time = Span::seconds(3_600)).await;
    let mut service = Service::at(&nats, "get").await;
    let waiting = "notifier_requests_waiting";
    // It says goodbye, it is gone, it breaks the rules.
    for end in 0..3 {
        let mut client = node.client().await;
        client.send(ask(1, "get", &json!(1))).await;
        let question = service.asked().await;
        assert_eq!(node.metric(waiting).await, 1.0);
        match end {
            0 => client.close().await,
            1 => drop(client),
            _ => {
                client.send_text("no frame").await;
                assert_eq!(client.closed().await.0, 4500);
            }
        }
        node.until_metric(waiting, |count| count == 0.0).await;
        service.answer(&question, &[], "1").await;
    }
    eventually("no task that is left", || async {
        node.internal_json("/debug/state").await["connections"] == json!(0)
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_relayed_is_told_and_harms_nothing_else() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats_with(&nats, |config| config.limits.event_bytes = "2KiB".parse().expect("a size")).await;
    let mut service = Service::at(&nats, "get").await;
    let mut client = node.client().await;
    client.subscribe("news").await;
    let mut publisher = nats.publisher().await;
    for case in 0..6 {
        client.send(ask(1, "get", &json!(1))).await;
        let question = service.asked().await;
        let reply = question.reply.clone().expect("somewhere to answer to");
        let mut raw = async |block: &[u8]| {
            publisher.publish(reply.as_bytes(), b"", Some(block), b"1").await;
            publisher.flush().await;
        };
        match case {
            0 => service.answer(&question, &[], vec![b'1'; 2_049]).await,
            1 => service.answer(&question, &[("Content-Type", ENVELOPE)], "no envelope").await,
            2 => {
                service
                    .answer(&question, &[("Nats-Service-Error-Code", "409"), ("Nats-Service-Error", "sold out")], "")
                    .await
            }
            3 => service.answer(&question, &[], vec![b'x'; 2_048]).await,
            // What would end the connection of a usual client.
            4 => raw(b"NATS/1.0\r\nName: J\xfcrgen\r\n\r\n").await,
            _ => raw(b"x").await,
        }
        let frame = client.next().await;
        let error = &frame["error"];
        match case {
            0 | 1 => {
                assert_eq!((&error["code"], &error["retryable"]), (&json!("bad_response"), &Value::Null), "{frame}")
            }
            2 => {
                assert_eq!(
                    (&error["code"], &error["serviceCode"]),
                    (&json!("service_error"), &json!("409")),
                    "{frame}"
                );
                assert!(error["message"].as_str().is_some_and(|text| text.contains("409 sold out")), "{frame}");
            }
            3 => assert!(frame["response"]["event"]["dataBase64"].is_string(), "{frame}"),
            _ => assert_eq!(frame["response"]["event"]["data"], 1, "{frame}"),
        }
        node.publish("news", "2").await;
        assert_eq!(client.event().await.1, json!(2));
    }
    assert_eq!(node.metric("notifier_broker_events_total{event=\"bad_headers\"}").await, 2.0);
    assert_eq!(node.metric("notifier_broker_events_total{event=\"disconnected\"}").await, 0.0);
}

#[tokio::test]
async fn what_is_larger_than_the_server_takes_is_refused_before_it_ends_the_connection() {
    let nats = NatsServer::with("max_payload: 4096").await;
    let node = TestNode::nats(&nats).await;
    Service::at(&nats, "echo").await.echo();
    let mut client = node.client().await;
    client.send(ask(1, "echo", &json!("x".repeat(4_096)))).await;
    let frame = client.expect("error").await;
    assert_eq!(frame["error"]["code"], "too_large");
    let message = frame["error"]["message"].as_str().expect("a message");
    assert!(message.contains("4096") && message.contains("max_payload"), "{message}");
    let most = json!("x".repeat(3_900));
    client.send(ask(2, "echo", &most)).await;
    assert_eq!(client.expect("response").await["response"]["event"]["data"], most);
    assert_eq!(node.metric("notifier_broker_events_total{event=\"disconnected\"}").await, 0.0);
}

#[tokio::test]
async fn an_outage_is_told_at_once_and_services_are_asked_again_after_it() {
    let mut nats = NatsServer::start().await;
    let node = TestNode::nats(&nats).await;
    let mut service = Service::at(&nats, "get").await;
    let mut client = node.client().await;
    client.send(ask(1, "get", &json!(1))).await;
    service.asked().await;
    nats.kill();
    assert_eq!(refused(&mut client, 1).await, "broker_unavailable");
    client.send(ask(2, "get", &json!(1))).await;
    assert_eq!(refused(&mut client, 2).await, "broker_unavailable");
    assert_eq!(node.post("/v1/request/get", &[], "1".into()).await.status(), 503);
    nats.restart().await;
    while client.ping().await["broker"] != "ok" {}
    Service::at(&nats, "get").await.echo();
    client.send(ask(3, "get", &json!(3))).await;
    assert_eq!(client.expect("response").await["response"]["event"]["data"], 3);
}

/// Else whoever is asked could answer what others, or streams, are asked.
#[tokio::test]
async fn who_knows_where_one_answer_goes_does_not_know_where_another_goes() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats(&nats).await;
    let mut service = Service::at(&nats, "get").await;
    let mut client = node.client().await;
    client.send(ask(1, "get", &json!(1))).await;
    client.send(ask(2, "get", &json!(2))).await;
    let replies = [service.asked().await, service.asked().await].map(|question| question.reply.expect("a reply"));
    let number = |reply: &str| {
        let digits = reply.rsplit('.').next().expect("a last token");
        assert_eq!(digits.len(), 16, "{reply}");
        u64::from_str_radix(digits, 16).expect("a number")
    };
    let [first, second] = replies.map(|reply| number(&reply));
    assert!(first.abs_diff(second) > 1 << 16, "{first:x} {second:x}");
}

#[tokio::test]
async fn the_command_line_asks_a_service() {
    let nats = NatsServer::start().await;
    let node = TestNode::nats(&nats).await;
    Service::at(&nats, "echo").await.echo();
    let token = tempfile::NamedTempFile::new().expect("a file");
    let url = format!("ws://{}", node.address);
    let rows = [
        (vec!["echo", "{\"a\":1}"], true, "echo {\"a\":1}\n"),
        (vec!["echo", "hello", "--encoding", "json", "--timeout", "20s"], true, "echo hello\n"),
        (vec!["nobody"], false, "no_responders"),
    ];
    for (arguments, succeeds, said) in rows {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_notifier"))
            .args(["request", "--node", &url, "--token-file"])
            .arg(token.path())
            .args(&arguments)
            .output();
        let output = soon("the end of the command", output).await.expect("the binary runs");
        assert_eq!(output.status.success(), succeeds, "{arguments:?} {output:?}");
        let text = if succeeds { output.stdout } else { output.stderr };
        let text = String::from_utf8(text).expect("text");
        assert!(text.contains(said), "{arguments:?} {text}");
    }
}
