//! Links between pages, and paths that they name.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
    sync::LazyLock,
};

use regex::Regex;

use crate::page::{Part, What};

/// The anchors of each page, by its path in the repository.
pub type Anchors = BTreeMap<PathBuf, BTreeSet<String>>;

static PATH: LazyLock<Regex> = LazyLock::new(|| {
    let folders = "bench|benches|demo|deploy|docs|fuzz|loadtest|proto|scripts|src|tests";
    Regex::new(&format!(r"^(?:{folders})/[\w./-]+$")).expect("an expression")
});

/// Made by those who follow the page.
const MADE: &[&str] = &["bench/results/DATE.json", "docs/decisions/NNNN-title.md"];

pub fn anchors(parts: &[Part]) -> BTreeSet<String> {
    let heading = |part: &Part| match &part.what {
        What::Heading(anchor) => Some(anchor.clone()),
        _ => None,
    };
    parts.iter().filter_map(heading).collect()
}

/// Links that lead nowhere, and files that are not there.
pub fn dead(page: &Path, parts: &[Part], pages: &Anchors, exists: impl Fn(&Path) -> bool) -> Vec<String> {
    let fault = |part: &Part| match &part.what {
        What::Link(link) => dead_link(page, link, pages, &exists).map(|why| format!("line {}: {why}", part.line)),
        What::Code(path) if PATH.is_match(path) && !MADE.contains(&path.as_str()) && !exists(Path::new(path)) => {
            Some(format!("line {}: `{path}` is not there", part.line))
        }
        _ => None,
    };
    parts.iter().filter_map(fault).collect()
}

fn dead_link(page: &Path, link: &str, pages: &Anchors, exists: &impl Fn(&Path) -> bool) -> Option<String> {
    if link.contains("://") {
        return None;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() { page.to_owned() } else { beside(page, path) };
    if !exists(&target) {
        return Some(format!("({link}) leads nowhere: there is no {}", target.display()));
    }
    let known = anchor.is_empty() || pages.get(&target).is_some_and(|anchors| anchors.contains(anchor));
    (!known).then(|| format!("({link}) leads nowhere: {} has no heading `{anchor}`", target.display()))
}

/// A path as a page writes it, from the root of the repository.
fn beside(page: &Path, path: &str) -> PathBuf {
    let mut target = page.parent().map(Path::to_owned).unwrap_or_default();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => drop(target.pop()),
            Component::Normal(name) => target.push(name),
            _ => {}
        }
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::parts;

    #[test]
    fn a_link_that_leads_nowhere_is_a_fault() {
        let page = "# A b\n[1](#a-b) [2](#a-c) [3](../README.md) [4](../REDME.md) [5](x.md#y) [6](x.md#z)\n\
                    [7](https://example.org/x#y) `src/lib.rs` `src/lbi.rs`\n";
        let parts = parts(page);
        let pages = Anchors::from([
            ("docs/a.md".into(), anchors(&parts)),
            ("docs/x.md".into(), BTreeSet::from(["y".to_owned()])),
        ]);
        let there = ["docs/a.md", "docs/x.md", "README.md", "src/lib.rs"];
        let exists = |path: &Path| there.iter().any(|there| Path::new(there) == path);
        let faults = dead(Path::new("docs/a.md"), &parts, &pages, exists);
        let expected = ["(#a-c)", "(../REDME.md)", "(x.md#z)", "`src/lbi.rs`"];
        assert_eq!(faults.len(), expected.len(), "{faults:?}");
        for (fault, part) in faults.iter().zip(expected) {
            assert!(fault.contains(part), "{fault}");
        }
    }
}
