//! Every way to authenticate and to encrypt, against a nats-server that
//! demands it.

use std::{fs, path::Path, process::Command};

use notifier::config::{BrokerKind, Config, Secret};
use serde_json::json;

use super::world::{NatsServer, Shop, TestNode, node::config};

/// A node gets in with these settings, and events flow.
async fn gets_in(server: &NatsServer, change: impl FnOnce(&mut Config)) {
    let node = TestNode::nats_with(server, change).await;
    let mut client = node.client().await;
    client.subscribe("a").await;
    node.publish("a", "1").await;
    assert_eq!(client.event().await.1, json!(1));
}

/// A node with nothing but the server's address starts, and is refused.
async fn stays_out(server: &NatsServer) {
    stays_out_with(server, |_| {}).await;
}

/// A node with these settings starts, and is refused by the server.
async fn stays_out_with(server: &NatsServer, change: impl FnOnce(&mut Config)) {
    let mut config = config();
    config.broker.kind = BrokerKind::Nats;
    config.broker.nats.urls = vec![server.url().into()];
    change(&mut config);
    let node = TestNode::start(config).await;
    // Both kinds of connection have tried, more than once, and neither got in.
    node.until_metric("notifier_broker_events_total{event=\"client_error\"}", |count| count >= 8.0).await;
    assert_eq!(node.metric("notifier_broker_events_total{event=\"connected\"}").await, 0.0);
    assert_eq!(node.internal("/readyz").await.0, 503);
}

fn secret(text: &str) -> Option<Secret> {
    Some(Secret::from(text.to_owned()))
}

#[tokio::test]
async fn user_and_password() {
    let server = NatsServer::with("authorization { user: node, password: \"s3cret\" }").await;
    gets_in(&server, |config| {
        config.broker.nats.user = Some("node".into());
        config.broker.nats.password = secret("s3cret");
    })
    .await;
    stays_out(&server).await;
}

#[tokio::test]
async fn user_and_password_or_token_in_the_address() {
    let rows = [("user: node, password: \"s3 cr@t\"", "node:s3%20cr%40t"), ("token: \"t0k/en\"", "t0k%2Fen")];
    for (settings, identity) in rows {
        let settings = format!("authorization {{ {settings} }}");
        let server = NatsServer::with(&settings).await;
        let with = |identity: &str| vec![server.url().replace("://", &format!("://{identity}@")).into()];
        gets_in(&server, |config| config.broker.nats.urls = with(identity)).await;
        stays_out_with(&server, |config| config.broker.nats.urls = with("node:wrong")).await;
    }
}

#[tokio::test]
async fn who_is_refused_gets_in_once_the_server_allows_it() {
    let user = |password: &str| format!("authorization {{ user: node, password: \"{password}\" }}");
    let mut server = NatsServer::with(&user("old")).await;
    let mut config = config();
    config.broker.kind = BrokerKind::Nats;
    config.broker.nats.urls = vec![server.url().into()];
    config.broker.nats.user = Some("node".into());
    config.broker.nats.password = secret("new");
    let node = TestNode::start(config).await;
    node.until_metric("notifier_broker_events_total{event=\"client_error\"}", |count| count >= 2.0).await;
    server.reload(&user("new"));
    node.until_ready().await;
    let mut client = node.client().await;
    client.subscribe("a").await;
    // And who was in is out, and in again.
    server.reload(&user("newer"));
    while client.ping().await["broker"] != "down" {}
    server.reload(&user("new"));
    while client.ping().await["broker"] != "ok" {}
    node.publish("a", "1").await;
    assert_eq!(client.event().await.1, json!(1));
}

#[tokio::test]
async fn token() {
    let server = NatsServer::with("authorization { token: \"t0ken\" }").await;
    gets_in(&server, |config| config.broker.nats.token = secret("t0ken")).await;
    stays_out(&server).await;
}

#[tokio::test]
async fn nkey() {
    let user = nkeys::KeyPair::new_user();
    let server = NatsServer::with(&format!("authorization {{ users: [{{ nkey: {} }}] }}", user.public_key())).await;
    gets_in(&server, |config| config.broker.nats.nkey = secret(&user.seed().expect("a seed"))).await;
    stays_out(&server).await;
}

#[tokio::test]
async fn credentials_of_a_jwt_user() {
    let folder = tempfile::tempdir().expect("a folder");
    let (settings, credentials) = operator_mode();
    let path = folder.path().join("node.creds");
    fs::write(&path, credentials).expect("room");
    let server = NatsServer::with(&settings).await;
    gets_in(&server, |config| config.broker.nats.credentials_file = Some(path)).await;
    stays_out(&server).await;
}

/// Settings of a server that trusts one operator, and the credentials of one
/// user of one account of its (NATS JWT v2, ADR-14).
fn operator_mode() -> (String, String) {
    let (operator, account, user) =
        (nkeys::KeyPair::new_operator(), nkeys::KeyPair::new_account(), nkeys::KeyPair::new_user());
    let unlimited = json!({"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
        "conn": -1, "leaf": -1});
    let operator_jwt = jwt(&operator, &operator, "O", json!({"type": "operator", "version": 2}));
    let account_jwt = jwt(
        &operator,
        &account,
        "A",
        json!({"type": "account", "version": 2, "limits": unlimited,
        "default_permissions": {"pub": {}, "sub": {}}}),
    );
    let user_jwt = jwt(
        &account,
        &user,
        "U",
        json!({"type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1,
        "data": -1, "payload": -1}),
    );
    let settings = format!(
        "operator: {operator_jwt}\nresolver: MEMORY\nresolver_preload: {{ {}: {account_jwt} }}",
        account.public_key()
    );
    let credentials = format!(
        "-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        user.seed().expect("a seed")
    );
    (settings, credentials)
}

fn jwt(issuer: &nkeys::KeyPair, subject: &nkeys::KeyPair, name: &str, nats: serde_json::Value) -> String {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
    let claims = json!({"jti": name, "iat": 1_700_000_000, "iss": issuer.public_key(), "name": name,
        "sub": subject.public_key(), "nats": nats});
    let head = BASE64.encode(r#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let signed = format!("{head}.{}", BASE64.encode(claims.to_string()));
    let signature = issuer.sign(signed.as_bytes()).expect("a signature");
    format!("{signed}.{}", BASE64.encode(signature))
}

#[tokio::test]
async fn tls_with_our_own_authority_and_client_certificates() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    certificates(folder.path());
    let settings = |verify: bool| tls(folder.path(), "server", &format!("verify: {verify}"));
    for verify in [false, true] {
        let server = NatsServer::with(&settings(verify)).await;
        gets_in(&server, |config| {
            let tls = &mut config.broker.nats.tls;
            tls.required = true;
            tls.ca_file = Some(at("ca.pem"));
            if verify {
                (tls.cert_file, tls.key_file) = (Some(at("client.pem")), Some(at("client.key")));
            }
        })
        .await;
        // Without the authority the server's certificate is nobody's.
        stays_out(&server).await;
    }
}

#[tokio::test]
async fn tls_before_anything_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    certificates(folder.path());
    let authority = folder.path().join("ca.pem");
    let server = NatsServer::with(&tls(folder.path(), "server", "handshake_first: true")).await;
    gets_in(&server, |config| {
        config.broker.nats.tls.first = true;
        config.broker.nats.tls.ca_file = Some(authority.clone());
    })
    .await;
    // Who does not know the authority talks to nobody.
    stays_out_with(&server, |config| config.broker.nats.tls.first = true).await;
}

#[tokio::test]
async fn tls_because_the_server_requires_it() {
    let folder = tempfile::tempdir().expect("a folder");
    certificates(folder.path());
    let authority = folder.path().join("ca.pem");
    let server = NatsServer::with(&tls(folder.path(), "server", "")).await;
    gets_in(&server, |config| config.broker.nats.tls.ca_file = Some(authority)).await;
}

#[tokio::test]
async fn what_asks_for_tls_does_without_it_nowhere() {
    let server = NatsServer::start().await;
    stays_out_with(&server, |config| config.broker.nats.tls.required = true).await;
    stays_out_with(&server, |config| config.broker.nats.urls = vec![server.url().replace("nats:", "tls:").into()])
        .await;
}

#[tokio::test]
async fn a_certificate_of_another_host_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    certificates(folder.path());
    let authority = folder.path().join("ca.pem");
    let server = NatsServer::with(&tls(folder.path(), "other", "")).await;
    stays_out_with(&server, |config| config.broker.nats.tls.ca_file = Some(authority)).await;
}

/// Settings of a server that shows this certificate.
fn tls(folder: &Path, name: &str, more: &str) -> String {
    let path = |name: String| folder.join(name).display().to_string();
    format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", {more} }}",
        path(format!("{name}.pem")),
        path(format!("{name}.key")),
        path("ca.pem".into())
    )
}

/// An authority, and certificates of a server, a client, and a server elsewhere.
fn certificates(folder: &Path) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let write = |name: &str, text: String| fs::write(folder.join(name), text).expect("room");
    let authority_key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).expect("a certificate");
    write("ca.pem", authority.pem());
    let issuer = Issuer::new(params, authority_key);
    let here = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    for (name, hosts) in [("server", here.clone()), ("client", here), ("other", vec!["nats.example".to_owned()])] {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(hosts).expect("parameters");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        write(&format!("{name}.pem"), certificate.pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}

#[tokio::test]
#[allow(clippy::type_complexity)] // a table of rows
async fn settings_that_cannot_be_used_are_refused_at_once() {
    let rows: [(&dyn Fn(&mut Config), &str); 3] = [
        (&|config| config.broker.nats.urls = vec!["nats://".into()], "no host"),
        (&|config| config.broker.nats.urls = vec!["ws://a:1".into()], "neither `nats` nor `tls`"),
        (&|config| config.broker.nats.credentials_file = Some("/nowhere.creds".into()), "/nowhere.creds"),
    ];
    for (change, part) in rows {
        let mut config = config();
        config.broker.kind = BrokerKind::Nats;
        change(&mut config);
        let error = notifier::node::Node::bind(config).await.expect_err(part).to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn serve_without_authentication_says_what_to_write() {
    let output = Command::new(env!("CARGO_BIN_EXE_notifier")).arg("serve").output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("--anonymous") && said.contains("[auth]"), "{said}");
}

/// A node with these settings gets in, and in again when the server knows nothing but the
/// secret that the file holds then.
async fn follows_its_file(
    with_streams: bool,
    settings: [&str; 2],
    secrets: [&str; 2],
    change: impl FnOnce(&mut Config, &Path),
) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    fs::write(&file, secrets[0]).expect("room");
    let mut server =
        if with_streams { NatsServer::jetstream_with(settings[0]).await } else { NatsServer::with(settings[0]).await };
    let jetstream =
        if with_streams { format!("jetstream {{ store_dir: {:?} }}", server.store()) } else { String::new() };
    let node = if with_streams {
        Shop::node(Some(&server), |config| change(config, &file)).await
    } else {
        TestNode::nats_with(&server, |config| change(config, &file)).await
    };
    let mut client = node.client().await;
    client.subscribe("a").await;
    // The server knows the new secret only, and the file is replaced while the node is out.
    server.kill();
    while client.ping().await["broker"] != "down" {}
    server.set(&format!("{jetstream}\n{}", settings[1]));
    server.restart().await;
    node.until_metric("notifier_broker_events_total{event=\"client_error\"}", |count| count >= 6.0).await;
    assert_eq!(node.metric("notifier_broker_connected").await, 0.0);
    fs::write(&file, secrets[1]).expect("room");
    // All connections: the one that publishes, the one that reads, the one that stores.
    while client.ping().await["broker"] != "ok" {}
    node.publish("a", "1").await;
    assert_eq!(client.event().await.1, json!(1));
    if with_streams {
        node.publish("cart.u1", "2").await;
    }
}

#[tokio::test]
async fn a_replaced_password_file_is_read_when_a_node_connects_again() {
    let user = |password: &str| format!("authorization {{ user: node, password: \"{password}\" }}");
    follows_its_file(true, [&user("old"), &user("new")], ["old", "new\n"], |config, file| {
        config.broker.nats.user = Some("node".into());
        config.broker.nats.password = secret("old");
        config.broker.nats.password_file = Some(file.into());
    })
    .await;
}

#[tokio::test]
async fn a_replaced_token_file_is_read_when_a_node_connects_again() {
    let token = |token: &str| format!("authorization {{ token: \"{token}\" }}");
    follows_its_file(true, [&token("old"), &token("new")], ["old", "new"], |config, file| {
        config.broker.nats.token = secret("old");
        config.broker.nats.token_file = Some(file.into());
    })
    .await;
}

#[tokio::test]
async fn a_replaced_nkey_file_is_read_when_a_node_connects_again() {
    let [old, new] = [(); 2].map(|()| nkeys::KeyPair::new_user());
    let user = |key: &nkeys::KeyPair| format!("authorization {{ users: [{{ nkey: {} }}] }}", key.public_key());
    let seeds = [&old, &new].map(|key| key.seed().expect("a seed"));
    follows_its_file(true, [&user(&old), &user(&new)], [&seeds[0], &seeds[1]], |config, file| {
        config.broker.nats.nkey = secret(&seeds[0]);
        config.broker.nats.nkey_file = Some(file.into());
    })
    .await;
}

#[tokio::test]
async fn a_replaced_credentials_file_is_read_when_a_node_connects_again() {
    let [(old, first), (new, second)] = [operator_mode(), operator_mode()];
    follows_its_file(false, [&old, &new], [&first, &second], |config, file| {
        config.broker.nats.credentials_file = Some(file.into());
    })
    .await;
}
