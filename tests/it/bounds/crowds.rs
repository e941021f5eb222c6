//! What many clients take that only are there: connections, subscriptions,
//! identities, sessions of TLS.

use serde_json::json;

use super::{KIB, PATIENT, Row, crowd, have_done, patient, subscribe};
use crate::{
    frames::{JSON, connected},
    world::{Authority, TestNode, Ws, tokens},
};

#[tokio::test]
async fn connections_that_want_nothing() {
    const COUNT: usize = 3_000;
    let node = patient("").await;
    let row = Row::of("idle connections", &node);
    let _idle = crowd(COUNT, |_| connected(&node, JSON)).await;
    row.is_full(COUNT as u64 * 2 * KIB);
}

/// Clients with as many subscriptions as they may have.
const SUBSCRIBERS: usize = 16;
const EACH: usize = 512;

#[tokio::test]
async fn subscriptions_to_long_subjects_of_many_tokens() {
    let node = patient("[limits]\nsubject_tokens = 32\n").await;
    let row = Row::of("subscriptions to subjects", &node);
    let _crowd = crowd(SUBSCRIBERS, |who| {
        let node = &node;
        async move {
            let mut raw = connected(node, JSON).await;
            let subject = |number: usize| format!("{who:03}{number:04}{}", ".ttttttt".repeat(31));
            let all: Vec<_> = (0..EACH).map(|number| subscribe(&subject(number))).collect();
            have_done(&mut raw, &all).await;
            raw
        }
    })
    .await;
    let count = (SUBSCRIBERS * EACH) as u64;
    node.until_metric("notifier_topics", |topics| topics == count as f64).await;
    row.is_full(count * 2 * KIB);
}

#[tokio::test]
async fn subscriptions_of_many_shapes_that_overlap() {
    let node = patient("[limits]\nwildcard_shapes = 512\n").await;
    let row = Row::of("subscriptions to patterns", &node);
    let crowd = crowd(SUBSCRIBERS, |who| {
        let node = &node;
        async move {
            let mut raw = connected(node, JSON).await;
            // The narrow ones first: wider ones bring the events of those that come after them.
            let token = |mask: usize, bit: usize| if mask >> bit & 1 == 1 { "*" } else { "token" };
            let pattern = |mask: usize| {
                let tokens: Vec<_> = (0..9).map(|bit| token(mask, bit)).collect();
                format!("client-{who:03}.{}", tokens.join("."))
            };
            let all: Vec<_> = (0..EACH).map(|mask| subscribe(&pattern(mask))).collect();
            have_done(&mut raw, &all).await;
            raw
        }
    })
    .await;
    let count = (SUBSCRIBERS * EACH) as u64;
    node.until_metric("notifier_topics", |topics| topics == count as f64).await;
    for who in 0..crowd.len() {
        node.publish(&format!("client-{who:03}{}", ".token".repeat(9)), "1").await;
    }
    row.is_full(count * 2 * KIB);
}

#[tokio::test]
async fn identities_of_many_roles() {
    const COUNT: usize = 500;
    let environment = [PATIENT, &[("NOTIFIER_AUTH__MODE", "jwt"), ("NOTIFIER_AUTH__TOKEN_BYTES", "32KiB")]].concat();
    let node = TestNode::alone_with(
        &environment,
        &format!(
            "[[auth.issuers]]\nissuer = {:?}\naudience = {:?}\nalgorithms = [\"HS256\"]\nsecret = {:?}\n\
             [[grants]]\nrole = \"*\"\nsubscribe = [\">\"]\n",
            tokens::ISSUER,
            tokens::AUDIENCE,
            tokens::SECRET
        ),
    )
    .await;
    let row = Row::of("identities", &node);
    let _crowd = crowd(COUNT, |who| {
        let node = &node;
        async move {
            let name = |number: usize| format!("{number:02}{who:03}{}", "r".repeat(123));
            let roles: Vec<String> = (0..64).map(name).collect();
            let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
            let mut claims = tokens::claims(&name(99), &roles);
            claims["jti"] = json!(name(98));
            // What nobody needs is not kept.
            claims["groups"] = json!(vec![1; 2_000]);
            Ws::with_token(node.address, &tokens::token(&claims)).await
        }
    })
    .await;
    row.is_full(COUNT as u64 * 16 * KIB);
}

#[tokio::test]
async fn connections_over_tls_that_want_nothing() {
    // So many that what the handshakes have left to the allocator hardly counts.
    const COUNT: usize = 1_500;
    let authority = Authority::new();
    let (certificate, key) = (authority.path("node.pem"), authority.path("node.key"));
    let node = patient(&format!("[server.tls]\ncert_file = {certificate:?}\nkey_file = {key:?}\n")).await;
    let row = Row::of("idle connections over TLS", &node);
    let _idle = crowd(COUNT, |_| Ws::secured(node.address, &authority)).await;
    // The connection, and the session.
    row.is_full(COUNT as u64 * (2 + 4) * KIB);
}
