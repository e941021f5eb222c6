//! Services hear stored events as they are published, and may answer them as
//! they like: only their stream acknowledges them.

use serde_json::{Value, json};

use super::world::{Kind, Shop, nats_server::RawPublisher};

/// A service that hears what is stored.
async fn service(shop: &Shop) -> RawPublisher {
    let mut service = shop.nats().publisher().await;
    service.send(b"SUB cart.> 1\r\n").await;
    service.flush().await;
    service
}

async fn publish(shop: &Shop) -> (u16, Value) {
    let answer = shop.node.post("/v1/publish/cart.u1", &[], "1".into()).await;
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(answer.body()).expect("JSON"))
}

#[tokio::test]
async fn whatever_a_service_answers_to_a_stored_event_harms_nobody() {
    let shop = Shop::open(Kind::Nats).await;
    let mut service = service(&shop).await;
    let answers: [(Option<&[u8]>, &[u8]); 4] = [
        // What ends the connection of a usual client.
        (Some(b"NATS/1.0\r\nName: J\xfcrgen\r\n\r\n"), b"thanks"),
        (Some(b"\x00\x01\x02"), b""),
        (None, br#"{"stream":"OTHER","seq":7}"#),
        (None, br#"{"#),
    ];
    let answering = tokio::spawn(async move {
        for (headers, payload) in answers.iter().cycle() {
            let reply = service.asked().await;
            service.publish(reply.as_bytes(), b"", *headers, payload).await;
            service.flush().await;
        }
    });
    for seq in 1..=20 {
        let (status, answer) = publish(&shop).await;
        assert_eq!((status, &answer["published"]), (200, &json!({"stream": "SHOP", "seq": seq})), "{answer}");
    }
    assert_eq!(shop.node.metric("notifier_broker_events_total{event=\"disconnected\"}").await, 0.0);
    answering.abort();
}

#[tokio::test]
async fn nobody_acknowledges_in_the_place_of_a_stream() {
    // Nobody creates it again.
    let shop = Shop::unmanaged().await;
    shop.delete_stream().await;
    let (status, answer) = publish(&shop).await;
    assert_eq!((status, &answer["error"]["code"]), (503, &json!("broker_unavailable")), "{answer}");
    let mut service = service(&shop).await;
    let answering = async {
        let reply = service.asked().await;
        service.publish(reply.as_bytes(), b"", None, br#"{"stream":"OTHER","seq":7}"#).await;
        service.flush().await;
    };
    let ((status, answer), ()) = tokio::join!(publish(&shop), answering);
    assert_eq!((status, &answer["error"]["code"]), (507, &json!("stream_refused")), "{answer}");
    assert!(answer["error"]["message"].as_str().is_some_and(|text| text.contains("OTHER")), "{answer}");
}
