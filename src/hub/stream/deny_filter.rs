//! What of some stored events a connection may get, decided before they are
//! encoded. Between that and the sending its grants may change, so whoever
//! sends asks, under the lock of its seats, whether the decision still holds.

use std::{borrow::Cow, sync::Arc};

use crate::{access::grants::Grants, event::Message, hub::member::Member};

/// Those of some events that are not denied.
pub(crate) struct DenyFilter<'e> {
    pub(crate) events: Cow<'e, [Arc<Message>]>,
    /// How many are denied.
    pub(crate) denied: usize,
    denials: Option<Grants>,
}

impl<'e> DenyFilter<'e> {
    /// Decides by what holds now.
    pub(crate) fn of(member: &Member, events: &'e [Arc<Message>]) -> Self {
        let Some(denials) = member.denials() else {
            return Self { events: Cow::Borrowed(events), denied: 0, denials: None };
        };
        let may = |event: &&Arc<Message>| !denials.denies(&event.subject);
        let allowed: Vec<_> = events.iter().filter(may).cloned().collect();
        Self { denied: events.len() - allowed.len(), events: Cow::Owned(allowed), denials: Some(denials) }
    }

    /// Whether it would be decided by the same denials now.
    pub(crate) fn holds(&self, member: &Member) -> bool {
        member.has_denials(self.denials.as_ref())
    }
}
