//! The configurations of the nodes that are measured.

use std::path::Path;

use crate::{certificate::Certificate, passes};

/// A file in the run's folder: the public key of the tokens' issuer.
pub const ISSUER_FILE: &str = "issuer.pem";

/// Nothing on. What is measured is what a node can do, not what it lets everybody do at once.
const BARE: &str = r#"
[auth]
mode = "anonymous"

[limits]
connections_per_second = 1000000
connections_burst = 1000000
"#;

/// Access and limits with everything on. The denials take something out of every pattern that is asked for, so that
/// each delivery is compared with them; one of them is another one for each client. The limits are those of a node that
/// guards itself, above what is asked of it here: up to 19,000 clients share eight addresses, and the 10,000 of a storm
/// all come within its first second.
const GUARDED: &str = r#"
[limits]
connections = 20000
connections_per_second = 20000
connections_burst = 20000
address_connections = 4000
address_connections_per_second = 4000
address_connections_burst = 4000
address_requests_per_second = 100
user_connections = 10
idle_time = "10m"

[[grants]]
role = "*"
subscribe = ["news.>"]

[[grants]]
role = "reader"
subscribe = ["bench.*.*"]
deny = ["bench.*.internal", "bench.*.{sub}"]

[[grants]]
role = "customer"
subscribe = ["shop.cart.{sub}.>", "shop.offer.{tenant}.>"]
subscribe_literal = ["shop.order.>"]
publish = ["shop.cart.{sub}.seen"]
request = ["shop.cart.{sub}.get"]
deny = ["shop.*.internal.>"]
"#;

/// A node whose events are `stored` or not, with everything on or nothing. With everything on there is a stream in any
/// case, if need be of subjects beside those of the benchmark.
pub fn of_node(stored: bool, full: bool, scratch: &Path) -> String {
    let mut text = if full { issuer(&scratch.join(ISSUER_FILE)) + GUARDED } else { BARE.to_owned() };
    if stored {
        text += &stream("bench");
    } else if full {
        text += &stream("stock");
    }
    text
}

/// A node whose users may subscribe to everything of the benchmark, each within the limits that hold by default. What is
/// below `kept` is stored.
pub fn with_default_limits(scratch: &Path) -> String {
    let grants = "\n[[grants]]\nrole = \"*\"\nsubscribe = [\"bench.>\", \"deep.>\", \"wide.>\", \"kept.>\"]\n";
    issuer(&scratch.join(ISSUER_FILE)) + grants + &stream("kept")
}

/// Who signs the tokens.
fn issuer(key: &Path) -> String {
    let (issuer, audience, key) = (passes::ISSUER, passes::AUDIENCE, key.display());
    format!(
        "[auth]\nmode = \"jwt\"\n\n[[auth.issuers]]\nissuer = \"{issuer}\"\naudience = \"{audience}\"\n\
         algorithms = [\"ES256\"]\npublic_key_file = \"{key}\"\n"
    )
}

/// What a node needs to speak TLS with its clients.
pub fn tls(certificate: &Certificate) -> String {
    let Certificate { cert_file, key_file, .. } = certificate;
    format!("\n[server.tls]\ncert_file = \"{}\"\nkey_file = \"{}\"\n", cert_file.display(), key_file.display())
}

/// A stream of what lies below the token `first`, and its subjects durable. In memory, because the disk is not what is
/// measured.
pub fn stream(first: &str) -> String {
    format!(
        "\n[[streams]]\nname = \"BENCH\"\nsubjects = [\"{first}.>\"]\nstorage = \"memory\"\n\n\
         [[subjects]]\npattern = \"{first}.>\"\ndelivery = \"durable\"\nstream = \"BENCH\"\n"
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use notifier::{
        access::{auth::Auth, grants::Rules},
        classes::Classes,
        config::{self, Flags, SettingsFile},
        metrics::Metrics,
        subject::Subject,
    };

    use super::*;
    use crate::{names::Names, passes::Passes, rig::Scratch};

    #[tokio::test]
    async fn with_everything_on_each_delivery_is_compared_with_denials_and_none_is_denied() {
        let names = Names::wide("bench");
        let scratch = Scratch::new().expect("a folder");
        let mut passes = Passes::issue(&scratch.path().join(ISSUER_FILE)).expect("a key");
        passes.prepare(2).expect("tokens");
        for stored in [false, true] {
            let source = SettingsFile { origin: "here".into(), text: of_node(stored, true, scratch.path()) };
            let config = config::load(Some(&source), [], &Flags::default()).expect("settings that exist");
            config.validate().expect("settings that hold");
            let metrics = Arc::new(Metrics::new().expect("metrics"));
            let (auth, _) = Auth::new(&config.auth, metrics).expect("a key that is read");
            let identity = auth.identify(Some(passes.of(1))).await.expect("a token that holds");
            let classes = Arc::new(Classes::of(&config).expect("subjects"));
            let grants = Rules::new(&config, classes).grant(identity).expect("grants");
            let asked = grants.subscribe(&names.asked(7)).expect("a pattern that is granted");
            assert!(grants.filters(&asked));
            let event = Subject::parse(&names.event(7).to_string()).expect("a subject");
            assert!(!grants.denies(&event));
        }
    }
}
