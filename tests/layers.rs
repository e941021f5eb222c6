//! The house stays in order: a file imports only from floors below its own, a
//! child never names its parent, and outside crates are named where they belong.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Top floor first; the modules of one floor do not import each other. A module
/// and its children stand on one floor.
const FLOORS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["node"],
    &["server"],
    &["control"],
    &["session"],
    &["services"],
    &["fetch", "hub", "request"],
    &["journal", "publish"],
    &["client", "cluster", "quota"],
    &["admission", "broker", "codec", "outbox"],
    &["access", "socket"],
    &["tasks", "telemetry", "tls"],
    &["classes", "encoded_message", "event", "event_log", "metrics"],
    &["config", "error", "framing", "pattern_map", "retry", "trie"],
    &["clock", "close", "dial", "effort", "origin", "proto", "rate", "retry_log", "subject", "sync"],
];

/// Outside crates that only these floors may name.
const OUTSIDE: &[(&str, &[&str])] = &[
    ("fastwebsockets", &["encoded_message", "framing", "socket"]),
    ("flate2", &["server"]),
    ("async_nats", &["broker"]),
    ("hyper", &["access", "cli", "client", "server", "socket"]),
    ("hyper_util", &["access", "cli", "server", "socket"]),
    ("metrics_exporter_prometheus", &["metrics", "node"]),
    ("rustls", &["access", "broker", "tls"]),
    ("tokio_rustls", &["access", "broker", "tls"]),
    ("x509_parser", &["tls"]),
    ("rustls_native_certs", &["tls"]),
    ("nkeys", &["broker"]),
    ("jsonwebtoken", &["access"]),
    ("toml", &["cli", "config"]),
    ("schemars", &["config"]),
    ("clap", &["cli"]),
    ("icu_properties", &["subject"]),
    ("ipnet", &["config"]),
    ("rustix", &["server", "socket"]),
    ("socket2", &["dial", "server", "socket"]),
    ("prost", &["broker", "codec", "event", "proto"]),
];

#[test]
fn every_module_has_its_floor_and_lib_rs_lists_them_in_order() {
    let lib = fs::read_to_string("src/lib.rs").expect("src/lib.rs");
    let name = |line: &str| line.strip_prefix("pub mod ")?.strip_suffix(';').map(str::to_owned);
    let floors = lib.split("\n\n").skip(1);
    let listed: Vec<Vec<String>> = floors.map(|floor| floor.lines().filter_map(name).collect()).collect();
    assert_eq!(listed, FLOORS[1..], "src/lib.rs lists the floors, top first");
    let files: BTreeSet<String> = sources().iter().map(|path| module(path)[0].clone()).collect();
    let floors: BTreeSet<String> = FLOORS.concat().into_iter().map(str::to_owned).collect();
    assert_eq!(files, floors);
}

#[test]
fn a_file_imports_only_from_floors_below_and_never_its_parent() {
    let mut wrong = Vec::new();
    for path in sources() {
        let module = module(&path);
        let floor = floor(&module[0]);
        for import in imports(&code(&path)) {
            let target = self::floor(&import[0]);
            let own = import[0] == module[0];
            // Within a floor: a sibling or a child, which the path names beyond the parent.
            let parent = own && names_parent(&module, &import);
            if target < floor || (target == floor && !own) || parent {
                wrong.push(format!("{} imports {}", path.display(), import.join("::")));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    for root in ["src", "verify/src", "bench/src", "tests/chaos"] {
        circles(root, |path| path.join("::"));
    }
}

#[test]
fn no_rooms_of_the_hub_import_each_other_in_a_circle() {
    // A room is a file with the files below it: what is stored is above what is live.
    circles("src", |path| match path {
        [floor, room, ..] if floor == "hub" => format!("hub::{room}"),
        path => path.join("::"),
    });
}

/// Fails where parts of a crate, each of the files with one name, import each other by any detour.
fn circles(root: &str, name: impl Fn(&[String]) -> String) {
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in files(root) {
        let module = module_in(root, &path);
        let part = name(&module);
        let imports = paths(&code(&path), &module);
        let targets = imports.iter().map(|import| target_in(root, import)).filter(|target| {
            // Outside `src` a part may name the whole that it is a part of.
            root == "src" || !module.starts_with(target)
        });
        let targets: Vec<_> = targets.map(&name).filter(|target| *target != part).collect();
        graph.entry(part).or_default().extend(targets);
    }
    for start in graph.keys() {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&String> = graph[start].iter().collect();
        while let Some(part) = next.pop() {
            assert!(part != start, "{start} in {root} imports itself by way of others");
            if reached.insert(part) {
                next.extend(graph.get(part).into_iter().flatten());
            }
        }
    }
}

#[test]
fn outside_crates_are_named_where_they_belong() {
    let mut wrong = Vec::new();
    for path in sources() {
        let module = module(&path);
        let code = code(&path);
        for (name, floors) in OUTSIDE {
            let named = code.contains(&format!("{name}::")) || code.contains(&format!("use {name}"));
            if named && !floors.contains(&module[0].as_str()) {
                wrong.push(format!("{} names {name}", path.display()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn locks_are_those_of_sync() {
    // Poison has one answer there, and models can order what is locked.
    let is_lock = |name: &str| name == "Mutex" || name == "RwLock";
    let of_std = |import: &Vec<String>| matches!(&import[..], [sync, name, ..] if sync == "sync" && is_lock(name));
    let names_std = |path: &PathBuf| {
        let mut found = Vec::new();
        behind("std::", &code(path), &[], &mut found);
        found.iter().any(of_std)
    };
    let outside = |path: &PathBuf| module(path)[0] != "sync";
    let wrong: Vec<_> = sources().into_iter().filter(outside).filter(names_std).collect();
    assert_eq!(wrong, Vec::<PathBuf>::new());
}

/// Every file of `src`, but the list of modules and what is generated.
fn sources() -> Vec<PathBuf> {
    files("src")
}

/// The same for another folder.
fn files(root: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if !path.ends_with("lib.rs") && !path.ends_with("proto/generated.rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(Path::new(root), &mut found);
    found.sort();
    found
}

/// `src/hub/member.rs` is `[hub, member]`.
fn module(path: &Path) -> Vec<String> {
    module_in("src", path)
}

fn module_in(root: &str, path: &Path) -> Vec<String> {
    let inner = path.strip_prefix(root).expect("in the folder").with_extension("");
    inner.iter().map(|part| part.to_str().expect("UTF-8").to_owned()).collect()
}

fn floor(module: &str) -> usize {
    FLOORS.iter().position(|floor| floor.contains(&module)).unwrap_or_else(|| panic!("{module} has no floor"))
}

/// The code without its unit tests and comments.
fn code(path: &Path) -> String {
    if path.ends_with("tests.rs") {
        return String::new();
    }
    let text = fs::read_to_string(path).expect("a file");
    let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Every `crate::a::b` path to a module of a floor.
fn imports(code: &str) -> Vec<Vec<String>> {
    let mut found = paths(code, &[]);
    found.retain(|import| FLOORS.iter().any(|floor| floor.contains(&import[0].as_str())));
    found
}

/// Every `crate::a::b` and `super::a::b` path of a module, from the root.
fn paths(code: &str, module: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let parent = module.split_last().map_or(&[][..], |(_, parent)| parent);
    for (word, prefix) in [("crate::", &[][..]), ("super::", parent)] {
        behind(word, code, prefix, &mut found);
    }
    found
}

/// Every path behind a word, those in braces spelled out, with a prefix in front.
fn behind(word: &str, code: &str, prefix: &[String], found: &mut Vec<Vec<String>>) {
    for start in code.match_indices(word).map(|(at, word)| at + word.len()) {
        expand(&code[start..], &mut prefix.to_vec(), found);
    }
}

/// Reads `a::{b, c::d}` at the start of `text`; returns what is left.
fn expand<'t>(text: &'t str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'t str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix('}') {
                return after;
            }
            rest = expand(rest, &mut prefix.clone(), found).trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest);
            if rest.is_empty() {
                return rest;
            }
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    if end == 0 {
        return text.get(1..).unwrap_or_default();
    }
    prefix.push(text[..end].to_owned());
    match text[end..].strip_prefix("::") {
        Some(rest) => expand(rest, prefix, found),
        None => {
            found.push(prefix.clone());
            &text[end..]
        }
    }
}

/// Whether a path within the floor stops at one of the module's parents: what
/// comes after is no module but an item that the parent holds.
fn names_parent(module: &[String], import: &[String]) -> bool {
    let target = target(import);
    target.len() < module.len() && module.starts_with(target)
}

/// The part of a path that is a file.
fn target(import: &[String]) -> &[String] {
    target_in("src", import)
}

fn target_in<'i>(root: &str, import: &'i [String]) -> &'i [String] {
    let is_file =
        |parts: &[String]| Path::new(root).join(parts.iter().collect::<PathBuf>()).with_extension("rs").exists();
    let deepest = (1..=import.len()).rev().find(|length| is_file(&import[..*length])).unwrap_or(1);
    &import[..deepest]
}
