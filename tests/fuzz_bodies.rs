//! The bodies of the fuzz targets, driven by random input and by input that is
//! nearly right.

#[path = "../fuzz/bodies.rs"]
#[allow(unreachable_pub)] // shared with the fuzz targets
mod bodies;

use proptest::{collection::vec, prelude::*};

/// Frames that are right but for what chance does to them.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let frame = (
        any::<u8>(),
        vec(any::<u8>(), 0..140),
        prop::sample::select(vec![0x80u8, 0x81, 0x82, 0x01, 0x00, 0x88, 0x89, 0x8a]),
    );
    vec(frame, 1..6).prop_map(|frames| {
        let mut bytes = Vec::new();
        for (mask, payload, first) in frames {
            bytes.push(first);
            match payload.len() {
                length @ 0..=125 => bytes.push(0x80 | length as u8),
                length => bytes.extend([0x80 | 126, 0, length as u8]),
            }
            bytes.extend([mask; 4]);
            bytes.extend(payload.iter().map(|byte| byte ^ mask));
        }
        bytes
    })
}

fn subjects() -> impl Strategy<Value = String> {
    let token = prop_oneof![Just("*".to_owned()), Just(">".to_owned()), "[ab]{1}", "[a-z*>. \u{fc}\u{202e}]{0,3}"];
    let line = vec(token, 1..6).prop_map(|tokens| tokens.join("."));
    vec(line, 1..6).prop_map(|lines| lines.join("\n"))
}

/// What a server says, but for what chance does to it.
fn server_words() -> impl Strategy<Value = Vec<u8>> {
    let block = prop_oneof![
        Just(b"NATS/1.0\r\nNats-Msg-Id: i\r\ntraceparent: 00\r\n\r\n".to_vec()),
        Just(b"NATS/1.0\r\nContent-Type: application/vnd.notifier.v1.envelope+protobuf\r\n\r\n".to_vec()),
        vec(prop::sample::select(b"NATS/1.0 503\r\n:ce-time\xff%".to_vec()), 0..40),
    ];
    let subject = vec(prop::sample::select(b"ab.$_\xc3\xbc\x0c".to_vec()), 1..6);
    let message =
        (subject, block, vec(any::<u8>(), 0..80), any::<u8>()).prop_map(|(subject, block, payload, chance)| {
            let total = block.len() + payload.len() + usize::from(chance == 0);
            let (word, lengths) = match chance % 2 {
                0 => ("HMSG", format!("7 {} {total}", block.len())),
                _ => ("MSG", format!("7 re.ply {total}")),
            };
            let line = [word.as_bytes(), &subject, lengths.as_bytes()].join(&b" "[..]);
            [&line, &b"\r\n"[..], &block, &payload, b"\r\n"].concat()
        });
    let other = prop::sample::select(vec!["PING\r\n", "PONG\r\n", "+OK\r\n", "INFO {}\r\n", "-ERR 'x'\r\n", "MSG a"]);
    let word = prop_oneof![4 => message, 1 => other.prop_map(|text| text.as_bytes().to_vec())];
    vec(word, 0..8).prop_map(|words| words.concat())
}

fn configurations() -> impl Strategy<Value = String> {
    let table = prop::sample::select(vec!["server", "broker", "broker.nats", "limits", "drain", "log", "auth", "oops"]);
    let key = prop::sample::select(vec!["listen", "kind", "urls", "connections", "window", "mode", "filter", "x"]);
    let value = prop_oneof![
        Just("1".to_owned()),
        Just("\"30s\"".to_owned()),
        Just("[\"a\"]".to_owned()),
        Just("\"memory\"".to_owned()),
        Just("\"127.0.0.1:1\"".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        ".{0,8}",
    ];
    vec((table, key, value), 0..5).prop_map(|entries| {
        entries.into_iter().map(|(table, key, value)| format!("[{table}]\n{key} = {value}\n")).collect()
    })
}

/// What a token could say, but for what chance does to it.
fn claims() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just("\"us\"".to_owned()),
        Just("\"n\"".to_owned()),
        Just("4102444800".to_owned()),
        Just("[\"n\",\"m\"]".to_owned()),
        any::<f64>().prop_map(|n| n.to_string()),
        "[a-z \u{0}\u{7f}\u{fc}]{0,140}".prop_map(|text| serde_json::to_string(&text).expect("a text")),
        Just("null".to_owned()),
    ];
    let name = prop::sample::select(vec!["iss", "aud", "exp", "nbf", "sub", "roles", "jti", "iss", "exp", "x"]);
    let right = r#""iss":"us","aud":"n","exp":4102444800,"sub":"u42""#;
    (any::<bool>(), vec((name, value), 0..6)).prop_map(move |(usual, others)| {
        let others = others.into_iter().map(|(name, value)| format!("\"{name}\":{value}"));
        let all: Vec<String> = usual.then(|| right.to_owned()).into_iter().chain(others).collect();
        format!("{{{}}}", all.join(","))
    })
}

/// Sets of keys, nearly right.
fn keys() -> impl Strategy<Value = String> {
    let number = prop_oneof![Just(0usize), Just(1), Just(43), Just(64), Just(171), Just(342), 0..700usize];
    let kind = prop::sample::select(vec![
        r#""kty":"RSA","e":"AQAB","n""#,
        r#""kty":"RSA","e":"","n""#,
        r#""kty":"EC","crv":"P-256","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","x""#,
        r#""kty":"EC","crv":"P-384","y":"","x""#,
        r#""kty":"OKP","crv":"Ed25519","x""#,
        r#""kty":"OKP","crv":"Ed448","x""#,
        r#""kty":"oct","k""#,
        r#""kty":7,"use":"enc","kid":"a","x""#,
    ]);
    let letter = prop::sample::select(vec!["A", "w", "_", "=", "\u{fc}"]);
    let key =
        (kind, letter, number).prop_map(|(kind, letter, number)| format!("{{{kind}:\"{}\"}}", letter.repeat(number)));
    vec(key, 0..5).prop_map(|keys| format!("{{\"keys\":[{}]}}", keys.join(",")))
}

/// What nodes say to each other, but for what chance does to it.
fn control_messages() -> impl Strategy<Value = String> {
    let name = prop_oneof![Just("u42".to_owned()), "[a\\\\\"\u{e9} ]{0,6}"];
    let order = (name, any::<u64>(), 0..6u8).prop_map(|(name, number, kind)| match kind {
        0 => format!(r#"{{"disconnect":{{"user":"{name}"}}}}"#),
        1 => format!(r#"{{"revoke":[{{"tokenId":"{name}","at":{number},"until":{number}}}]}}"#),
        2 => format!(r#"{{"reevaluate":{{"user":"{name}","withinMs":{number}}}}}"#),
        3 => format!(r#"{{"list":{{"user":null,"most":{number}}}}}"#),
        4 => format!(r#"{{"compare":{{"digest":{number}}}}}"#),
        _ => format!(r#"{{"{name}":{number}}}"#),
    });
    order.prop_map(|order| format!(r#"{{"from":"1","node":"n","connections":1,"order":{order}}}"#))
}

proptest! {
    #[test]
    fn tokens_may_say_anything(
        bytes in prop_oneof![vec(any::<u8>(), 0..300), claims().prop_map(String::into_bytes)],
        token in "[A-Za-z0-9_=-]{0,40}[.][A-Za-z0-9_-]{0,40}[.][A-Za-z0-9_.-]{0,40}",
    ) {
        bodies::token(&bytes);
        bodies::token(token.as_bytes());
    }

    #[test]
    fn sets_of_keys_may_hold_anything(bytes in prop_oneof![vec(any::<u8>(), 0..300), keys().prop_map(String::into_bytes)]) {
        bodies::keys(&bytes);
    }

    #[test]
    fn the_frame_decoder_takes_anything(bytes in prop_oneof![vec(any::<u8>(), 0..300), frames()]) {
        bodies::frame_decoder(&bytes);
    }

    #[test]
    fn the_codec_takes_anything(
        bytes in vec(any::<u8>(), 0..300),
        line in r#"\{"(id|publish|subscribe|connect|pong)":(\{"(subject|event|data)":(1|"a"|\{"data":[ \n]?\[1\]\})\}|7)\}"#,
    ) {
        bodies::client_frames(&bytes);
        bodies::client_frames(line.as_bytes());
    }

    #[test]
    fn a_cursor_may_be_any_text(text in prop_oneof!["v1\\.[A-Z~,0-9%]{0,40}", "(v1\\.)?([A-Z%.]{0,3}~[0-9a]{0,3}~[0-9+]{0,3},?){0,3}"]) {
        bodies::stream_cursor(text.as_bytes());
    }

    #[test]
    fn the_reading_connection_takes_anything(bytes in prop_oneof![vec(any::<u8>(), 0..300), server_words()]) {
        bodies::nats_feed(&bytes);
    }

    #[test]
    fn nodes_hear_anything(bytes in prop_oneof![vec(any::<u8>(), 0..300), control_messages().prop_map(String::into_bytes)]) {
        bodies::control_messages(&bytes);
    }

    #[test]
    fn the_matchers_agree_with_the_slow_reference(text in subjects()) {
        bodies::subjects(text.as_bytes());
    }

    #[test]
    fn nothing_is_granted_but_what_the_slow_reference_grants(
        user in prop_oneof![Just("a".to_owned()), "[ab]{1,2}", "[a.*>$_ ]{0,3}"],
        lines in vec(vec(prop::sample::select(vec!["a", "b", "*", ">", "{sub}", "$a", "a\u{e6}"]), 1..4), 2..8),
    ) {
        let lines: Vec<String> = lines.iter().map(|tokens| tokens.join(".")).collect();
        bodies::grants(format!("{user}\n{}", lines.join("\n")).as_bytes());
        bodies::grants(format!("{user}\n{}\n\n{}", lines[0], lines[1..].join("\n")).as_bytes());
    }

    #[test]
    fn the_configuration_takes_anything(text in prop_oneof![configurations(), ".{0,100}"]) {
        bodies::configuration(text.as_bytes());
    }
}
