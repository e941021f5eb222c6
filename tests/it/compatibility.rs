//! A client of before: a session that was recorded with an earlier version of the node
//! has the same answers today. Frames and fields may be more, and only those that are
//! listed here.

use std::collections::BTreeMap;

use notifier::codec::Encoding;
use serde_json::Value;

use super::world::{Kind, Peer, Shop};

/// The session: of each step the lines that the client sent together, and all that
/// it got before it sent more. `EPOCH_SHOP` stands for the epoch that it was told.
const RECORDED: &str = include_str!("compatibility/session.json");

/// Fields whose value is another one each time, or text for people.
const VARIABLE: [&str; 7] = ["connection", "node", "serverTime", "time", "epoch", "version", "message"];

/// Fields that were added since, by the field that they are in; none for the frame.
const ADDED: [(&str, &str); 7] = [
    ("replay", "replyTo"),
    ("gap", "replyTo"),
    ("replay", "epoch"),
    ("gap", "epoch"),
    ("gaps", "epoch"),
    ("positions", "delivery"),
    ("limits", "connectBytes"),
];

/// Whether a frame says all that was recorded, and beside it only what was added.
fn fits(recorded: &Value, now: &Value, inside: &str) -> bool {
    match (recorded, now) {
        (Value::Object(recorded), Value::Object(now)) => {
            let added = |key: &String| {
                ADDED.iter().any(|(place, name)| {
                    name == key && (*place == inside || inside.is_empty() && now.contains_key(*place))
                })
            };
            let same = |(key, value): (&String, &Value)| {
                now.get(key).is_some_and(|now| match VARIABLE.contains(&key.as_str()) {
                    true => now.is_string() == value.is_string() && now.is_number() == value.is_number(),
                    false => fits(value, now, key),
                })
            };
            recorded.iter().all(same) && now.keys().all(|key| recorded.contains_key(key) || added(key))
        }
        (Value::Array(recorded), Value::Array(now)) if inside == "features" => {
            recorded.iter().all(|feature| now.contains(feature))
        }
        (Value::Array(recorded), Value::Array(now)) => {
            recorded.len() == now.len() && recorded.iter().zip(now).all(|(recorded, now)| fits(recorded, now, inside))
        }
        (recorded, now) => recorded == now,
    }
}

/// The epochs that a frame tells.
fn epochs(frame: &Value) -> impl Iterator<Item = (String, String)> + '_ {
    let positions = frame["subscribed"]["positions"].as_array().into_iter().flatten();
    positions.filter_map(|at| Some((at["stream"].as_str()?.to_owned(), at["epoch"].as_str()?.to_owned())))
}

#[tokio::test]
async fn a_client_of_an_earlier_version_gets_the_answers_that_it_understands() {
    let steps: Vec<Value> = serde_json::from_str(RECORDED).expect("JSON");
    for encoding in Encoding::OFFERED {
        let shop = Shop::open(Kind::Nats).await;
        let mut client = Peer::open(shop.node.address, encoding).await;
        let mut known = BTreeMap::new();
        for step in &steps {
            let lines = step["send"].as_array().expect("lines").iter().map(|line| {
                let line = line.as_str().expect("text").to_owned();
                known.iter().fold(line, |line, (stream, epoch): (&String, &String)| {
                    line.replace(&format!("EPOCH_{stream}"), epoch)
                })
            });
            let lines: Vec<String> = lines.collect();
            if encoding == Encoding::Proto && lines.iter().any(|line| line.contains(r#""headers":{"n":2}"#)) {
                // In this encoding nobody can write a number there.
                continue;
            }
            client.send_lines(&lines).await;
            // Answers and events may overtake each other.
            let mut awaited: Vec<&Value> = step["receive"].as_array().expect("frames").iter().collect();
            while !awaited.is_empty() {
                let frame = client.next_of(&format!("{encoding:?}: after {lines:?}: {awaited:?}")).await;
                let place = awaited.iter().position(|recorded| fits(recorded, &frame, ""));
                let Some(place) = place else { panic!("{encoding:?}: after {lines:?}: {frame}, awaited {awaited:?}") };
                awaited.remove(place);
                known.extend(epochs(&frame));
            }
        }
    }
}

#[test]
fn only_what_was_added_may_be_there_beside_what_was_recorded() {
    let json = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    let rows = [
        (r#"{"gap":{"subject":"a"}}"#, r#"{"replyTo":7,"gap":{"subject":"a","epoch":"5"}}"#, true),
        (r#"{"gap":{"subject":"a"}}"#, r#"{"gap":{"subject":"b"}}"#, false),
        (r#"{"gap":{"subject":"a"}}"#, r#"{"gap":{}}"#, false),
        (r#"{"gap":{"subject":"a"}}"#, r#"{"gap":{"subject":"a","more":true}}"#, false),
        (r#"{"event":{"time":1}}"#, r#"{"replyTo":7,"event":{"time":1}}"#, false),
        (r#"{"event":{"time":1}}"#, r#"{"event":{"time":2}}"#, true),
        (r#"{"event":{"time":1}}"#, r#"{"event":{"time":"2"}}"#, false),
        (r#"{"replyTo":1,"error":{}}"#, r#"{"error":{}}"#, false),
    ];
    for (recorded, now, expected) in rows {
        assert_eq!(fits(&json(recorded), &json(now), ""), expected, "{recorded} {now}");
    }
}
