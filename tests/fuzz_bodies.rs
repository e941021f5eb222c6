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

proptest! {
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
    fn the_matchers_agree_with_the_slow_reference(text in subjects()) {
        bodies::subjects(text.as_bytes());
    }

    #[test]
    fn the_configuration_takes_anything(text in prop_oneof![configurations(), ".{0,100}"]) {
        bodies::configuration(text.as_bytes());
    }
}
