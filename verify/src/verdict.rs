//! The verdict: findings by kind, with the first cases of each kind.

use std::{collections::BTreeMap, fmt};

/// An event that was owed did not come, or came after a later one of its subject.
pub const LOST: &str = "lost";

/// An event came twice.
pub const DUPLICATED: &str = "duplicated";

/// An event came after a later one of its stream.
pub const OUT_OF_ORDER: &str = "out of order";

/// An event came that is not stored so, was not asked for, or lies before the start.
pub const FOREIGN: &str = "foreign";

/// An event was acknowledged, and the stream does not hold it: the broker's fault.
pub const NOT_STORED: &str = "acknowledged, not stored";

/// A resume was answered without `recovered`.
pub const NOT_RECOVERED: &str = "resumed, not recovered";

/// A position has another epoch than the one before.
pub const OTHER_EPOCH: &str = "the stream is another one";

/// The node reported a gap.
pub const GAP: &str = "gap";

/// Cases of a kind that are kept: more say nothing new.
const CASES: usize = 20;

/// The findings about any number of subscriptions. None: all is as it must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict(BTreeMap<&'static str, Finding>);

/// The findings of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// How often this was found.
    pub count: u64,
    /// The first times, at most 20.
    pub cases: Vec<String>,
}

impl Verdict {
    /// Adds one finding.
    pub fn find(&mut self, kind: &'static str, case: impl FnOnce() -> String) {
        self.find_many(kind, 1, case);
    }

    /// Adds `count` findings that one case tells; nothing when it is 0.
    pub fn find_many(&mut self, kind: &'static str, count: u64, case: impl FnOnce() -> String) {
        if count > 0 {
            let finding = self.0.entry(kind).or_default();
            finding.count += count;
            if finding.cases.len() < CASES {
                finding.cases.push(case());
            }
        }
    }

    /// Adds all findings of another verdict, with a name in front of each case.
    pub fn merge(&mut self, name: &str, other: &Self) {
        for (kind, found) in &other.0 {
            let finding = self.0.entry(kind).or_default();
            finding.count += found.count;
            let room = CASES.saturating_sub(finding.cases.len());
            finding.cases.extend(found.cases.iter().take(room).map(|case| format!("{name}: {case}")));
        }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.0.is_empty()
    }

    /// How often something of this kind was found.
    #[must_use]
    pub fn count(&self, kind: &str) -> u64 {
        self.0.get(kind).map_or(0, |finding| finding.count)
    }

    /// All findings by kind.
    #[must_use]
    pub fn findings(&self) -> &BTreeMap<&'static str, Finding> {
        &self.0
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_sound() {
            return writeln!(f, "nothing is wrong");
        }
        for (kind, Finding { count, cases }) in &self.0 {
            writeln!(f, "{kind}: {count}")?;
            cases.iter().try_for_each(|case| writeln!(f, "  {case}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_findings_are_counted_and_the_first_are_told() {
        let (mut verdict, mut one) = (Verdict::default(), Verdict::default());
        for seq in 1..=21 {
            one.find(LOST, || seq.to_string());
        }
        one.find_many(GAP, 0, || "none".into());
        verdict.merge("c0", &one);
        verdict.merge("c1", &one);
        assert_eq!(verdict.count(LOST), 42);
        let cases = &verdict.findings()[LOST].cases;
        assert_eq!((cases.len(), &*cases[0], &*cases[19]), (20, "c0: 1", "c0: 20"));
        assert_eq!(verdict.findings().len(), 1);
        assert!(verdict.to_string().starts_with("lost: 42\n  c0: 1\n"), "{verdict}");
        assert!(!verdict.is_sound() && Verdict::default().is_sound());
    }
}
