//! Checks of streams and rules, each alone and all together. JetStream would
//! refuse some of this too, but at run time and without naming a key.

use std::time::Duration;

use crate::{
    config::{
        error::ConfigError,
        streams::{Delivery, Stream, SubjectRule},
    },
    subject::{Pattern, Subject},
};

/// Longest name of a stream, characters. JetStream makes a folder of it.
const NAME_LENGTH: usize = 128;

/// Shortest time that JetStream takes for ages and windows.
const LEAST_TIME: Duration = Duration::from_millis(100);

/// Most servers that JetStream stores an event on.
const REPLICAS: usize = 5;

/// A stream with its patterns read.
struct Parsed<'c> {
    stream: &'c Stream,
    subjects: Vec<Pattern>,
    /// The pattern under which the stream republishes.
    republished: Pattern,
}

/// Checks rules between fields, which no single field can check.
///
/// # Errors
/// Names the key and the remedy.
pub(crate) fn check(streams: &[Stream], rules: &[SubjectRule], tokens: usize) -> Result<(), ConfigError> {
    let parsed = streams.iter().map(|stream| parse(stream, tokens)).collect::<Result<Vec<_>, _>>()?;
    for (place, stream) in parsed.iter().enumerate() {
        for earlier in &parsed[..place] {
            apart(earlier, stream)?;
        }
        for other in &parsed {
            no_circle(stream, other)?;
        }
    }
    let mut earlier: Vec<Pattern> = Vec::new();
    let mut served: Vec<(&str, Delivery)> = Vec::new();
    for rule in rules {
        let key = format!("subjects[{}]", rule.pattern);
        let pattern = application_pattern(&rule.pattern, &key, tokens)?;
        if let Some(before) = earlier.iter().find(|before| before.covers(&pattern)) {
            return refuse(
                key,
                format!("never holds, because `{before}` before it takes all its subjects; move it up"),
            );
        }
        if let Some(stream) = parsed.iter().find(|stream| stream.republished.overlaps(&pattern)) {
            return refuse(key, format!("overlaps `{}`, where a stream republishes; narrow it", stream.republished));
        }
        if let Some(name) = stored_in(rule, &pattern, &parsed, &key)? {
            serves(name, rule.delivery, &mut served, &key)?;
        }
        earlier.push(pattern);
    }
    parsed.iter().try_for_each(|stream| latest_keeps_one(stream.stream, &served))
}

fn parse(stream: &Stream, tokens: usize) -> Result<Parsed<'_>, ConfigError> {
    let clean = |character: char| character.is_ascii_graphic() && !r".*>/\".contains(character);
    let name = &stream.name;
    if name.is_empty() || name.len() > NAME_LENGTH || !name.chars().all(clean) {
        return refuse(
            "streams.name".into(),
            format!(
                "`{name}` is no name of a stream; use 1 to {NAME_LENGTH} letters, digits, `-` or `_`, without dots, \
                 slashes, spaces and wildcards"
            ),
        );
    }
    let key = |field: &str| format!("streams[{name}].{field}");
    if stream.subjects.is_empty() {
        return refuse(key("subjects"), "is empty; say what it stores, as [\"shop.cart.>\"]".into());
    }
    let subjects = stream.subjects.iter().map(|text| application_pattern(text, &key("subjects"), tokens));
    let subjects = subjects.collect::<Result<Vec<_>, _>>()?;
    for (place, subject) in subjects.iter().enumerate() {
        if let Some(other) = subjects[..place].iter().find(|other| other.overlaps(subject)) {
            return refuse(key("subjects"), format!("`{other}` and `{subject}` overlap; keep one of them"));
        }
    }
    limits(stream)?;
    let prefix = stream.prefix();
    let republished = match Subject::parse(&prefix) {
        Err(problem) => {
            return refuse(key("republish_prefix"), format!("`{prefix}` {problem}; write it as ntf.{name}"));
        }
        Ok(subject) if subject.is_reserved() => {
            return refuse(key("republish_prefix"), format!("`{prefix}` is the system's; write it as ntf.{name}"));
        }
        Ok(subject) => Pattern::parse(&format!("{subject}.>")),
    };
    match republished {
        Ok(republished) => Ok(Parsed { stream, subjects, republished }),
        Err(problem) => refuse(key("republish_prefix"), format!("`{prefix}.>` {problem}; shorten it")),
    }
}

fn limits(stream: &Stream) -> Result<(), ConfigError> {
    let key = |field: &str| format!("streams[{}].{field}", stream.name);
    let zero = [
        ("max_messages", stream.max_messages == Some(0)),
        ("max_messages_per_subject", stream.max_messages_per_subject == Some(0)),
    ];
    if let Some((field, _)) = zero.iter().find(|(_, zero)| *zero) {
        return refuse(key(field), "is zero; leave it out for no limit".into());
    }
    if stream.max_age.is_some_and(|age| age.duration() < LEAST_TIME) {
        return refuse(key("max_age"), "is below 100ms, the least JetStream takes; leave it out for no limit".into());
    }
    if stream.duplicate_window.duration() < LEAST_TIME {
        return refuse(key("duplicate_window"), "is below 100ms, the least JetStream takes; raise it".into());
    }
    if !(1..=REPLICAS).contains(&stream.replicas) {
        return refuse(key("replicas"), format!("is {}; JetStream takes 1 to {REPLICAS}", stream.replicas));
    }
    if stream.window.bytes.bytes() == 0 {
        return refuse(key("window.bytes"), "is zero; a node needs some memory to hand on what comes in".into());
    }
    Ok(())
}

/// Checks that no two streams store or republish the same subjects.
fn apart(one: &Parsed<'_>, other: &Parsed<'_>) -> Result<(), ConfigError> {
    let (name, others) = (&one.stream.name, &other.stream.name);
    if name == others {
        return refuse(format!("streams[{name}].name"), "is there twice; rename or remove one".into());
    }
    let pairs = one.subjects.iter().flat_map(|mine| other.subjects.iter().map(move |theirs| (mine, theirs)));
    if let Some((mine, theirs)) = pairs.into_iter().find(|(mine, theirs)| mine.overlaps(theirs)) {
        return refuse(
            format!("streams[{others}].subjects"),
            format!("`{theirs}` overlaps `{mine}` of stream {name}; only one stream may store a subject"),
        );
    }
    if one.republished.overlaps(&other.republished) {
        return refuse(
            format!("streams[{others}].republish_prefix"),
            format!(
                "`{}` and `{}` of stream {name} contain one another; give each stream its own",
                other.stream.prefix(),
                one.stream.prefix()
            ),
        );
    }
    Ok(())
}

/// Checks that no stream stores republished events again, here or elsewhere.
fn no_circle(stored: &Parsed<'_>, republished: &Parsed<'_>) -> Result<(), ConfigError> {
    match stored.subjects.iter().find(|subject| subject.overlaps(&republished.republished)) {
        Some(subject) => refuse(
            format!("streams[{}].subjects", stored.stream.name),
            format!(
                "`{subject}` overlaps `{}`, where stream {} republishes, so events would go in circles; narrow it or \
                 set another republish_prefix",
                republished.republished, republished.stream.name
            ),
        ),
        None => Ok(()),
    }
}

/// Finds the stream of a rule, which has to store what the rule's guarantee needs.
fn stored_in<'c>(
    rule: &SubjectRule,
    pattern: &Pattern,
    streams: &[Parsed<'c>],
    key: &str,
) -> Result<Option<&'c str>, ConfigError> {
    let label = rule.delivery.label();
    let key = format!("{key}.stream");
    match (rule.delivery, &rule.stream) {
        (Delivery::Live, None) => Ok(None),
        (Delivery::Live, Some(name)) => {
            refuse(key, format!("is `{name}`, but nothing stores `live` events; remove it or change `delivery`"))
        }
        (_, None) => refuse(key, format!("is not set, but `{label}` needs a stream; name one of [[streams]]")),
        (_, Some(name)) => {
            let Some(stream) = streams.iter().find(|stream| stream.stream.name == *name) else {
                return refuse(key, format!("there is no [[streams]] with the name `{name}`; add it"));
            };
            if !stream.subjects.iter().any(|subject| subject.covers(pattern)) {
                let problem = format!(
                    "no single subject of stream {name} covers `{pattern}`; it stores {}",
                    stream.stream.subjects.join(", ")
                );
                return refuse(key, format!("{problem}: add it there, or narrow the pattern"));
            }
            Ok(Some(&stream.stream.name))
        }
    }
}

/// Checks that a stream serves one guarantee: its retention fits only one.
fn serves<'c>(
    name: &'c str,
    delivery: Delivery,
    served: &mut Vec<(&'c str, Delivery)>,
    key: &str,
) -> Result<(), ConfigError> {
    match served.iter().find(|(stream, _)| *stream == name) {
        None => served.push((name, delivery)),
        Some((_, other)) if *other == delivery => {}
        Some((_, other)) => {
            return refuse(
                format!("{key}.delivery"),
                format!(
                    "is `{}`, but stream {name} serves `{}` already; use another stream",
                    delivery.label(),
                    other.label()
                ),
            );
        }
    }
    Ok(())
}

fn latest_keeps_one(stream: &Stream, served: &[(&str, Delivery)]) -> Result<(), ConfigError> {
    let latest = served.contains(&(&stream.name, Delivery::Latest));
    match stream.max_messages_per_subject {
        Some(kept) if latest && kept != 1 => refuse(
            format!("streams[{}].max_messages_per_subject", stream.name),
            format!("is {kept}, but the stream serves `latest`; leave it out or set it to 1"),
        ),
        _ => Ok(()),
    }
}

/// A pattern of the application's own subjects.
fn application_pattern(text: &str, key: &str, tokens: usize) -> Result<Pattern, ConfigError> {
    match Pattern::parse_within(text, tokens) {
        Err(problem) => refuse(key.into(), format!("`{text}` {problem}")),
        Ok(pattern) if pattern.is_reserved() => {
            refuse(key.into(), format!("`{text}` is the messaging system's; name a subject of your own"))
        }
        Ok(pattern) => Ok(pattern),
    }
}

fn refuse<T>(key: String, problem: String) -> Result<T, ConfigError> {
    Err(ConfigError::Invalid { key, problem })
}

#[cfg(test)]
mod tests;
