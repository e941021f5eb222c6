//! The judge of `make chaos`, `make soak` and `notifier-bench resume`: whether each
//! client received exactly what it is owed, once and in order. Free of I/O and of
//! clocks, so that the judge itself can be tested with lies.
//!
//! A [`ledger::Ledger`] holds the events of the streams. A
//! [`subscription::CheckedSubscription`] follows the rules by which a client
//! resumes, and finds frames that a correct node never sends. An
//! [`account::Account`] compares what a subscription received with the ledger,
//! event by event. A [`verdict::Verdict`] collects the findings.

pub mod account;
pub mod judge;
pub mod ledger;
pub mod numbers;
pub mod subscription;
pub mod verdict;
