//! Names that pages use, held against what there is. Free of I/O.

use std::{collections::BTreeSet, sync::LazyLock};

use notifier::config::{Size, Span};
use regex::Regex;

use crate::{
    known::{Known, expression},
    page::{Part, What},
};

/// Names of others: of NATS, OpenID Connect and CloudEvents.
const FOREIGN: &[&str] = &[
    "allow_atomic",
    "allow_direct",
    "allow_msg_schedules",
    "allow_responses",
    "data_base64",
    "deny_purge",
    "first_seq",
    "handshake_first",
    "jwks_uri",
    "max_file_store",
    "max_mem",
    "max_msg_size",
    "max_payload",
    "max_subscriptions",
    "multi_last",
    "no_ack",
    "subject_delete_marker_ttl",
    "subject_transform",
    "sync_interval",
    "verify_and_map",
];

/// Flags of other programs: cargo, Docker and nats.
const FOREIGN_FLAGS: &[&str] = &["--locked", "--max-bytes", "--stop-timeout"];

/// Variables that begin like settings and are none.
const FOREIGN_VARIABLES: &[&str] =
    &["NOTIFIER_COMMIT", "NOTIFIER_CACHE", "NOTIFIER_NATS_", "NOTIFIER_SERVICE_", "NOTIFIER_PORT"];

/// Labels that Prometheus adds to every series, and to the buckets of a histogram.
const OF_PROMETHEUS: [&str; 3] = ["instance", "job", "le"];

/// What looks like a close code: the bounds of ranges, and `limits.outbox_frames`.
const NO_CLOSES: &[u16] = &[4000, 4499, 4999, 4096];

static SERIES_NAME: LazyLock<Regex> =
    LazyLock::new(|| expression(r#"\b(notifier_[a-z0-9_]*[a-z0-9])(?:\{(\w+)(?:=~?"([^"]*)")?)?"#));
static SHORT_SERIES: LazyLock<Regex> = LazyLock::new(|| expression(r"^([a-z_]+)\{([a-z_]+)\}$"));
static VARIABLE: LazyLock<Regex> = LazyLock::new(|| expression(r"(?:^|[^$A-Z_])(NOTIFIER_[A-Z0-9_]+)"));
static DOTTED: LazyLock<Regex> = LazyLock::new(|| expression(r"(?:^|[^\w./-])([a-z_]+(?:\.\w+)+)"));
static SNAKE: LazyLock<Regex> = LazyLock::new(|| expression(r"^[a-z][a-z0-9]*(?:_[a-z0-9]+)+$"));
static FLAG: LazyLock<Regex> = LazyLock::new(|| expression(r"--[a-z][a-z-]+"));
static CLOSE: LazyLock<Regex> = LazyLock::new(|| expression(r"\b4[059]\d\d\b"));
static MAKE: LazyLock<Regex> = LazyLock::new(|| expression(r"(?m)^(?:\$ )?(?:[A-Z_]+=\S+ )*make ([a-z][a-z-]*)"));
static COMMAND: LazyLock<Regex> = LazyLock::new(|| expression(r"(?m)^(?:\$ )?(?:\S+/)?notifier ([a-z]+)([^\n|;#]*)"));

impl Known {
    /// The verbs of which no page shows how to use them.
    pub fn not_shown<'p>(&self, pages: impl Iterator<Item = &'p Part>) -> Vec<String> {
        let shown: Vec<&str> = pages
            .filter_map(|part| match &part.what {
                What::Code(text) | What::Block { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect();
        let is_shown = |verb: &str| shown.iter().any(|text| text.contains(&format!("notifier {verb}")));
        self.verbs
            .keys()
            .filter(|verb| !is_shown(verb))
            .map(|verb| format!("no page shows `notifier {verb}`"))
            .collect()
    }

    /// What a page names and nobody knows.
    pub fn unknown(&self, parts: &[Part], of_code: bool) -> Vec<String> {
        let mut faults = Vec::new();
        for part in parts {
            let mut wrong = match &part.what {
                What::Code(code) => self.in_text(code).into_iter().chain(self.in_words(code, of_code)).collect(),
                What::Block { text, .. } | What::Comment(text) => self.in_text(text),
                What::Prose(text) => self.in_prose(text),
                What::Row { header, cells } => self.in_row(header, cells),
                What::Heading(_) | What::Link(_) => Vec::new(),
            };
            faults.extend(wrong.drain(..).map(|name| format!("line {}: {name}", part.line)));
        }
        faults
    }

    /// What can be told by its form, wherever it stands.
    pub fn in_text(&self, text: &str) -> Vec<String> {
        let mut faults = Vec::new();
        for found in SERIES_NAME.captures_iter(text) {
            faults.extend(self.series(&found[1], found.get(2).map(|m| m.as_str()), found.get(3).map(|m| m.as_str())));
        }
        for found in VARIABLE.captures_iter(text) {
            let name = &found[1];
            let key = name["NOTIFIER_".len()..].to_lowercase().replace("__", ".");
            if !self.keys.contains_key(&key) && !FOREIGN_VARIABLES.iter().any(|other| name.starts_with(other)) {
                faults.push(format!("`{name}` is no setting"));
            }
        }
        let sections: BTreeSet<&str> = self.keys.keys().filter_map(|key| key.split('.').next()).collect();
        for found in DOTTED.captures_iter(text) {
            let name = &found[1];
            let ours = name.split('.').next().is_some_and(|section| sections.contains(section));
            let file = [".rs", ".toml"].iter().any(|end| name.ends_with(end));
            let fields = name.bytes().any(|byte| byte.is_ascii_uppercase());
            if ours && !file && !fields && !self.is_setting(name) {
                faults.push(format!("`{name}` is no setting"));
            }
        }
        for found in MAKE.captures_iter(text) {
            if !self.targets.contains(&found[1]) {
                faults.push(format!("`make {}` is not there", &found[1]));
            }
        }
        for found in COMMAND.captures_iter(text) {
            faults.extend(self.command(&found[1], &found[2]));
        }
        faults
    }

    /// A key, a section, or several keys that begin so.
    fn is_setting(&self, name: &str) -> bool {
        let below = [format!("{name}."), format!("{name}_")];
        self.keys.contains_key(name) || self.keys.keys().any(|key| below.iter().any(|below| key.starts_with(below)))
    }

    fn series(&self, name: &str, label: Option<&str>, values: Option<&str>) -> Option<String> {
        let plain = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end));
        let Some(labels) = self.series.get(name).or_else(|| self.series.get(plain?)) else {
            return Some(format!("`{name}` is no metric"));
        };
        let label = label.filter(|label| !OF_PROMETHEUS.contains(label))?;
        let Some(known) = labels.get(label) else { return Some(format!("`{name}` has no label `{label}`")) };
        let wrong = values?.split('|').find(|value| !known.contains(*value))?;
        Some(format!("`{name}` has no {label} `{wrong}`"))
    }

    fn command(&self, first: &str, rest: &str) -> Option<String> {
        let verb = format!("{first} {}", rest.split_whitespace().next().unwrap_or_default());
        let verb = if self.verbs.contains_key(&verb) { &verb } else { first };
        let Some(flags) = self.verbs.get(verb) else { return Some(format!("`notifier {first}` is not there")) };
        let wrong = FLAG.find_iter(rest).find(|flag| !flags.contains(flag.as_str()))?;
        Some(format!("`notifier {verb}` has no flag `{}`", wrong.as_str()))
    }

    /// What only says by its backticks that it is a name.
    fn in_words(&self, code: &str, of_code: bool) -> Option<String> {
        if let Some(found) = SHORT_SERIES.captures(code) {
            let value = found[2].to_owned();
            let name = format!("notifier_{}_total", &found[1]);
            let has = self.series.get(&name).is_some_and(|labels| labels.values().any(|known| known.contains(&value)));
            return (!has).then(|| format!("`{code}` is no metric"));
        }
        let first = code.split([' ', '=']).next().unwrap_or_default();
        if FLAG.find(first).is_some_and(|flag| flag.as_str() == first) {
            let known = self.verbs.values().any(|flags| flags.contains(first)) || FOREIGN_FLAGS.contains(&first);
            let known = known || of_code && self.words.contains(&first[2..].replace('-', "_"));
            return (!known).then(|| format!("`{first}` is no flag of any verb"));
        }
        if !SNAKE.is_match(first)
            || first.starts_with("notifier_")
            || self.is_name(first)
            || of_code && self.words.contains(first)
        {
            return None;
        }
        Some(format!("`{first}` is no setting, code, reason or label"))
    }

    fn is_name(&self, word: &str) -> bool {
        let labels = || self.series.values().flatten();
        FOREIGN.contains(&word)
            || self.contract.contains(word)
            || self.codes.contains_key(word)
            || self.closes.contains_key(word)
            || self.keys.keys().any(|key| key.split('.').any(|part| part == word))
            || labels().any(|(label, values)| label == word || values.contains(word))
            || self.series.contains_key(&format!("notifier_{word}_total"))
    }

    /// Close codes, which nothing else looks like.
    fn in_prose(&self, text: &str) -> Vec<String> {
        let known = |code: u16| self.closes.values().any(|close| *close == code) || NO_CLOSES.contains(&code);
        let codes = CLOSE.find_iter(text).filter_map(|found| found.as_str().parse().ok());
        codes.filter(|code| !known(*code)).map(|code: u16| format!("{code} is no close code")).collect()
    }

    /// Tables of what is answered, and of settings: the code has that status, the setting that default.
    fn in_row(&self, header: &[String], cells: &[String]) -> Vec<String> {
        let cell = |name: &str| header.iter().position(|title| title == name).and_then(|place| cells.get(place));
        if let (Some(setting), Some(default)) = (cell("setting"), cell("default")) {
            return self.defaults(setting, default);
        }
        let (Some(status), Some(code)) = (cell("status"), cell("code")) else { return Vec::new() };
        match self.codes.get(code) {
            None if code.is_empty() => Vec::new(),
            None => vec![format!("`{code}` is no error code")],
            Some(known) if known.to_string() != *status => vec![format!("`{code}` has status {known}, not {status}")],
            Some(_) => Vec::new(),
        }
    }

    /// One setting and its default, or several of both, where `_burst` is of the rate before it.
    fn defaults(&self, settings: &str, defaults: &str) -> Vec<String> {
        let mut before = "";
        let mut faults = Vec::new();
        for (setting, shown) in settings.split(", ").zip(defaults.split(", ")) {
            let burst = before.replace("_per_second", setting);
            let key = if setting == "_burst" { &burst } else { setting };
            before = setting;
            if let Some(default) = self.keys.get(key)
                && amount(default) != amount(shown)
            {
                faults.push(format!("`{key}` has the default {default}, not {shown}"));
            }
        }
        faults
    }
}

/// A default as a number, however it is written: bytes, milliseconds or pieces.
fn amount(text: &str) -> String {
    let text = text.split(':').next().unwrap_or_default();
    let text: String = text.chars().filter(|c| !matches!(c, ' ' | '"' | '`' | ',')).collect();
    let span = text.parse::<Span>().map(|span| span.duration().as_millis().to_string());
    let size = || text.parse::<Size>().map(|size| size.bytes().to_string());
    span.or_else(|_| size()).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::parts;

    #[test]
    fn a_name_that_nobody_knows_is_a_fault() {
        let known = Known::gather();
        let rows = [
            ("`limits.conections`", "`limits.conections` is no setting"),
            ("`NOTIFIER_LIMITS__CONECTIONS`", "is no setting"),
            ("`notifier_conections`", "is no metric"),
            ("`notifier_errors_total{coed=\"timeout\"}`", "no label `coed`"),
            ("`notifier_errors_total{code=~\"timeout|tiemout\"}`", "no code `tiemout`"),
            ("`notifier_conections{job=\"notifier\"}`", "is no metric"),
            ("`errors{tiemout}`", "is no metric"),
            ("`slow_consumre`", "is no setting, code"),
            ("closed with 4099", "4099 is no close code"),
            ("`notifier sub a --tokne x`", "no flag `--tokne`"),
            ("`notifier admin disconnect --json`", "no flag `--json`"),
            ("`--tokne-file`", "is no flag"),
            ("`notifier subb a`", "`notifier subb` is not there"),
            ("`make demmo`", "is not there"),
            ("```yaml\nexpr: notifier_conections > 1\n```", "is no metric"),
            ("| status | code |\n|---|---|\n| 400 | `forbidden` |", "has status 403"),
            ("| status | code |\n|---|---|\n| 400 | `forbiden` |", "is no error code"),
            ("| setting | default |\n|---|---|\n| `drain.window` | 31 s |", "has the default `\"30s\"`, not 31 s"),
        ];
        for (page, part) in rows {
            let faults = known.unknown(&parts(page), false);
            assert!(faults.len() == 1 && faults[0].contains(part), "{page}: {faults:?}");
        }
        let page = "`limits.connections`, `[limits]`, `limits.*`, `NOTIFIER_LIMITS__CONNECTIONS`, `errors{timeout}`, \
                    `notifier_connections{instance=\"a\"}`, `notifier_request_seconds_bucket{le=\"1\"}`, \
                    `notifier_request_seconds_bucket`, `bad_frame` and 4500, `notifier admin disconnect --user u42`, \
                    `--token-file`, `make demo`, `notifier_.._total`";
        assert_eq!(known.unknown(&parts(page), false), Vec::<String>::new());
    }
}
