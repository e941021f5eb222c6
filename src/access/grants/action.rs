//! An action of a client on a subject.

use std::str::FromStr;

use serde::Serialize;

/// An action of a client on a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Receive its events, or read those that are stored.
    Subscribe,
    /// Publish an event there.
    Publish,
    /// Ask whoever answers there.
    Request,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Subscribe, Self::Publish, Self::Request];

    /// Its name, which is that of its list in `[[grants]]` too.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
            Self::Request => "request",
        }
    }
}

/// No such verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is neither `subscribe`, `publish` nor `request`")]
pub struct BadAction;

impl FromStr for Action {
    type Err = BadAction;

    fn from_str(text: &str) -> Result<Self, BadAction> {
        Self::ALL.into_iter().find(|verb| verb.label() == text).ok_or(BadAction)
    }
}
