//! What is fuzzed: each body takes any bytes and must neither panic nor break
//! what it states. `tests/fuzz_bodies.rs` drives the same bodies with random
//! and with well-formed input.

use std::{
    pin::pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll, Waker},
};

use notifier::{
    access::{
        auth::{Auth, Signer, vouches},
        grants::{Action, Rules},
        identity::Identity,
    },
    broker::decode_all,
    close::CloseReason,
    cluster::{self, message},
    codec::Encoding,
    config::{self, Algorithm, AuthMode, Config, Flags, Grant, Issuer, SettingsFile},
    control::{Answer, NodeMessage},
    metrics::Metrics,
    proto::StreamCursor,
    socket::Decoder,
    subject::{Pattern, Subject},
    trie::Trie,
};

/// Largest message the decoder is to take here.
const MESSAGE_BYTES: usize = 4_096;

/// The frame decoder: how the bytes are cut changes nothing that is delivered.
pub fn frame_decoder(bytes: &[u8]) {
    let run = |piece: usize| -> (Vec<String>, Result<(), CloseReason>) {
        let mut decoder = Decoder::default();
        let mut delivered = Vec::new();
        for piece in bytes.to_vec().chunks_mut(piece) {
            let fed = decoder.feed(piece, MESSAGE_BYTES, |incoming| {
                delivered.push(format!("{incoming:?}"));
                Ok(())
            });
            if let Err(reason) = fed {
                return (delivered, Err(reason));
            }
        }
        (delivered, Ok(()))
    };
    let piece = bytes.first().map_or(1, |first| usize::from(*first % 13) + 1);
    let (whole, cut) = (run(bytes.len().max(1)), run(piece));
    assert_eq!(whole.1.is_err(), cut.1.is_err());
    if whole.1.is_ok() {
        assert_eq!(whole.0, cut.0);
    } else {
        // A cut stream may end earlier (fail fast), never later.
        assert!(whole.0.starts_with(&cut.0));
    }
}

/// The cursor of an event stream, as anybody may make one up: what is read is written
/// as one plain line, and reads back the same.
pub fn stream_cursor(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(cursor) = text.parse::<StreamCursor>() else { return };
    let written = cursor.to_string();
    assert!(written.bytes().all(|byte| byte.is_ascii_graphic()));
    assert_eq!(written.parse(), Ok(cursor));
}

/// Client frames: what is read can be written, and reads back the same.
pub fn client_frames(bytes: &[u8]) {
    for encoding in Encoding::OFFERED {
        let Ok(frames) = encoding.read_client(bytes) else { continue };
        let frames: Vec<_> = frames.into_iter().flatten().collect();
        let mut written = Vec::new();
        frames.iter().for_each(|frame| encoding.write_client(frame, &mut written));
        let again = encoding.read_client(&written).expect("we wrote it");
        let again: Vec<_> = again.into_iter().map(|frame| frame.expect("nothing is out of place")).collect();
        assert_eq!(again.len(), frames.len());
        // Data may be normalised once (line feeds in JSON), not twice.
        let mut rewritten = Vec::new();
        again.iter().for_each(|frame| encoding.write_client(frame, &mut rewritten));
        assert_eq!(rewritten, written);
    }
}

/// What a NATS server says: how the bytes are cut changes nothing, and what
/// comes of them is fit for clients.
pub fn nats_feed(bytes: &[u8]) {
    const EVENT_BYTES: usize = 64;
    static METRICS: LazyLock<Arc<Metrics>> = LazyLock::new(|| Arc::new(Metrics::new().expect("no other recorder")));
    let heard = |size: usize| {
        let (said, events) = decode_all(bytes.chunks(size), EVENT_BYTES, &METRICS);
        let events: Vec<_> = events
            .iter()
            .map(|event| {
                let mut envelope = event.envelope.clone();
                assert!(envelope.time > 0 && envelope.data.len() <= EVENT_BYTES);
                assert!(Subject::parse(event.subject.as_str()).is_ok() && !event.subject.is_reserved());
                // That of the publisher, or of the moment.
                envelope.time = 0;
                (event.subject.clone(), envelope)
            })
            .collect();
        (said, events)
    };
    let whole = heard(bytes.len().max(1));
    for size in [1, bytes.first().map_or(1, |first| usize::from(*first % 61) + 1)] {
        assert_eq!(heard(size), whole, "in pieces of {size}");
    }
}

/// The subject grammar and its matchers against a slow reference: the first
/// line is the pattern, the others are subjects.
pub fn subjects(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.split('\n');
    let first = lines.next().unwrap_or_default();
    assert_eq!(Pattern::parse(first).is_ok(), reference_grammar(first), "{first:?}");
    let Ok(pattern) = Pattern::parse(first) else { return };
    let mut trie = Trie::default();
    trie.insert(&pattern, ());
    for line in lines {
        let wildcard = line.split('.').any(|token| token == "*" || token == ">");
        assert_eq!(Subject::parse(line).is_ok(), reference_grammar(line) && !wildcard, "{line:?}");
        let Ok(subject) = Subject::parse(line) else { continue };
        let expected = reference_matches(&tokens(first), &tokens(line));
        assert_eq!(pattern.matches(&subject), expected, "{first} {line}");
        let mut found = false;
        trie.each(&subject, |()| found = true);
        assert_eq!(found, expected, "{first} {line}");
        assert_eq!(pattern.overlaps(&Pattern::from(subject)), expected, "{first} {line}");
    }
}

/// Grants against the slow reference. The lines are the user, a rule and a
/// denial, which may have `{sub}`, and what is asked: whatever they say, nothing
/// is granted but what the rule has with the user as one token.
pub fn grants(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default().to_owned();
    let (user, rule, denial) = (line(), line(), line());
    let grant = Grant {
        role: "*".into(),
        subscribe: vec![rule.clone()],
        publish: vec![rule.clone()],
        deny: Some(denial.clone()).filter(|denial| !denial.is_empty()).into_iter().collect(),
        ..Grant::default()
    };
    let rules = Rules::new(&Config { grants: vec![grant], ..Config::default() }, Arc::default());
    let Ok(grants) = rules.grant(Identity { user: user.clone(), ..Identity::default() }) else { return };
    let fill = |text: &str| tokens(text).iter().map(|token| token.replace("{sub}", &user)).collect::<Vec<_>>();
    let (rule, denial) = (fill(&rule), fill(&denial));
    let matches = |pattern: &[String], subject: &str| {
        reference_matches(&pattern.iter().map(String::as_str).collect::<Vec<_>>(), &tokens(subject))
    };
    for asked in lines {
        let explanation = grants.explain(Action::Subscribe, asked);
        let subscribed = grants.subscribe(asked);
        assert_eq!(explanation.allowed, subscribed.is_ok(), "{explanation}");
        let published = grants.publish(asked);
        if published.is_ok() {
            assert!(subscribed.is_ok() && !asked.starts_with(['$', '_']), "{asked:?}");
            assert!(matches(&rule, asked) && !matches(&denial, asked), "{asked:?} {rule:?} {denial:?}");
        }
        if let Ok(pattern) = subscribed {
            // Wildcards stand for tokens that nobody names, so only a wildcard of the rule can match them.
            let subject = pattern.as_str().replace('*', "\u{e6}").replace('>', "\u{e6}.\u{e6}");
            assert!(matches(&rule, &subject), "{asked:?} {rule:?}");
        }
    }
}

/// A configuration file: an error or a configuration, never a panic.
pub fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // Files that a secret names are not part of what is tried.
    if text.contains("_file") {
        return;
    }
    let source = SettingsFile { origin: "fuzz".into(), text: text.into() };
    match config::load(Some(&source), Vec::new(), &Flags::default()) {
        Ok(config) => drop(config.validate()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A token is refused, whatever it says, unless it is signed; and claims that
/// are signed make a person with a clean name, or are refused.
pub fn token(bytes: &[u8]) {
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    static AUTH: LazyLock<Auth> = LazyLock::new(|| {
        let mut issuer = issuer(&[Algorithm::HS256]);
        issuer.secret = Some(SECRET.to_owned().into());
        let auth = config::Auth { mode: Some(AuthMode::Jwt), issuers: vec![issuer], ..config::Auth::default() };
        Auth::new(&auth, Arc::new(Metrics::new().expect("no other recorder"))).expect("a secret").0
    });
    let identify = |token: &str| -> Option<Identity> {
        // Keys that are there need not be waited for.
        match pin!(AUTH.identify(Some(token))).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(told) => told.ok(),
            Poll::Pending => panic!("nothing to wait for"),
        }
    };
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert_eq!(identify(text), None);
    }
    let Ok(claims) = serde_json::from_slice(bytes) else { return };
    let signer = Signer::secret(SECRET.as_bytes(), Algorithm::HS256).expect("for secrets");
    if let Some(identity) = identify(&signer.mint(&claims).expect("a secret signs")) {
        let is_name = |name: &String| (1..=128).contains(&name.len()) && !name.chars().any(char::is_control);
        assert!(is_name(&identity.user) && identity.roles.iter().all(is_name), "{identity:?}");
        assert!(identity.expires_at.is_some() && claims["iss"] == "us", "{identity:?}");
    }
}

/// A published set of keys vouches for nothing that it has not signed.
pub fn keys(bytes: &[u8]) {
    // Headers of RS256, PS256, ES256, ES384 and EdDSA, `{"iss":"us"}`, and no signature of anybody.
    for header in [
        "eyJhbGciOiJSUzI1NiJ9",
        "eyJhbGciOiJQUzI1NiJ9",
        "eyJhbGciOiJFUzI1NiJ9",
        "eyJhbGciOiJFUzM4NCJ9",
        "eyJhbGciOiJFZERTQSJ9",
    ] {
        for signature in ["", "AAAA", &"A".repeat(86), &"A".repeat(128), &"A".repeat(342)] {
            let token = format!("{header}.eyJpc3MiOiJ1cyJ9.{signature}");
            let all = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];
            assert!(!vouches(bytes, &issuer(&all), &token));
        }
    }
}

fn issuer(algorithms: &[Algorithm]) -> Issuer {
    let text = serde_json::json!({"issuer": "us", "audience": "n", "algorithms": algorithms});
    serde_json::from_value(text).expect("an issuer")
}

/// What nodes say to each other: nothing, or something that reads back the same
/// and is no longer than nodes read.
pub fn control_messages(bytes: &[u8]) {
    let Ok(head) = message::head(bytes) else { return };
    assert!(bytes.len() <= cluster::MESSAGE_BYTES);
    if let Ok(body) = message::body::<NodeMessage>(bytes) {
        let written = message::write(&head, &body);
        assert_eq!(message::head(&written).expect("we wrote it"), head);
        assert_eq!(message::body::<NodeMessage>(&written).expect("we wrote it"), body);
    }
    if let Ok(body) = message::body::<Answer>(bytes) {
        let written = message::write(&head, &body);
        assert_eq!(message::head(&written).expect("we wrote it"), head);
        assert_eq!(message::body::<Answer>(&written).expect("we wrote it"), body);
    }
}

fn tokens(text: &str) -> Vec<&str> {
    text.split('.').collect()
}

fn reference_grammar(text: &str) -> bool {
    let tokens = tokens(text);
    let plain = |token: &str| {
        !token.is_empty()
            && token.chars().all(|c| {
                let ascii = c.is_ascii() && c > ' ' && c != '\x7f' && c != '*' && c != '>';
                ascii || (!c.is_ascii() && c.is_alphanumeric())
            })
    };
    text.len() <= 256
        && tokens.len() <= 32
        && tokens
            .iter()
            .enumerate()
            .all(|(index, token)| *token == "*" || (*token == ">" && index + 1 == tokens.len()) || plain(token))
}

/// By definition, token by token, with all the time in the world.
fn reference_matches(pattern: &[&str], subject: &[&str]) -> bool {
    match (pattern.split_first(), subject.split_first()) {
        (None, None) => true,
        (Some((&">", [])), Some(_)) => true,
        (Some((&"*", rest)), Some((_, others))) => reference_matches(rest, others),
        (Some((token, rest)), Some((other, others))) => token == other && reference_matches(rest, others),
        _ => false,
    }
}
