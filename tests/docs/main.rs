//! The documentation holds: what it shows runs, what it names is there.
//!
//! `CONTRIBUTING.md` says how to write a block that runs.

#![allow(unreachable_pub)] // a test binary has no outside

mod block;
mod expectation;
mod house;
mod known;
mod links;
mod names;
mod page;
#[path = "../it/world/port.rs"]
mod port;
mod shell;
mod snippet;
mod transcript;

use std::{
    fs,
    path::{Path, PathBuf},
};

use tokio::task::JoinSet;

use block::{Blocks, Step, blocks};
use known::Known;
use links::Anchors;
use page::{Part, parts};
use shell::{Shell, tool};

/// Where pages are.
const PAGES: [&str; 8] = [".", "bench", "deploy", "docs", "docs/decisions", "docs/lab", "docs/operations", "loadtest"];

/// Pages that speak of the code: what they name may stand anywhere in it.
const OF_CODE: [&str; 8] = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "bench",
    "docs/architecture.md",
    "docs/decisions",
    "docs/failures.md",
    "docs/performance.md",
    "docs/reliability.md",
];

/// Dated notes: they speak of the code of their day.
const OF_THE_PAST: &str = "docs/lab";

#[tokio::test(flavor = "multi_thread")]
async fn what_the_pages_show_runs() {
    // Before anything has a time to end in: this may have to install them.
    tool("peers.sh");
    let mut running = JoinSet::new();
    for (path, parts) in pages() {
        for steps in blocks(&parts).sessions {
            let path = path.clone();
            running.spawn(async move { run(steps).await.map_err(|why| format!("{}: {why}", path.display())) });
        }
    }
    let faults = running.join_all().await.into_iter().filter_map(Result::err);
    none(faults);
}

async fn run(steps: Vec<Step>) -> Result<(), String> {
    let mut shell = Shell::begin().await?;
    for step in &steps {
        shell.step(step).await?;
    }
    shell.end().await;
    Ok(())
}

#[test]
fn every_block_runs_or_is_checked_or_says_why_not() {
    none(pages().iter().flat_map(|(path, parts)| {
        let Blocks { checked, faults, .. } = blocks(parts);
        let page = path.display().to_string();
        let faults = faults.into_iter().chain(checked.iter().filter_map(|block| snippet::fault(block, &page)));
        faults.map(|fault| format!("{page}: {fault}")).collect::<Vec<_>>()
    }));
}

#[test]
fn everything_that_is_named_is_there() {
    let mut known = Known::gather();
    let code = ["src", "tests", "benches", "bench/src", "scripts"].into_iter().flat_map(files);
    let texts = code.filter(|path| !path.starts_with("tests/docs")).filter_map(|path| fs::read_to_string(path).ok());
    known.words = texts.flat_map(|text| known::words(&text).collect::<Vec<_>>()).collect();
    let mut faults = Vec::new();
    let pages = pages();
    faults.extend(known.not_shown(pages.iter().flat_map(|(_, parts)| parts)));
    for (path, parts) in pages.into_iter().filter(|(path, _)| !path.starts_with(OF_THE_PAST)) {
        let of_code = OF_CODE.iter().any(|page| path.starts_with(page));
        faults.extend(known.unknown(&parts, of_code).into_iter().map(|why| format!("{}: {why}", path.display())));
    }
    for path in files("deploy").into_iter().filter(|path| path.extension().is_none_or(|kind| kind != "md")) {
        let text = fs::read_to_string(&path).expect("a text");
        faults.extend(known.in_text(&text).into_iter().map(|why| format!("{}: {why}", path.display())));
    }
    none(faults);
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let anchors: Anchors = pages.iter().map(|(path, parts)| (path.clone(), links::anchors(parts))).collect();
    none(pages.iter().flat_map(|(path, parts)| {
        let dead = links::dead(path, parts, &anchors, |target| target.exists() || target.as_os_str().is_empty());
        dead.into_iter().map(|why| format!("{}: {why}", path.display()))
    }));
}

#[test]
fn every_decision_has_a_status_and_stands_in_the_index() {
    let index = fs::read_to_string("docs/decisions/README.md").expect("an index");
    none(files("docs/decisions").into_iter().filter(|path| !path.ends_with("README.md")).flat_map(|path| {
        let text = fs::read_to_string(&path).expect("a page");
        let name = path.file_name().unwrap_or_default().display().to_string();
        let status = text.lines().nth(2).is_some_and(|line| line.starts_with("Status: "));
        let without = (!status).then(|| format!("{name} has no status behind its title"));
        let missing = (!index.contains(&format!("]({name})"))).then(|| format!("{name} is not in the index"));
        without.into_iter().chain(missing)
    }));
}

/// Every page with what it holds.
fn pages() -> Vec<(PathBuf, Vec<Part>)> {
    let files = PAGES.iter().flat_map(|folder| fs::read_dir(folder).expect("a folder"));
    let mut pages: Vec<PathBuf> = files.map(|entry| entry.expect("an entry").path()).collect();
    pages.retain(|path| path.extension().is_some_and(|kind| kind == "md"));
    pages.sort();
    let read = |path: PathBuf| {
        let parts = parts(&fs::read_to_string(&path).expect("a page"));
        (path.strip_prefix(".").map(Path::to_owned).unwrap_or(path), parts)
    };
    pages.into_iter().map(read).collect()
}

/// All files of a folder and those below it.
fn files(folder: &str) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![PathBuf::from(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

fn none(faults: impl IntoIterator<Item = String>) {
    let faults: Vec<String> = faults.into_iter().collect();
    assert!(faults.is_empty(), "{} faults:\n\n{}", faults.len(), faults.join("\n\n"));
}
