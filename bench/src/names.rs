//! How subjects are named: what is published on number 7, and what its clients ask for.

use std::fmt::{self, Display};

/// The names of a run's subjects.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    first: &'static str,
    /// What events have behind the number.
    event: &'static str,
    /// What subscriptions have there.
    asked: &'static str,
}

impl Names {
    /// Below the token `first`, and clients ask for what is published.
    pub const fn plain(first: &'static str) -> Self {
        Self { first, event: "", asked: "" }
    }

    /// The same, but clients ask for a pattern around each subject, so that something in it can be denied.
    pub const fn wide(first: &'static str) -> Self {
        Self { first, event: ".e", asked: ".*" }
    }

    /// Below the token `first`, with these tokens behind the number.
    pub const fn deep(first: &'static str, event: &'static str) -> Self {
        Self { first, event, asked: event }
    }

    /// What is published on.
    pub fn event(self, number: u32) -> impl Display {
        fmt::from_fn(move |f| write!(f, "{}.{number}{}", self.first, self.event))
    }

    /// What is subscribed to.
    pub fn asked(self, number: u32) -> String {
        format!("{}.{number}{}", self.first, self.asked)
    }
}
