//! RFC 6455, judged by others: two public suites drive a server that is made
//! of this product's own framing, and what they report is read here, case by
//! case: one of them ends with success whatever it found.

#![allow(unreachable_pub)] // a test binary has no outside

#[path = "conformance/echo.rs"]
mod echo;
#[path = "conformance/suite.rs"]
mod suite;

use notifier::{
    encoded_message::EncodedMessage,
    framing::{Framing, MessageKind},
};
use serde_json::json;

use echo::Echo;
use suite::{faults, kosoku, wstest};

/// The suites' cases without 12 and 13, which are about a compression that is
/// not offered.
const CASES: usize = 301;

/// Cases in which the RFC leaves the outcome open; the suites only tell what they saw.
const INFORMATIONAL: [&str; 3] = ["7.1.6", "7.13.1", "7.13.2"];

fn faithful(kind: MessageKind, message: &[u8]) -> EncodedMessage {
    EncodedMessage::data(Framing::WebSocket(kind), |body| body.extend_from_slice(message))
}

/// Loses the end of every long message, so that the suites have something to find.
fn forgetful(kind: MessageKind, message: &[u8]) -> EncodedMessage {
    faithful(kind, &message[..message.len().min(125)])
}

#[test]
fn the_suite_finds_no_fault() {
    let echo = Echo::start(faithful);
    let report = kosoku(echo.address(), "*");
    assert_eq!(faults(&report, CASES), [""; 0]);
    // The same report, were it a little worse, would not do.
    let worse = |case: &str, key: &str, verdict: &str| {
        let mut report = report.clone();
        report[case][key] = json!(verdict);
        faults(&report, CASES)
    };
    assert_eq!(worse("6.4.3", "behavior", "NON-STRICT"), ["6.4.3: NON-STRICT, close OK"]);
    assert_eq!(worse("1.1.1", "behavior", "INFORMATIONAL"), ["1.1.1: INFORMATIONAL, close OK"]);
    assert_eq!(worse("1.1.1", "behaviorClose", "FAILED"), ["1.1.1: OK, close FAILED"]);
    assert_eq!(faults(&report, CASES + 1), ["301 cases were run, not 302"]);
}

#[test]
fn the_suite_finds_the_faults_of_a_forgetful_server() {
    let echo = Echo::start(forgetful);
    let faults = faults(&kosoku(echo.address(), "1.1.*"), 8);
    assert_eq!(faults.len(), 6, "{faults:#?}");
}

#[test]
#[ignore = "needs Python 2.7, see scripts/autobahn.sh"]
fn the_reference_suite_finds_no_fault() {
    let echo = Echo::start(faithful);
    match wstest(echo.address()) {
        Some(report) => assert_eq!(faults(&report, CASES), [""; 0]),
        None => eprintln!("SKIPPED: the reference suite cannot be installed here, as scripts/autobahn.sh says above"),
    }
}
