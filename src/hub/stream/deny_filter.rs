//! The deny filter takes the events out of a batch that are denied to a connection,
//! before the rest is encoded. Between that and the sending the grants may change,
//! so the sender asks, under the lock of the member's progress, whether the
//! decision still holds.

use std::{borrow::Cow, sync::Arc};

use crate::{access::grants::Grants, event::Message, hub::member::Member};

/// Events without those that are denied to a connection.
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
