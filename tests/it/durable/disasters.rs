//! What happens to servers now and then: a full disk, a power failure, another
//! address.

use std::{fs, path::Path, process::Command, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use notifier::config::Config;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::{net::TcpStream, process, time::sleep};

use super::{
    super::world::{NatsServer, TestNode, eventually, free_address, node::ask, soon},
    Kind, Shop, numbers, positions,
};

/// As long as a leader may be wrong about being one: until then a stream that
/// has become shorter is told to nobody.
const WRONG_LEADER: Duration = Duration::from_secs(12);

/// Publishes a large event; the status of the answer.
async fn publish(node: &TestNode, number: u64) -> u16 {
    let data = format!("{{\"number\":{number},\"padding\":\"{}\"}}", "x".repeat(200_000));
    node.post("/v1/publish/cart.u1", &[("Nats-Msg-Id", &number.to_string())], data.into()).await.status().as_u16()
}

#[tokio::test]
async fn a_full_disk_refuses_events_and_takes_none_back() {
    let Some(nats) = NatsServer::on_small_disk().await else { return };
    // The disk has no room for a bound that nats-server would set aside.
    let unbounded =
        |config: &mut Config| config.streams.iter_mut().for_each(|stream| stream.max_bytes = Some(0.into()));
    let node = Shop::node(Some(&nats), unbounded).await;
    let mut shop = Shop::of(Some(nats), node);
    let (mut client, _, _) = shop.resume("cart.*", &json!([])).await;
    let mut live = shop.node.client().await;
    live.subscribe("chat.*").await;
    let mut stored = 0;
    while publish(&shop.node, stored).await == 200 {
        stored += 1;
        assert!(stored < 200, "the disk is full long before");
    }
    assert!(stored > 5, "there was some room: {stored}");
    // What is not stored goes on.
    shop.node.publish("chat.a", "1").await;
    assert_eq!(live.expect("event").await["event"]["data"], 1);
    for number in 0..stored {
        assert_eq!(client.stored().await["data"]["number"], number);
    }
    let nats = shop.nats.as_mut().expect("it runs on NATS");
    nats.make_room();
    nats.kill();
    nats.restart().await;
    eventually("room again", || async { publish(&shop.node, stored).await == 200 }).await;
    // The refused event came once, whichever attempt it was that stored it.
    assert_eq!(client.stored().await["data"]["number"], stored);
    assert_eq!(publish(&shop.node, stored + 1).await, 200);
    assert_eq!(client.stored().await["data"]["number"], stored + 1);
    assert_eq!(shop.node.metric("notifier_gaps_reported_total").await, 0.0);
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    let status = Command::new("cp").arg("-a").args([from, to]).status().expect("cp runs");
    assert!(status.success(), "cp -a");
}

/// As after a power failure of a server that acknowledges before it has written:
/// what the disk holds is older than what was acknowledged.
#[tokio::test]
async fn a_stream_that_has_lost_its_end_is_told_and_begins_anew() {
    let mut shop = Shop::open(Kind::Nats).await;
    let (mut client, _, subscribed) = shop.resume("cart.*", &json!([])).await;
    shop.publish("cart.u1", 1..=10).await;
    let nats = shop.nats.as_mut().expect("it runs on NATS");
    let (store, kept) = (nats.store(), nats.store().with_extension("kept"));
    nats.kill();
    copy(&store, &kept);
    nats.restart().await;
    while client.ping().await["broker"] != "ok" {}
    eventually("a stream that stores", || async {
        shop.node.post("/v1/publish/cart.u1", &[], "11".into()).await.status() == 200
    })
    .await;
    shop.publish("cart.u1", 12..=20).await;
    for number in 1..=20 {
        assert_eq!(client.stored().await["data"], number);
    }
    let mut after = positions(&subscribed);
    after[0]["seq"] = 20.into();
    let nats = shop.nats.as_mut().expect("it runs on NATS");
    nats.kill();
    copy(&kept, &store);
    nats.restart().await;
    sleep(WRONG_LEADER).await;
    assert_eq!(client.expect("gap").await["gap"]["reason"], "reset");
    let (_, replayed, again) = shop.resume("cart.*", &after).await;
    assert_ne!(again["recovered"], true);
    assert_eq!(replayed[0]["gap"]["reason"], "reset");
    assert_eq!(numbers(&replayed[1..]), (1..=10).collect::<Vec<_>>(), "what is there is replayed");
    let last = shop.publish("cart.u1", [100]).await;
    assert_eq!(last, 11);
    let mut newest = Value::Null;
    while newest != 100 {
        newest = client.stored().await["data"].take();
    }
}

#[tokio::test]
async fn a_new_address_of_nats_is_found() {
    let nats = NatsServer::start().await;
    let port = nats.url().rsplit(':').next().expect("a port").to_owned();
    let hosts = NamedTempFile::new().expect("a file");
    fs::write(hosts.path(), "127.0.0.9 nats.test\n127.0.0.1 localhost\n").expect("room");
    let (address, internal) = (free_address(), free_address());
    let script = "mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"";
    let mut node = process::Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(hosts.path())
        .arg(env!("CARGO_BIN_EXE_notifier"))
        .args(["serve", "--anonymous", "--nats", &format!("nats://nats.test:{port}")])
        .args(["--listen", &address, "--internal-listen", &internal])
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("unshare (util-linux) runs");
    let internal = internal.parse().expect("an address");
    let ready = async || {
        let request = Request::get("/readyz").body(Full::<Bytes>::default()).expect("a request");
        ask(internal, request).await.status() == 200
    };
    soon("a listening process", async {
        while TcpStream::connect(internal).await.is_err() && node.try_wait().expect("a child of ours").is_none() {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    if node.try_wait().expect("a child of ours").is_some() {
        eprintln!("skipped: only root may change what names mean");
        return;
    }
    assert!(!ready().await, "nobody is at that address");
    fs::write(hosts.path(), "127.0.0.1 nats.test localhost\n").expect("room");
    eventually("readiness", ready).await;
}
