//! A user has so many places; a client that comes back takes its own again.

use std::time::Duration;

use notifier::{codec::Encoding, config::Config};
use serde_json::{Value, json};

use super::world::{Peer, TestNode, eventually, tokens};

fn two_places(config: &mut Config) {
    tokens::with_secret(config);
    config.auth.allow_anonymous = true;
    config.limits.user_connections = 2;
}

/// A client of a user, with more fields of `connect`; and the first frame.
async fn comes_in(node: &TestNode, encoding: Encoding, user: &str, more: Value) -> (Peer, Value) {
    let mut connect = more;
    connect["token"] = tokens::token_of(user, &[]).into();
    let mut client = Peer::connect(node.address, encoding, connect).await;
    let first = client.next().await;
    assert_eq!(first["replyTo"], 1);
    (client, first)
}

/// The name of a connection that was let in.
fn name(first: &Value) -> Value {
    let name = &first["welcome"]["connection"];
    assert!(name.is_string(), "{first}");
    name.clone()
}

/// The codes of a connection that was turned away.
async fn turned_away((mut client, first): (Peer, Value)) -> (String, u16) {
    let error = &first["error"];
    let code = error["code"].as_str().unwrap_or_else(|| panic!("{first}"));
    let may_pass = code == "user_full";
    assert_eq!((error["retryable"] == true, error["retryAfterMs"].as_u64() > Some(0)), (may_pass, may_pass), "{first}");
    let (close, reason, _) = client.closed().await;
    assert_eq!(reason, code);
    (code.to_owned(), close)
}

#[tokio::test]
async fn a_connection_takes_the_place_of_the_one_that_it_replaces() {
    for encoding in Encoding::OFFERED {
        let node = TestNode::with(two_places).await;
        // A page and another one, whose network has changed: the node does not know yet.
        let (mut old, welcome) = comes_in(&node, encoding, "u42", json!({})).await;
        let (mut other, _) = comes_in(&node, encoding, "u42", json!({})).await;
        let refused = turned_away(comes_in(&node, encoding, "u42", json!({})).await).await;
        assert_eq!(refused, ("user_full".to_owned(), 4410));
        let replaces = json!({"replaces": name(&welcome), "subscriptions": [{"id": 2, "subject": "a"}]});
        let (mut new, welcome) = comes_in(&node, encoding, "u42", replaces.clone()).await;
        name(&welcome);
        assert_eq!(new.expect("subscribed").await["replyTo"], 2);
        let (close, reason, _) = old.closed().await;
        assert_eq!((close, reason.as_str()), (1000, "normal"));
        // The place was given once, and the other connection is as it was.
        let refused = turned_away(comes_in(&node, encoding, "u42", replaces).await).await;
        assert_eq!(refused.1, 4410);
        other.send(json!({"id": 3, "subscribe": {"subject": "b"}})).await;
        assert_eq!(other.expect("subscribed").await["replyTo"], 3);
        drop(new);
        eventually("room", || async { comes_in(&node, encoding, "u42", json!({})).await.1.get("welcome").is_some() })
            .await;
    }
}

#[tokio::test]
async fn nobody_replaces_a_connection_of_somebody_else() {
    let node = TestNode::with(two_places).await;
    let (mut held, welcome) = comes_in(&node, Encoding::Json, "u42", json!({})).await;
    let mut nobody = Peer::connect(node.address, Encoding::Json, json!({})).await;
    let anonymous = name(&nobody.next().await);
    let replaces = json!({"replaces": name(&welcome)});
    name(&comes_in(&node, Encoding::Json, "u43", replaces.clone()).await.1);
    for earlier in [name(&welcome), anonymous, json!("x"), json!("0000000000000000")] {
        let mut client = Peer::connect(node.address, Encoding::Json, json!({"replaces": earlier})).await;
        name(&client.next().await);
    }
    for client in [&mut held, &mut nobody] {
        client.send(json!({"id": 3, "subscribe": {"subject": "a"}})).await;
        assert_eq!(client.expect("subscribed").await["replyTo"], 3);
    }
}

#[tokio::test]
async fn a_limit_of_a_user_is_final_only_when_all_who_are_there_must_live() {
    let node = TestNode::with(|config| {
        two_places(config);
        config.server.heartbeat = Duration::from_millis(200).into();
        config.limits.stall_time = Duration::from_millis(400).into();
        config.limits.close_time = Duration::from_millis(100).into();
    })
    .await;
    // Half-open: nobody reads there any more, so pings are not answered.
    let dead = [(); 2].map(|()| comes_in(&node, Encoding::Json, "u42", json!({})));
    let dead = futures_util::future::join_all(dead).await;
    let mut told = Vec::new();
    let (mut first, mut second) = loop {
        match comes_in(&node, Encoding::Json, "u42", json!({})).await {
            (client, first) if first.get("welcome").is_some() => {
                let (other, first) = loop {
                    let (other, first) = comes_in(&node, Encoding::Json, "u42", json!({})).await;
                    if first.get("welcome").is_some() {
                        break (other, first);
                    }
                };
                name(&first);
                break (client, other);
            }
            refused => told.push(turned_away(refused).await),
        }
    };
    // A machine that is busy finds the dead out later than this node believes, so only the first is certain.
    assert_eq!(told.first(), Some(&("user_full".to_owned(), 4410)));
    drop(dead);

    // These live, and are heard of with each ping.
    let asks = async {
        loop {
            let refused = turned_away(comes_in(&node, Encoding::Json, "u42", json!({})).await).await;
            if refused == ("user_limit".to_owned(), 4510) {
                return;
            }
            assert_eq!(refused, ("user_full".to_owned(), 4410));
        }
    };
    tokio::select! {
        () = first.read_on() => panic!("a connection that lives was closed"),
        () = second.read_on() => panic!("a connection that lives was closed"),
        () = asks => {}
    }
}
