//! A name of a type stands for one thing: no two types of `src` share one, but
//! for those listed here with the reason.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Names that several types may have, each with the reason.
const SHARED: &[(&str, &str)] = &[
    ("State", "private: what the lock of a file protects"),
    ("Inner", "private: what the handles of a file share"),
    ("Auth", "the settings of it, and the thing itself"),
    ("Broker", "the settings of it, and the thing itself"),
    ("Issuer", "the settings of it, and the thing itself"),
    ("Nats", "the settings of it, and the thing itself"),
    ("Node", "the settings of it, and the thing itself"),
    ("Server", "the settings of it, and the thing itself"),
    ("Done", "private to its file: the end of an update, or of a request in flight"),
    ("Effect", "of a rule on a request, and of a frame on a session"),
    ("Head", "private to its file: the first bytes of a frame, or of an HTTP request"),
    ("Line", "private to its file: the socket of a client, or a line of HTTP"),
    ("Session", "with a client, with NATS, and of TLS: the word of all three protocols"),
    ("Waiting", "private to its file: messages of an outbox, or a request to a service"),
];

#[test]
fn no_two_types_share_a_name() {
    let allowed: BTreeSet<&str> = SHARED.iter().map(|(name, _)| *name).collect();
    let several = shared(&declared());
    let wrong: Vec<_> = several.iter().filter(|(name, _)| !allowed.contains(name.as_str())).collect();
    assert!(wrong.is_empty(), "name them apart, or say here why not: {wrong:#?}");
}

#[test]
fn no_name_is_listed_that_one_type_has_alone() {
    let several = shared(&declared());
    let idle: Vec<&str> = SHARED.iter().map(|(name, _)| *name).filter(|name| !several.contains_key(*name)).collect();
    assert!(idle.is_empty(), "one type alone, or none, has these names: {idle:?}");
}

#[test]
fn types_are_found_with_and_without_visibility_but_not_in_unit_tests() {
    let text = "pub struct A;\npub(crate) enum B<T> {}\n    struct C(u8);\ntrait D {}\n/// struct E\nimpl F for A {}\n\
                type G = A;\n#[cfg(test)]\nmod tests {\n    struct H;\n}\n";
    assert_eq!(types(text), ["A", "B", "C", "D"]);
}

/// Files by the names of the types that they declare.
fn declared() -> BTreeMap<String, Vec<String>> {
    let mut declared: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in sources(Path::new("src")) {
        for name in types(&fs::read_to_string(&path).expect("a file")) {
            declared.entry(name).or_default().push(path.display().to_string());
        }
    }
    declared
}

/// Those of them that several types have.
fn shared(declared: &BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<String>> {
    declared.iter().filter(|(_, files)| files.len() > 1).map(|(name, files)| (name.clone(), files.clone())).collect()
}

/// Every file of a folder, but unit tests and generated code.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut found = Vec::new();
    for path in entries {
        if path.is_dir() {
            if !path.ends_with("tests") {
                found.extend(sources(&path));
            }
        } else if !path.ends_with("tests.rs") && !path.ends_with("proto/generated.rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Names of structs, enums and traits, outside unit tests.
fn types(text: &str) -> Vec<String> {
    let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().filter_map(declares).map(str::to_owned).collect()
}

/// The name of the type that a line declares.
fn declares(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(") ")?.1,
        Some(rest) => rest.strip_prefix(' ')?,
        None => line,
    };
    let rest = ["struct ", "enum ", "trait "].iter().find_map(|word| line.strip_prefix(word))?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}
