//! An operator's first hour, in which everything is wrong once: each time the log's
//! last warning, and `/readyz` or the error that ends the start, name the thing and the
//! remedy. What they say is a part of `docs/operations/troubleshooting.md`; `UPDATE_GENERATED=1`
//! writes it there.

use std::{
    env, fs,
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
};

use http_body_util::Full;
use hyper::Request;
use regex::Regex;
use serde_json::{Value, json};
use tempfile::TempDir;
use time::Duration;

use super::world::{Authority, NatsServer, free_address, node::ask, soon};

/// A node in a process of its own, as operators run it.
struct Process {
    child: Child,
    folder: TempDir,
    internal: SocketAddr,
}

impl Process {
    fn start(settings: &str) -> Self {
        Self::start_on(settings, &free_address())
    }

    fn start_on(settings: &str, listen: &str) -> Self {
        let (folder, internal) = (tempfile::tempdir().expect("a folder"), free_address());
        let auth = if settings.contains("[auth]") { "" } else { "[auth]\nmode = \"anonymous\"\n" };
        let server = format!(
            "[server]\nlisten = \"{listen}\"\ninternal_listen = \"{internal}\"\n[limits]\nconnections = 1000\n"
        );
        let file = folder.path().join("notifier.toml");
        fs::write(&file, format!("{auth}{server}{settings}")).expect("room");
        let log = fs::File::create(folder.path().join("log")).expect("room");
        let child = Command::new(env!("CARGO_BIN_EXE_notifier"))
            .args(["serve", "--config"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the binary runs");
        Self { child, folder, internal: internal.parse().expect("an address") }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("it was made")
    }

    fn last_line(&self) -> String {
        self.log().lines().last().unwrap_or_default().to_owned()
    }

    /// The last one that is a warning or worse.
    fn last_warning(&self) -> String {
        let is_bad = |line: &&str| [" WARN ", "ERROR "].iter().any(|level| line.contains(level));
        self.log().lines().rfind(is_bad).unwrap_or_default().to_owned()
    }

    async fn ready(&self) -> Value {
        if tokio::net::TcpStream::connect(self.internal).await.is_err() {
            return Value::Null;
        }
        let request = Request::get("/readyz").body(Full::default()).expect("a request");
        serde_json::from_slice(ask(self.internal, request).await.body()).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn nats(url: &str, more: &str) -> String {
    format!("[broker.nats]\nurls = [\"{url}\"]\nread_connections = 1\n{more}\n")
}

fn stream(more: &str) -> String {
    format!(
        "[[streams]]\nname = \"SHOP\"\nsubjects = [\"shop.>\"]\n{more}\n\
         [[subjects]]\npattern = \"shop.>\"\ndelivery = \"durable\"\nstream = \"SHOP\"\n"
    )
}

/// A mistake that a node waits out: what it says in the log last and on `/readyz`,
/// once both name what they have to.
async fn waits(title: &str, settings: String, named: [&str; 2]) -> String {
    let node = Process::start(&settings);
    let said = async {
        loop {
            let (line, ready) = (node.last_warning(), node.ready().await);
            // All that fail together, so that each run shows the same.
            let failing = |index: usize| ready["broker"]["failing"][0]["what"][index].is_string();
            let is_whole = ready["broker"]["nats"] == "connected" || failing(1) || !failing(0);
            let is_waiting = !failing(0) || ready["broker"]["failing"][0]["nextAttemptSeconds"].is_number();
            let is_whole = is_whole && is_waiting && !ready.to_string().contains("it is not known yet");
            if line.contains(named[0]) && named.iter().all(|part| ready.to_string().contains(part)) && is_whole {
                return (line, ready);
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let said = tokio::time::timeout(super::world::PATIENCE, said).await;
    let Ok((line, ready)) = said else {
        panic!("{title}: the log says\n{}\nand /readyz\n{}", node.log(), node.ready().await)
    };
    // However often it has been tried by then, and by however many connections.
    let told = node.log().matches(named[0]).count();
    assert!(told <= 1, "{}", node.log());
    format!("{title}\n{line}\n/readyz: {ready}\n")
}

/// A mistake that ends the start, with the code and what is said last.
async fn ends(title: &str, mut node: Process, named: [&str; 2]) -> String {
    let end = async {
        loop {
            if let Some(status) = node.child.try_wait().expect("a child of ours") {
                return status;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let status = soon(title, end).await;
    let line = node.last_line();
    assert!(named.iter().all(|part| line.contains(part)), "{title}: {line}");
    format!("{title}\n{line}\nexit code {}\n", status.code().expect("a code"))
}

/// A text as the page has it: with the usual addresses, and `…` for what differs each time.
fn usual(text: &str) -> String {
    let rows = [
        (r"(?m)^\S+Z +", ""),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:4222"),
        (r"attempts=\d+", "attempts=…"),
        (r#""attempts":\d+"#, r#""attempts":…"#),
        (r#"next_in="[^"]*""#, r#"next_in="…""#),
        (r#","nextAttemptSeconds":[\d.]+"#, r#","nextAttemptSeconds":…"#),
        (r"/[\w./]*/(node\.pem)", "/run/secrets/$1"),
        (r"(lookup address information: )[A-Z][^;\x22]*", "$1…"),
        (r"verification time .*? ago\)", "…"),
    ];
    rows.iter().fold(text.to_owned(), |text, (pattern, replacement)| {
        Regex::new(pattern).expect("an expression").replace_all(&text, *replacement).into_owned()
    })
}

/// Lines no longer than pages have them.
fn wrapped(text: &str) -> String {
    let mut page = String::new();
    for line in text.lines() {
        let mut width = 0;
        for word in line.split_inclusive([' ', ',']) {
            let length = word.chars().count();
            if width + length > 118 {
                page.truncate(page.trim_end().len());
                page.push_str("\n  ");
                width = 2;
            }
            page.push_str(word);
            width += length;
        }
        page.push('\n');
    }
    page
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_can_be_wrong_names_itself_and_its_remedy() {
    let bare = NatsServer::start().await;
    let stored = NatsServer::jetstream().await;
    let theirs = json!({"name": "SHOP", "subjects": ["shop.>"], "storage": "memory", "retention": "limits",
        "allow_rollup_hdrs": true});
    stored.api("STREAM.CREATE.SHOP", &theirs).await;
    let accounts = NatsServer::jetstream_with(
        "accounts {
            SHOP: { jetstream: enabled, users: [
                { user: notifier, password: right }
                { user: guest, password: right, permissions: { publish: [\"shop.>\"], subscribe: [\">\"] } } ] }
            OTHER: { users: [{ user: other, password: right }] } }",
    )
    .await;
    let authority = Authority::new();
    authority.issue("node", -Duration::days(1));
    let [certificate, key] = ["node.pem", "node.key"].map(|name| authority.path(name).display().to_string());
    let encrypted = NatsServer::with(&format!("tls {{ cert_file: {certificate:?}, key_file: {key:?} }}")).await;
    let nowhere = free_address();
    let as_user = |user: &str, password: &str| format!("user = \"{user}\"\npassword = \"{password}\"");
    let mine = |user: &str| nats(&accounts.url(), &as_user(user, "right"));
    let ca = authority.path("ca.pem").display().to_string();

    let (no_name, no_port, no_user, no_jetstream, wrong_account, no_permission, no_keys, expired, theirs_expired) = tokio::join!(
        waits(
            "# a wrong address",
            nats("nats://nats.invalid:4222", ""),
            ["check the host in broker.nats.urls", "nats.invalid:4222"]
        ),
        waits(
            "# a wrong port",
            nats(&format!("nats://{nowhere}"), ""),
            ["check host and port in broker.nats.urls", "refused"]
        ),
        waits(
            "# wrong credentials",
            nats(&accounts.url(), &as_user("notifier", "wrong")),
            ["check user, password", "Authorization Violation"]
        ),
        waits(
            "# no JetStream",
            format!("{}{}", nats(&bare.url(), ""), stream("")),
            ["add `jetstream {}`", "the stream SHOP"]
        ),
        waits(
            "# a user of another account",
            format!("{}{}", mine("other"), stream("")),
            ["the account that has it", "the stream SHOP"]
        ),
        waits(
            "# a missing permission",
            format!("{}{}", mine("guest"), stream("")),
            ["allow the NATS user to publish to `$JS.API.STREAM.INFO.SHOP`", "Permissions Violation"]
        ),
        waits(
            "# the keys of an issuer are away",
            format!(
                "[auth]\nmode = \"jwt\"\n[[auth.issuers]]\nissuer = \"https://id.example\"\naudience = \"notifier\"\n\
                 algorithms = [\"ES256\"]\njwks_url = \"http://{nowhere}/keys\"\n\
                 [[grants]]\nrole = \"*\"\nsubscribe = [\"shop.>\"]\n{}",
                nats(&bare.url(), "")
            ),
            ["check host and port of jwks_url", "refused"],
        ),
        waits(
            "# the node's certificate has expired",
            format!("[server.tls]\ncert_file = {certificate:?}\nkey_file = {key:?}\n[broker]\nkind = \"memory\"\n"),
            ["the certificate has expired", "server.tls.cert_file"],
        ),
        waits(
            "# the certificate of nats-server has expired",
            nats(&encrypted.url(), &format!("[broker.nats.tls]\nca_file = {ca:?}")),
            ["renew that of nats-server", "certificate expired"],
        ),
    );
    let settings = format!("{}{}", nats(&stored.url(), ""), stream("storage = \"file\""));
    let unfit = ends(
        "# a stream that does not fit",
        Process::start(&settings),
        ["the stream SHOP", "storage: is memory, has to be file"],
    )
    .await;
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().map(|address| (taken, address.to_string())).expect("an address");
    let port = ends(
        "# the port is taken",
        Process::start_on("[broker]\nkind = \"memory\"\n", &taken.1),
        ["Address already in use", "--listen"],
    )
    .await;

    let page = [
        no_name,
        no_port,
        no_user,
        no_jetstream,
        wrong_account,
        no_permission,
        unfit,
        no_keys,
        port,
        expired,
        theirs_expired,
    ];
    let shown = wrapped(&usual(&page.join("\n")));
    for secret in ["right", "wrong:"] {
        assert!(!page.join("\n").replace("# wrong", "").contains(secret), "{shown}");
    }
    let (begin, end) = ("\n## The first hour\n", "\n## ");
    let path = "docs/operations/troubleshooting.md";
    let guide = fs::read_to_string(path).expect("the page");
    let (before, rest) = guide.split_once(begin).expect("a place for it");
    let (section, after) = rest.split_once(end).expect("the next section");
    let (words, now) = section.split_once("```text\n").expect("a block");
    let expected = format!("{shown}```\n");
    if env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(path, format!("{before}{begin}{words}```text\n{expected}{end}{after}")).expect("it can be written");
        return;
    }
    assert_eq!(now, expected, "{path} shows something else; UPDATE_GENERATED=1 writes it");
}
