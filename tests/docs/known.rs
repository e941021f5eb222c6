//! Everything that has a name, from where it is defined.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use notifier::{
    close::CloseReason,
    config,
    error::Code,
    metrics::{BUILD_INFO, Metrics, SERIES},
};
use regex::Regex;

#[derive(Debug, Default)]
pub struct Known {
    /// `limits.connections`, with its default as the reference shows it.
    pub keys: BTreeMap<String, String>,
    /// Series, and for each label its values.
    pub series: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    /// Error codes with their status, close reasons with their code.
    pub codes: BTreeMap<String, u16>,
    pub closes: BTreeMap<String, u16>,
    /// The flags of each verb: `admin disconnect`.
    pub verbs: BTreeMap<String, BTreeSet<String>>,
    /// What make knows.
    pub targets: BTreeSet<String>,
    /// Every word of the contract.
    pub contract: BTreeSet<String>,
    /// Every word of the code, for pages that speak of the code.
    pub words: BTreeSet<String>,
}

impl Known {
    /// From the source, and from the built node.
    pub fn gather() -> Self {
        let mut known = Self { keys: keys(&config::reference()), ..Self::default() };
        known.codes = Code::ALL.iter().map(|code| (code.label().into(), code.status())).collect();
        known.closes = CloseReason::ALL.iter().map(|reason| (reason.label().into(), reason.code())).collect();
        known.series = SERIES.iter().chain([&BUILD_INFO]).map(|one| (one.name.into(), BTreeMap::new())).collect();
        let exported = Metrics::new().expect("buckets are not empty").render();
        for found in expression(r#"(?m)^(\w+)\{(\w+)="([^"]*)""#).captures_iter(&exported) {
            let labels = known.series.entry(found[1].into()).or_default();
            labels.entry(found[2].into()).or_default().insert(found[3].into());
        }
        verbs("", &mut known.verbs);
        let makefile = fs::read_to_string("Makefile").expect("Makefile");
        known.targets = expression(r"(?m)^([a-z-]+):").captures_iter(&makefile).map(|found| found[1].into()).collect();
        known.contract =
            words(&fs::read_to_string("proto/notifier/v1/notifier.proto").expect("the contract")).collect();
        known
    }
}

/// The words of a text, `words_like_this` as one.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').map(ToOwned::to_owned)
}

/// The keys of the reference: rows below the heading of their section.
fn keys(reference: &str) -> BTreeMap<String, String> {
    let mut section = "";
    let mut keys = BTreeMap::new();
    for line in reference.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title.trim_matches(['[', ']']);
        } else if let Some((key, rest)) = line.strip_prefix("| `").and_then(|row| row.split_once("` | ")) {
            let default = rest.split(" | ").next().unwrap_or_default();
            keys.insert(format!("{section}.{key}"), default.to_owned());
        }
    }
    keys
}

/// Each verb with its flags, as the node itself tells them.
fn verbs(verb: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
    let asked = Command::new(env!("CARGO_BIN_EXE_notifier")).args(verb.split_whitespace()).arg("--help").output();
    let help = String::from_utf8(asked.expect("the node runs").stdout).expect("UTF-8");
    found.insert(
        verb.to_owned(),
        expression("--[a-z][a-z-]+").find_iter(&help).map(|flag| flag.as_str().to_owned()).collect(),
    );
    let (_, commands) = help.split_once("Commands:\n").unwrap_or_default();
    let commands = commands.lines().map_while(|line| line.strip_prefix("  ")?.split(' ').next());
    for name in commands.filter(|name| *name != "help") {
        verbs(format!("{verb} {name}").trim(), found);
    }
}

pub fn expression(text: &str) -> Regex {
    Regex::new(text).expect("an expression")
}
