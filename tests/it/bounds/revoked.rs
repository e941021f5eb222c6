//! What nodes keep about tokens: keys of issuers, and revocations.

use notifier::config::Algorithm;
use serde_json::{Value, json};

use super::{KIB, PATIENT, Row, patient_at};
use crate::world::{
    NatsServer, TestNode,
    signing::{Answers, KeyServer, SigningKey},
    tokens,
};

#[tokio::test]
async fn revocations_with_the_longest_names() {
    // The fourth part of those that there may be.
    const COUNT: usize = 16_384;
    const TOGETHER: usize = 512;
    let nats = NatsServer::start().await;
    let node = patient_at(&nats, "").await;
    let row = Row::of("revocations", &node);
    let service = nats.client().await;
    let until = tokens::now() + 3_600;
    let revocation = |number: usize| -> Value {
        json!({"user": format!("{number:0128}"), "issuer": format!("{number:0512}"), "at": 1, "until": until})
    };
    for first in (0..COUNT).step_by(TOGETHER) {
        let revoke: Vec<Value> = (first..first + TOGETHER).map(revocation).collect();
        let message = json!({"from": "another", "order": {"revoke": revoke}}).to_string();
        service.publish("_ntf.control", message.into()).await.expect("published");
        node.until_metric("notifier_revocations", |count| count == (first + TOGETHER) as f64).await;
    }
    row.is_full(COUNT as u64 * KIB);
}

#[tokio::test]
async fn keys_of_issuers_that_publish_as_much_as_is_read() {
    const ISSUERS: usize = 14;
    let key = SigningKey::new(Algorithm::ES256, "one");
    let small = json!({"keys": [key.jwk()]}).to_string();
    let server = KeyServer::start(Answers::Text(small)).await;
    let issuer = |number: usize| {
        format!(
            "[[auth.issuers]]\nissuer = \"https://login-{number}.example\"\naudience = \"a\"\n\
             algorithms = [\"ES256\"]\njwks_url = \"{}\"\n",
            server.url()
        )
    };
    let config = format!(
        "{}[auth.jwks]\nrefresh = \"500ms\"\ncooldown = \"200ms\"\n[[grants]]\nrole = \"anonymous\"\nsubscribe = [\">\"]\n",
        (0..ISSUERS).map(issuer).collect::<String>()
    );
    let node = TestNode::alone_with(&[PATIENT, &[("NOTIFIER_AUTH__MODE", "jwt")]].concat(), &config).await;
    let row = Row::of("keys", &node);
    let mut keys: Vec<Value> = (0..64)
        .map(|number| {
            let mut jwk = key.jwk();
            jwk["kid"] = format!("{number}{}", "k".repeat(1_000)).into();
            jwk
        })
        .collect();
    // More than are looked at, as small as they can be.
    keys.extend(vec![json!(1); 200_000]);
    server.answers(Answers::Text(json!({ "keys": keys }).to_string()));
    let fetched = "notifier_jwks_fetches_total{result=\"fetched\"}";
    let before = node.metric(fetched).await;
    let all = node.until_metric(fetched, |count| count >= before + 2.0 * ISSUERS as f64);
    let ((), most) = row.most(all).await;
    row.compare(most, ISSUERS as u64 * 1_024 * KIB);
}
