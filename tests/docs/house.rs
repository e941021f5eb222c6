//! What stands in several places is the same in all of them: the version of
//! Rust, and the words that CI runs. And the check of commits' subjects refuses
//! what it should.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    process::{Command, Stdio},
};

use crate::known::expression;

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All that an expression's group matches in a file; something has to.
fn found(path: &str, pattern: &str) -> BTreeSet<String> {
    let text = read(path);
    let found: BTreeSet<String> = expression(pattern).captures_iter(&text).map(|found| found[1].to_owned()).collect();
    assert!(!found.is_empty(), "{path} has nothing like {pattern}");
    found
}

fn words(text: &str) -> BTreeSet<String> {
    text.split_whitespace().map(ToOwned::to_owned).collect()
}

#[test]
fn the_version_of_rust_is_the_same_everywhere() {
    let whole = found("rust-toolchain.toml", r#"(?m)^channel = "(\d+\.\d+\.\d+)"$"#);
    let whole = whole.first().expect("a version");
    let (minor, _) = whole.rsplit_once('.').expect("three numbers");
    for (path, pattern) in [
        ("Cargo.toml", r#"(?m)^rust-version = "(.*)"$"#),
        ("bench/Cargo.toml", r#"(?m)^rust-version = "(.*)"$"#),
        ("verify/Cargo.toml", r#"(?m)^rust-version = "(.*)"$"#),
        ("deploy/Dockerfile", r"(?m)^FROM rust:([0-9.]+)-"),
        ("README.md", r"Rust (\d[0-9.]*\d)"),
        ("CONTRIBUTING.md", r"Rust (\d[0-9.]*\d)"),
        ("docs/compatibility.md", r"Rust (\d[0-9.]*\d)"),
    ] {
        assert_eq!(found(path, pattern), BTreeSet::from([minor.to_owned()]), "{path} against rust-toolchain.toml");
    }
}

#[test]
fn ci_runs_the_words_of_the_makefile() {
    let ci = read(".github/workflows/ci.yml");
    let (change, night) = ci.split_once("\n  night:\n").expect("two jobs");
    let of_change: BTreeSet<String> =
        expression(r"(?m)^          - ([a-z -]+)$").captures_iter(change).flat_map(|row| words(&row[1])).collect();
    let check = found("Makefile", r"(?m)^CHECK := (.*)$");
    let mut of_check = words(check.first().expect("a list"));
    of_check.insert("deny".to_owned());
    assert_eq!(of_change, of_check, "a change runs `make check` and `make deny`");

    let of_night = expression(r"(?m)^        words: \[(.*)\]$").captures(night).expect("a list")[1].replace(',', " ");
    let list = found("Makefile", r"(?m)^NIGHT := (.*)$");
    assert_eq!(words(&of_night), words(list.first().expect("a list")), "the night runs `make night`");
}

/// Whether `scripts/check-commits.sh` takes a subject.
fn is_taken(subject: &str) -> bool {
    let mut check = Command::new("scripts/check-commits.sh")
        .arg("--stdin")
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the script runs");
    writeln!(check.stdin.take().expect("a pipe"), "{subject}").expect("it reads");
    check.wait().expect("it ends").success()
}

#[test]
fn a_commit_is_named_by_its_area_and_an_imperative() {
    for subject in [
        "outbox: drop what waits for a slow consumer",
        "tests, docs: name the codes",
        "broker: pass a ping on",
        "tls: bring keys up to date",
        "client: feed the parser",
        "release: cut version 1.0.0",
    ] {
        assert!(is_taken(subject), "{subject}");
    }
    for subject in [
        "drop what waits",
        "Outbox: drop what waits",
        "outbox: Drop what waits",
        "outbox: drops what waits",
        "outbox: dropped what waits",
        "outbox: dropping what waits",
        "outbox: what waits is dropped",
        "outbox: a queue",
        "outbox: drop what waits.",
        "outbox:drop what waits",
        &format!("outbox: drop {}", "x".repeat(120)),
    ] {
        assert!(!is_taken(subject), "{subject}");
    }
}
