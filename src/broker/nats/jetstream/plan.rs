//! The plan for a stream: its differences from the configuration, and the
//! changes that mend them. No change loses events or takes away what others
//! rely on. Free of I/O.

use std::{fmt::Display, time::Duration};

use crate::{
    broker::{
        nats::jetstream::{
            settings::{Republish, Settings},
            transform,
            wanted::Wanted,
        },
        stream_error::{APPLY, Difference},
    },
    config::{Size, Span},
    subject::Pattern,
};

/// The next step, and remarks for operators.
#[derive(Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) step: PlanStep,
    pub(crate) notes: Vec<String>,
}

/// The step that a stream needs.
#[derive(Debug, PartialEq)]
pub(crate) enum PlanStep {
    /// Nothing.
    Fits,
    /// It can become what it has to be.
    Update { settings: Box<Settings>, changes: Vec<Difference> },
    /// Somebody has to decide: nothing of this, or not all, can be changed safely.
    Impossible(Vec<Difference>),
}

/// Compares a stream with what it has to be.
pub(crate) fn plan(wanted: &Wanted, found: &Settings) -> Plan {
    let Wanted { settings: wanted, manage } = wanted;
    let mut settings = found.clone();
    let (mut problems, mut changes, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    essentials(wanted, &mut settings, &mut changes, &mut problems);
    for limit in limits(&mut settings, wanted) {
        limit.compare(&mut changes, &mut notes);
    }
    notes.extend(markers(wanted, &mut settings, *manage, &mut changes));
    notes.extend(message_size(wanted, found));
    notes.extend(transform::notes(found.others.get("sources"), &parsed(&wanted.subjects)));
    if *manage {
        changes.iter_mut().for_each(|change| change.remedy = format!("a node sets it when it starts, or {APPLY}"));
    }
    Plan { step: step(settings, changes, problems), notes }
}

/// Compares a stream with what a node needs of it while it runs. How much it
/// keeps is for its operator to say, who may lower that for a while.
pub(crate) fn drift(wanted: &Wanted, found: &Settings) -> Plan {
    let Wanted { settings: wanted, manage } = wanted;
    let mut settings = found.clone();
    let (mut problems, mut changes) = (Vec::new(), Vec::new());
    essentials(wanted, &mut settings, &mut changes, &mut problems);
    if *manage {
        changes.iter_mut().for_each(|change| "this node sets it".clone_into(&mut change.remedy));
    }
    let notes = transform::notes(found.others.get("sources"), &parsed(&wanted.subjects));
    Plan { step: step(settings, changes, problems), notes }
}

/// The settings that decide whether events reach the node at once, can be read
/// and are stored.
fn essentials(
    wanted: &Settings,
    settings: &mut Settings,
    changes: &mut Vec<Difference>,
    problems: &mut Vec<Difference>,
) {
    nature(wanted, settings, problems);
    problems.extend(transformed(wanted, settings));
    if let Some(difference) = subjects(wanted, settings) {
        sort(difference, changes, problems);
    }
    if let Some(difference) = republish(wanted, settings) {
        sort(difference, changes, problems);
    }
    if !settings.allow_direct {
        changes.push(change("allow_direct", "false", "true"));
        settings.allow_direct = true;
    }
}

fn step(settings: Settings, mut changes: Vec<Difference>, mut problems: Vec<Difference>) -> PlanStep {
    if !problems.is_empty() {
        problems.append(&mut changes);
        PlanStep::Impossible(problems)
    } else if changes.is_empty() {
        PlanStep::Fits
    } else {
        PlanStep::Update { settings: Box::new(settings), changes }
    }
}

/// A difference that may be resolved, or one that may not.
type Found = Result<Difference, Difference>;

fn sort(found: Found, changes: &mut Vec<Difference>, problems: &mut Vec<Difference>) {
    match found {
        Ok(change) => changes.push(change),
        Err(problem) => problems.push(problem),
    }
}

/// The settings that a stream has for its lifetime.
fn nature(wanted: &Settings, found: &Settings, problems: &mut Vec<Difference>) {
    let another = "use another stream, or recreate this one";
    if found.mirror.is_some() {
        problems.push(difference("mirror", "set", "not set", another));
    }
    if found.sealed {
        problems.push(difference("sealed", "true", "false", another));
    }
    if found.retention != wanted.retention {
        problems.push(difference("retention", &found.retention, &wanted.retention, another));
    }
    if found.no_ack {
        let remedy = "publishers would not learn what is stored: change it by hand";
        problems.push(difference("no_ack", "true", "false", remedy));
    }
    if found.storage != wanted.storage {
        let remedy = format!("set `storage = \"{}\"` for this stream, or recreate it", found.storage);
        problems.push(difference("storage", &found.storage, &wanted.storage, remedy));
    }
}

/// Events that are stored where nobody is subscribed would be acknowledged and
/// reach nobody.
fn transformed(wanted: &Settings, found: &Settings) -> Option<Difference> {
    let transform = found.subject_transform.as_ref()?;
    let remedy = "events published there are stored under subjects that the configuration does not name, and reach \
                  nobody: take the transform away by hand, name what it stores in `subjects`, or use another stream";
    transform
        .takes_away(&parsed(&wanted.subjects))
        .then(|| difference("subject_transform", transform.shown(), "not set", remedy))
}

fn parsed(texts: &[String]) -> Vec<Pattern> {
    texts.iter().filter_map(|text| Pattern::parse(text).ok()).collect()
}

fn subjects(wanted: &Settings, settings: &mut Settings) -> Option<Found> {
    let existing = parsed(&settings.subjects);
    let missing: Vec<Pattern> =
        parsed(&wanted.subjects).into_iter().filter(|new| !existing.iter().any(|old| old.covers(new))).collect();
    if missing.is_empty() {
        return None;
    }
    let (is, must) = (settings.subjects.join(", "), wanted.subjects.join(", "));
    // A stream's own subjects may not overlap: what a new one covers gives way to
    // it, and nothing is lost; what it covers only in part cannot.
    let part = missing.iter().flat_map(|new| existing.iter().map(move |old| (new, old)));
    if let Some((new, old)) = part.into_iter().find(|(new, old)| new.overlaps(old) && !new.covers(old)) {
        let remedy = format!("`{new}` overlaps `{old}` only in part: change one of them by hand");
        return Some(Err(difference("subjects", is, must, remedy)));
    }
    let gives_way = |text: &String| Pattern::parse(text).is_ok_and(|old| missing.iter().any(|new| new.covers(&old)));
    settings.subjects.retain(|text| !gives_way(text));
    settings.subjects.extend(missing.iter().map(|new| new.as_str().to_owned()));
    Some(Ok(change("subjects", is, must)))
}

fn republish(wanted: &Settings, settings: &mut Settings) -> Option<Found> {
    let shown = |republish: &Republish| {
        let only = if republish.headers_only { ", headers only" } else { "" };
        format!("`{}` to `{}`{only}", republish.source, republish.destination)
    };
    let wanted = wanted.republish.as_ref()?;
    let Some(found) = &settings.republish else {
        settings.republish = Some(wanted.clone());
        return Some(Ok(change("republish", "not set", shown(wanted))));
    };
    // An empty source is all of it too.
    let whole = matches!(found.source.as_str(), ">" | "") && !found.headers_only;
    if whole && found.destination == wanted.destination {
        return None;
    }
    let remedy = match found.destination.strip_suffix(".>") {
        Some(prefix) if whole => {
            format!("set `republish_prefix = \"{prefix}\"` for this stream, or take republish away from it by hand")
        }
        _ => "somebody else may rely on it: take it away by hand, or use another stream".into(),
    };
    Some(Err(difference("republish", shown(found), shown(wanted), remedy)))
}

/// One limit: a value below 1 sets none.
struct Limit<'s> {
    setting: &'static str,
    found: &'s mut i64,
    wanted: i64,
    shown: fn(i64) -> String,
}

fn limits<'s>(found: &'s mut Settings, wanted: &Settings) -> [Limit<'s>; 6] {
    let span = |nanoseconds: i64| Span::from(Duration::from_nanos(nanoseconds.unsigned_abs())).to_string();
    let size = |bytes: i64| Size::from(bytes.unsigned_abs()).to_string();
    let number = |number: i64| number.to_string();
    [
        Limit { setting: "max_age", found: &mut found.max_age, wanted: wanted.max_age, shown: span },
        Limit { setting: "max_bytes", found: &mut found.max_bytes, wanted: wanted.max_bytes, shown: size },
        Limit { setting: "max_msgs", found: &mut found.max_messages, wanted: wanted.max_messages, shown: number },
        Limit {
            setting: "max_msgs_per_subject",
            found: &mut found.max_messages_per_subject,
            wanted: wanted.max_messages_per_subject,
            shown: number,
        },
        Limit { setting: "num_replicas", found: &mut found.replicas, wanted: wanted.replicas, shown: number },
        Limit {
            setting: DUPLICATE_WINDOW,
            found: &mut found.duplicate_window,
            wanted: wanted.duplicate_window,
            shown: span,
        },
    ]
}

/// How long JetStream knows an identifier again; 0 switches that off.
const DUPLICATE_WINDOW: &str = "duplicate_window";

impl Limit<'_> {
    /// Raises what is too low, and leaves what is higher: others may rely on it.
    fn compare(self, changes: &mut Vec<Difference>, notes: &mut Vec<String>) {
        let Self { setting, found, wanted, shown } = self;
        // The one of which nothing means nothing.
        let counts = setting != DUPLICATE_WINDOW;
        let words = |limit: i64| if counts && limit < 1 { "unlimited".into() } else { shown(limit.max(0)) };
        let height = |limit: i64| if counts && limit < 1 { i64::MAX } else { limit };
        if height(*found) < height(wanted) {
            changes.push(change(setting, words(*found), words(wanted)));
            *found = wanted;
        } else if height(*found) > height(wanted) {
            notes.push(format!(
                "{setting} is {}, more than the {} asked for; it is left so",
                words(*found),
                words(wanted)
            ));
        }
    }
}

/// Without markers nobody is told at once that a value has expired. Streams that the node may not change are served
/// all the same, and so are those that let nothing take the place of older events.
fn markers(wanted: &Settings, settings: &mut Settings, manage: bool, changes: &mut Vec<Difference>) -> Option<String> {
    if settings.marker_ttl >= wanted.marker_ttl {
        return None;
    }
    let span = |nanoseconds: i64| Span::from(Duration::from_nanos(nanoseconds.unsigned_abs())).to_string();
    let found = if settings.marker_ttl < 1 { "not set".to_owned() } else { span(settings.marker_ttl) };
    if manage && !settings.deny_purge {
        changes.push(change(MARKER_TTL, found, span(wanted.marker_ttl)));
        settings.marker_ttl = wanted.marker_ttl;
        return None;
    }
    let must = span(wanted.marker_ttl);
    Some(format!("{MARKER_TTL} is {found}; with {must} clients would be told at once that a value has expired"))
}

/// How long the end of a subject's last event is marked.
const MARKER_TTL: &str = "subject_delete_marker_ttl";

/// The publishers decide how large events are, so a larger limit is only worth
/// a remark.
fn message_size(wanted: &Settings, found: &Settings) -> Option<String> {
    let size = |bytes: i64| Size::from(bytes.unsigned_abs());
    let relayed = size(wanted.max_message_size);
    match found.max_message_size {
        ..1 => Some(format!("max_msg_size is unlimited; events above {relayed} are stored and never relayed")),
        bytes if bytes > wanted.max_message_size => {
            Some(format!("max_msg_size is {}; events above {relayed} are stored and never relayed", size(bytes)))
        }
        _ => None,
    }
}

fn change(setting: &'static str, found: impl Display, wanted: impl Display) -> Difference {
    difference(setting, found, wanted, APPLY)
}

fn difference(
    setting: &'static str,
    found: impl Display,
    wanted: impl Display,
    remedy: impl Into<String>,
) -> Difference {
    Difference { setting, found: found.to_string(), wanted: wanted.to_string(), remedy: remedy.into() }
}

#[cfg(test)]
mod tests;
