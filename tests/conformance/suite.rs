//! Runs a suite against a server and reads what it found.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::INFORMATIONAL;

/// What kosoku says of each of the cases that fit the pattern.
pub fn kosoku(server: SocketAddr, cases: &str) -> Value {
    let python = script("scripts/peers.sh").expect("the Python packages of tests/peers");
    let folder = tempfile::tempdir().expect("a folder");
    // Its exit code says no more than the report does.
    Command::new(python.with_file_name("kosoku"))
        .args(["-p", "4", "-m", "fuzzingclient", &server.to_string(), "-i", cases, "-x", "12.*", "-x", "13.*", "-o"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("the suite runs");
    report(folder.path())
}

/// What the reference suite, Autobahn, says. None where it cannot be installed.
pub fn wstest(server: SocketAddr) -> Option<Value> {
    let program = script("scripts/autobahn.sh")?;
    let folder = tempfile::tempdir().expect("a folder");
    let spec = folder.path().join("spec.json");
    let json = json!({
        "outdir": folder.path(),
        "servers": [{"agent": "notifier", "url": format!("ws://{server}")}],
        "cases": ["*"],
        "exclude-cases": ["12.*", "13.*"],
        "exclude-agent-cases": {},
    });
    fs::write(&spec, json.to_string()).expect("room");
    Command::new(program)
        .args(["-m", "fuzzingclient", "-s"])
        .arg(&spec)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("the suite runs");
    Some(report(folder.path()))
}

/// Everything that is wrong with a report of so many cases.
pub fn faults(report: &Value, cases: usize) -> Vec<String> {
    let report = report.as_object().expect("an object of cases");
    let mut faults = Vec::new();
    if report.len() != cases {
        faults.push(format!("{} cases were run, not {cases}", report.len()));
    }
    for (case, found) in report {
        let verdict = |key: &str| found[key].as_str().unwrap_or("not told").to_owned();
        let (behaviour, close) = (verdict("behavior"), verdict("behaviorClose"));
        let fits = |verdict: &str| verdict == "OK" || (verdict == "INFORMATIONAL" && INFORMATIONAL.contains(&&**case));
        if !fits(&behaviour) || !fits(&close) {
            faults.push(format!("{case}: {behaviour}, close {close}"));
        }
    }
    faults
}

/// The cases of the one server that the report is about.
fn report(folder: &Path) -> Value {
    let text = fs::read_to_string(folder.join("index.json")).expect("a report");
    let mut index: Value = serde_json::from_str(&text).expect("JSON");
    let servers = index.as_object_mut().expect("an object of servers");
    assert_eq!(servers.len(), 1, "{servers:?}");
    servers.values_mut().next().map(Value::take).expect("one server")
}

/// The path that a script prints; none when it says, with code 3, that its tool
/// cannot be had here.
fn script(path: &str) -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let output = Command::new(script).stderr(Stdio::inherit()).output().expect("the script runs");
    if output.status.code() == Some(3) {
        return None;
    }
    assert!(output.status.success(), "{path} fails");
    Some(String::from_utf8(output.stdout).expect("a path").trim().into())
}
