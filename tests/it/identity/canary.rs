//! A token is seen by nobody: not in the log at any level, not on the internal
//! pages, not in errors.

use std::process::{Command, Stdio};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use serde_json::json;
use tokio::{net::TcpStream, process::Command as Process};

use crate::world::{Ws, eventually, free_address, node::ask, tokens};

/// In every token of this test, as a claim and as a signature: none of it may
/// be seen anywhere.
const CANARY: &str = "canary-in-the-coal-mine";

#[tokio::test]
async fn no_token_is_ever_written_down() {
    let (clients, internal) = (free_address(), free_address());
    let folder = tempfile::tempdir().expect("a folder");
    let (config, secret, log) =
        (folder.path().join("notifier.toml"), folder.path().join("secret"), folder.path().join("log"));
    std::fs::write(&secret, tokens::SECRET).expect("room");
    let text = format!(
        "[server]\nlisten = \"{clients}\"\ninternal_listen = \"{internal}\"\n[broker]\nkind = \"memory\"\n\
         [log]\nfilter = \"trace\"\n[auth]\nmode = \"jwt\"\nquery_parameter = \"access_token\"\n\
         [[auth.issuers]]\nissuer = \"{}\"\naudience = \"{}\"\nalgorithms = [\"HS256\"]\nsecret_file = {secret:?}\n\
         [[grants]]\nrole = \"*\"\nsubscribe = [\">\"]\npublish = [\">\"]\n",
        tokens::ISSUER,
        tokens::AUDIENCE
    );
    std::fs::write(&config, text).expect("room");
    let binary = env!("CARGO_BIN_EXE_notifier");
    let shown = Command::new(binary).args(["check", "--config"]).arg(&config).output().expect("the binary runs");
    assert!(shown.status.success() && !String::from_utf8_lossy(&shown.stdout).contains(tokens::SECRET));
    // A token of the tool is one that the node takes.
    let made = Command::new(binary)
        .args(["token", "--sub", "u42", "--claim", &format!("jti={CANARY}"), "--config"])
        .arg(&config)
        .output()
        .expect("the binary runs");
    let good = String::from_utf8(made.stdout).expect("text").trim().to_owned();

    let mut node = Process::new(binary)
        .args(["serve", "--config"])
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).expect("a file"))
        .kill_on_drop(true)
        .spawn()
        .expect("the binary runs");
    let [address, operators] = [&clients, &internal].map(|address| address.parse().expect("an address"));
    eventually("a listening node", || async { TcpStream::connect(address).await.is_ok() }).await;

    let bad = format!("{good}{CANARY}");
    let odd = format!("{CANARY}.{CANARY}.{CANARY}");
    let mut said = String::new();
    for token in [&good, &bad, &odd] {
        let mut client = Ws::open(address).await;
        client.send(json!({"id": 1, "connect": {"token": token}})).await;
        said.push_str(&client.next().await.to_string());
        client.send(json!({"id": 2, "refresh": {"token": token}})).await;
        for path in ["/v1/last/a", "/v1/fetch?subject=a", "/nowhere", "/v1/fetch?subject=a&nonsense=1"] {
            let separator = if path.contains('?') { '&' } else { '?' };
            let in_query = Request::get(format!("{path}{separator}access_token={token}"));
            let in_header = Request::get(path).header("authorization", format!("Bearer {token}"));
            for request in [in_query, in_header] {
                let answer = ask(address, request.body(Full::<Bytes>::default()).expect("a request")).await;
                said.push_str(&format!("{answer:?}"));
            }
        }
    }
    assert!(said.contains("\"user\":\"u42\""), "the good one is good: {said}");
    for path in ["/metrics", "/debug/state", "/readyz", "/livez"] {
        said.push_str(&format!("{:?}", ask(operators, Request::get(path).body(Full::default()).expect("one")).await));
    }
    node.kill().await.expect("it runs");
    said.push_str(&std::fs::read_to_string(&log).expect("a log"));
    let signature = good.rsplit('.').next().expect("three parts");
    let claims = good.split('.').nth(1).expect("three parts");
    for part in [CANARY, signature, claims, tokens::SECRET] {
        if let Some(place) = said.find(part) {
            panic!("seen: {}", &said[place.saturating_sub(300)..said.len().min(place + 300)]);
        }
    }
}
