//! Tokens that must not be taken, over both doors, with a neighbour that must
//! not notice.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use jsonwebtoken::{Algorithm as Signed, DecodingKey, EncodingKey, crypto};
use notifier::config::Algorithm;
use serde_json::{Value, json};

use crate::{
    identity::published,
    world::{
        TestNode, Ws,
        signing::{Answers, KeyServer, SigningKey, set},
        tokens,
    },
};

/// A token with any header and any claims, signed with a secret.
fn forged(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature =
        crypto::sign(message.as_bytes(), &EncodingKey::from_secret(secret), Signed::HS256).expect("a secret");
    format!("{message}.{signature}")
}

/// A token of a key, with some of its claims changed; null takes one away.
fn with(key: &SigningKey, changes: &Value) -> String {
    let mut claims = tokens::claims("u42", &["customer"]);
    for (name, value) in changes.as_object().expect("an object") {
        if value.is_null() {
            claims.as_object_mut().expect("an object").remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    key.token(&claims)
}

/// A token whose header says something else than what it was signed with.
fn relabelled(token: &str, change: impl FnOnce(&mut Value)) -> String {
    let (header, rest) = token.split_once('.').expect("three parts");
    let mut header: Value =
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(header).expect("base64")).expect("JSON");
    change(&mut header);
    format!("{}.{rest}", BASE64_URL_SAFE_NO_PAD.encode(header.to_string()))
}

#[tokio::test]
async fn forged_and_stale_tokens_are_refused_with_one_reason_and_harm_nobody() {
    let key = SigningKey::new(Algorithm::ES256, "k1");
    let rsa = SigningKey::new(Algorithm::RS256, "r1");
    let server = KeyServer::start(Answers::Text(set(&[&key, &rsa]))).await;
    let node = TestNode::with(|config| {
        tokens::with_issuer(config, published(&server, &[Algorithm::ES256, Algorithm::RS256]));
        config.auth.jwks.cooldown = std::time::Duration::from_millis(50).into();
    })
    .await;
    node.until_ready().await;
    let good = tokens::claims("u42", &["customer"]);
    let mut neighbour = Ws::with_token(node.address, &key.token(&tokens::claims("neighbour", &[]))).await;
    neighbour.subscribe("neighbour").await;

    let now = tokens::now();
    let es = |more: Value| {
        let mut header = json!({"alg": "ES256", "kid": "k1"});
        header.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        header
    };
    let unsigned = |header: &Value| {
        let token = forged(header, &good, b"x");
        token[..=token.rfind('.').expect("three parts")].to_owned()
    };
    let public = rsa.public_pem();
    let modulus = rsa.jwk()["n"].as_str().expect("a number").to_owned();
    let mut tampered = key.token(&good);
    tampered.truncate(tampered.len() - 4);
    tampered.push_str("AAAA");
    let own = SigningKey::new(Algorithm::ES256, "k1");

    let rows = [
        ("alg none", unsigned(&json!({"alg": "none"})), "algorithm"),
        ("alg None", unsigned(&json!({"alg": "None", "kid": "k1"})), "algorithm"),
        ("alg none, signed", forged(&json!({"alg": "none"}), &good, b"x"), "algorithm"),
        ("HS256 with the public PEM", forged(&json!({"alg": "HS256"}), &good, public.as_bytes()), "algorithm"),
        (
            "HS256 with the modulus",
            forged(&json!({"alg": "HS256", "kid": "r1"}), &good, modulus.as_bytes()),
            "algorithm",
        ),
        ("ES256 label on HS256", forged(&es(json!({})), &good, public.as_bytes()), "signature"),
        ("a key for another algorithm", relabelled(&key.token(&good), |head| head["kid"] = "r1".into()), "algorithm"),
        (
            "an algorithm not configured",
            relabelled(&rsa.token(&good), |head| head["alg"] = "PS256".into()),
            "algorithm",
        ),
        ("no signature", unsigned(&es(json!({}))), "signature"),
        ("a changed signature", tampered, "signature"),
        ("somebody else's key of that name", own.token(&good), "signature"),
        ("its own key in jwk", relabelled(&own.token(&good), |head| head["jwk"] = own.jwk()), "signature"),
        ("its own keys at jku", relabelled(&own.token(&good), |head| head["jku"] = server.url().into()), "signature"),
        ("its own keys at x5u", relabelled(&own.token(&good), |head| head["x5u"] = server.url().into()), "signature"),
        ("an unknown crit", relabelled(&key.token(&good), |head| head["crit"] = json!(["exp"])), "critical"),
        ("another typ", relabelled(&key.token(&good), |head| head["typ"] = "dpop+jwt".into()), "type"),
        ("a nested token", relabelled(&key.token(&good), |head| head["cty"] = "JWT".into()), "malformed"),
        ("an unknown key", relabelled(&key.token(&good), |head| head["kid"] = "k2".into()), "unknown_key"),
        ("an unknown issuer", with(&key, &json!({"iss": "https://login.example/"})), "issuer"),
        ("no issuer", with(&key, &json!({"iss": null})), "claim"),
        ("two issuers", with(&key, &json!({"iss": [tokens::ISSUER, "x"]})), "claim"),
        ("another audience", with(&key, &json!({"aud": "notifier2"})), "audience"),
        ("other audiences", with(&key, &json!({"aud": ["a", "b"]})), "audience"),
        ("no audience", with(&key, &json!({"aud": null})), "claim"),
        ("expired", with(&key, &json!({"exp": now - 120})), "expired"),
        ("no exp", with(&key, &json!({"exp": null})), "claim"),
        ("exp as text", with(&key, &json!({"exp": "4102444800"})), "claim"),
        ("exp below zero", with(&key, &json!({"exp": -1})), "claim"),
        ("not yet valid", with(&key, &json!({"nbf": now + 120})), "not_yet_valid"),
        ("issued in the future", with(&key, &json!({"iat": now + 120})), "issued_in_future"),
        ("issued at the end of time", with(&key, &json!({"iat": 1e300})), "issued_in_future"),
        ("no user", with(&key, &json!({"sub": null})), "claim"),
        ("a user who looks like another", with(&key, &json!({"sub": "u1\u{200b}"})), "claim"),
        ("a user written backwards", with(&key, &json!({"sub": "\u{202e}1u"})), "claim"),
        ("a token that looks like another", with(&key, &json!({"jti": "t\u{2060}"})), "claim"),
        ("a user with a line feed", with(&key, &json!({"sub": "a\r\nNotifier-User: root"})), "claim"),
        ("roles that are none", with(&key, &json!({"roles": {"admin": true}})), "claim"),
        ("too large", with(&key, &json!({"more": "x".repeat(9000)})), "too_large"),
        ("encrypted", "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkExMjhHQ00ifQ.a.b.c.d".into(), "malformed"),
        (
            "deep",
            forged(
                &json!({"alg": "ES256"}),
                &serde_json::from_str(&format!("{}{}", "[".repeat(100), "]".repeat(100))).expect("JSON"),
                b"x",
            ),
            "claim",
        ),
        ("garbage", "\u{0}\u{7f}..ü".into(), "malformed"),
        ("dots", ".".repeat(4000), "malformed"),
    ];
    for (name, token, reason) in rows {
        let series = format!("notifier_tokens_refused_total{{reason=\"{reason}\"}}");
        let before = node.metric(&series).await;
        let mut client = Ws::open(node.address).await;
        client.send(json!({"id": 7, "connect": {"token": token}})).await;
        let (code, why, frames) = client.closed().await;
        assert_eq!((code, why.as_str()), (4501, "unauthorized"), "{name}: {frames:?}");
        let [error] = frames.as_slice() else { panic!("{name}: {frames:?}") };
        assert_eq!((&error["replyTo"], &error["error"]["code"]), (&json!(7), &json!("unauthorized")), "{name}");
        let mut refused = 1.0;
        if token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let bearer = format!("Bearer {token}");
            let answer = node.post("/v1/publish/a", &[("authorization", &bearer)], Bytes::from_static(b"1")).await;
            assert_eq!(answer.status(), 401, "{name}: {:?}", answer.body());
            assert_eq!(answer.headers()["www-authenticate"], "Bearer error=\"invalid_token\"", "{name}");
            let told: Value = serde_json::from_slice(answer.body()).expect("JSON");
            assert_eq!(told["error"]["message"], error["error"]["message"], "{name}");
            refused += 1.0;
        }
        let counted = node.metric(&series).await - before;
        assert!((counted - refused).abs() < 0.1, "{name}: {counted} of {reason}, {error}");
    }
    // Nothing has become of any of it, and the good are still good.
    let bearer = format!("Bearer {}", key.token(&good));
    let answer = node.post("/v1/publish/neighbour", &[("authorization", &bearer)], Bytes::from_static(b"1")).await;
    assert_eq!(answer.status(), 200, "{:?}", answer.body());
    assert_eq!(neighbour.event().await, ("neighbour".to_owned(), json!(1)));
    // At the start, and for the key that nobody has, at each door.
    assert_eq!(server.asked(), 3);
}

#[tokio::test]
async fn without_a_token_nobody_comes_in() {
    let node = TestNode::with(tokens::with_secret).await;
    let mut client = Ws::open(node.address).await;
    client.send(json!({"id": 7, "connect": {}})).await;
    let (code, _, frames) = client.closed().await;
    assert_eq!((code, &frames[0]["error"]["code"]), (4501, &json!("unauthorized")));
    for path in ["/v1/last/a", "/v1/fetch?subject=a"] {
        let answer = node.get(path).await;
        assert_eq!((answer.status().as_u16(), answer.headers()["www-authenticate"].as_bytes()), (401, &b"Bearer"[..]));
    }
    assert_eq!(node.post("/v1/publish/a", &[], Bytes::new()).await.status(), 401);
    assert!(node.metric("notifier_tokens_refused_total{reason=\"missing\"}").await > 3.5);
}

#[tokio::test]
async fn clocks_may_be_apart_by_the_leeway_and_no_more() {
    let node = TestNode::with(|config| {
        tokens::with_secret(config);
        config.auth.leeway = std::time::Duration::from_secs(60).into();
    })
    .await;
    let now = tokens::now();
    let rows = [
        ("exp", now - 30, true),
        ("exp", now - 90, false),
        ("nbf", now + 30, true),
        ("nbf", now + 90, false),
        ("iat", now - 90, true),
        ("iat", now + 30, true),
        ("iat", now + 90, false),
    ];
    for (claim, time, taken) in rows {
        let mut claims = tokens::claims("u42", &[]);
        claims[claim] = time.into();
        let bearer = format!("Bearer {}", tokens::token(&claims));
        let answer = node.post("/v1/publish/a", &[("authorization", &bearer)], Bytes::new()).await;
        assert_eq!(answer.status() == 200, taken, "{claim} {time} of {now}");
    }
}

/// What a signature check would say of the public key as a secret: the attack
/// is real, and it is the configuration that stops it.
#[test]
fn the_public_key_would_verify_as_a_secret() {
    let public = SigningKey::new(Algorithm::RS256, "r").public_pem();
    let token = forged(&json!({"alg": "HS256"}), &json!({}), public.as_bytes());
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    let key = DecodingKey::from_secret(public.as_bytes());
    assert!(crypto::verify(signature, message.as_bytes(), &key, Signed::HS256).expect("a secret"));
}
