//! Reads of a subscription's streams, tried again as long as there is patience.

use std::sync::Arc;

use crate::{
    broker::ReadError,
    event::{Message, PageSize},
    journal::{Cursor, Journal, LastValues, Part, Reader},
    proto::Position,
    retry::RetryRule,
};

/// Reads by a rule for trying again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PatientReads(pub(crate) RetryRule);

impl PatientReads {
    /// The cursor of a position.
    pub(crate) async fn find(self, journal: &Journal, position: &Position) -> Result<Cursor, ReadError> {
        let mut patience = self.0.begin();
        loop {
            if let Some(cursor) = patience.attempt(journal.cursor(position), is_final).await? {
                return Ok(cursor);
            }
        }
    }

    /// The next of the newest values.
    pub(crate) async fn values(self, values: &mut LastValues) -> Result<Option<Vec<Arc<Message>>>, ReadError> {
        let mut patience = self.0.begin();
        loop {
            if let Some(events) = patience.attempt(values.next(PageSize::BATCH), is_final).await? {
                return Ok(events);
            }
        }
    }

    /// The next part of a stream, up to a sequence.
    pub(crate) async fn part(self, reader: &mut Reader, upto: u64) -> Result<Part, ReadError> {
        let mut patience = self.0.begin();
        loop {
            if let Some(part) = patience.attempt(reader.next(upto, PageSize::BATCH), is_final).await? {
                return Ok(part);
            }
        }
    }
}

fn is_final(error: &ReadError) -> bool {
    *error == ReadError::TooManySubjects
}
