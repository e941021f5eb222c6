//! One stream of a subscription that is not live yet: how far it is read, and for which
//! of the patterns. Free of I/O.

use std::sync::Arc;

use crate::{
    classes::StreamIndex,
    hub::stream::channel::Channel,
    journal::{Cursor, Reader},
    subject::Pattern,
};

/// One of its streams, being read.
pub(crate) struct Track {
    pub(crate) channel: Arc<Channel>,
    /// None: from now on.
    pub(crate) reader: Option<Reader>,
    /// The patterns that are read.
    pub(crate) patterns: Vec<Pattern>,
    /// From this cursor on these are read: some of them had their newest values up to there.
    pub(crate) later: Option<(Cursor, Vec<Pattern>)>,
    /// The generation whose epoch the client has been told; 0: none.
    pub(crate) named: u32,
    /// Ends of values without a trace that had been handed out when it began.
    pub(crate) endings: u64,
    /// Whether the client has to be told when it has had all values, because it may know values that have ended.
    pub(crate) complete: bool,
}

impl Track {
    pub(crate) fn from_now(channel: Arc<Channel>) -> Self {
        Self { channel, reader: None, patterns: Vec::new(), later: None, named: 0, endings: 0, complete: false }
    }

    /// The cursor at which all of its patterns can join.
    pub(crate) fn joins_at(&self) -> Option<Cursor> {
        let at = self.reader.as_ref().map(Reader::cursor)?;
        let until = self.later.as_ref().map(|(until, _)| *until);
        Some(until.filter(|until| until.is_beyond(at)).unwrap_or(at))
    }

    /// Reads for all of its patterns once the newest values that some have had are no
    /// further on, or in the stream of before.
    pub(crate) fn widen(&mut self) {
        let reached = self.reader.as_ref().map(Reader::cursor);
        if let (Some(at), Some((until, _))) = (reached, &self.later)
            && at.generation != 0
            && !until.is_beyond(at)
        {
            self.widen_now();
        }
    }

    pub(crate) fn widen_now(&mut self) {
        if let (Some(reader), Some((_, all))) = (&mut self.reader, self.later.take()) {
            let at = reader.cursor();
            self.patterns.clone_from(&all);
            *reader = self.channel.journal().reader(all, at);
        }
    }
}

/// How far the client is in the streams that are read.
pub(crate) fn reached(tracks: &[Track]) -> Vec<(StreamIndex, Cursor)> {
    let at = |track: &Track| Some((track.channel.journal().stream(), track.reader.as_ref()?.cursor()));
    tracks.iter().filter_map(at).collect()
}

/// The same with one of them moved, and in the last place.
pub(crate) fn moved(at: &[(StreamIndex, Cursor)], stream: StreamIndex, to: Cursor) -> Vec<(StreamIndex, Cursor)> {
    let others = at.iter().copied().filter(|(other, _)| *other != stream);
    others.chain([(stream, to)]).collect()
}
