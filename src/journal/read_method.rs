//! The decision how a reader reads on: from the window, by subject, or in order. Free of I/O: where something has to be
//! asked first, the decision says so, and is made again with the answer.

/// Changed subjects that are read one by one. Beyond, reading all in order is cheaper.
const SUBJECTS: usize = 64;

/// The facts by which a reader decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReaderFacts {
    /// Everything up to this sequence is read.
    pub(crate) after: u64,
    /// At and below this sequence nothing is in memory.
    pub(crate) floor: u64,
    /// The first sequence of the stream.
    pub(crate) first: u64,
    /// Whether only the newest value of each subject matters.
    pub(crate) latest: bool,
    /// The answer of the stream, once it was asked.
    pub(crate) asked: Option<AskedStream>,
}

/// The answer of a stream to a reader below the window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AskedStream {
    /// Whether the patterns match all that the stream stores.
    pub(crate) whole: bool,
    /// Whether pages in order, which all readers share, are less work than the questions of each.
    pub(crate) crowded: bool,
    /// The subjects that have changed since.
    pub(crate) changed: ChangedSubjects,
}

/// The subjects of a reader's patterns that have changed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ChangedSubjects {
    /// Nobody has asked yet.
    Unknown,
    /// The stream cannot tell all of them.
    Untold,
    /// This number of them.
    Known(usize),
}

/// The method by which a reader reads on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadMethod {
    /// The next events are in memory.
    Window,
    /// Retention has taken the next events.
    Expired,
    /// The stream has to be asked for its state.
    AskStream,
    /// It has to be asked which subjects have changed.
    AskSubjects,
    /// The newest value of each subject.
    LastValues,
    /// The changed subjects one by one, merged.
    BySubject,
    /// Nothing that matches has changed.
    Nothing,
    /// Pages of the stream, filtered here.
    InOrder,
}

impl ReadMethod {
    /// The method for what is known.
    pub(crate) fn of(facts: ReaderFacts) -> Self {
        let ReaderFacts { after, floor, first, latest, asked } = facts;
        let Some(AskedStream { whole, crowded, changed }) = asked else {
            return match () {
                () if after >= floor => Self::Window,
                () if floor >= first => Self::AskStream,
                // Of what is older the stream has nothing left either; of values only the newest matters.
                () if latest => Self::Window,
                () => Self::Expired,
            };
        };
        match changed {
            _ if first > after + 1 => Self::Expired,
            _ if latest => Self::LastValues,
            _ if whole || crowded => Self::InOrder,
            ChangedSubjects::Unknown => Self::AskSubjects,
            ChangedSubjects::Known(0) => Self::Nothing,
            ChangedSubjects::Known(count) if count <= SUBJECTS => Self::BySubject,
            ChangedSubjects::Known(_) | ChangedSubjects::Untold => Self::InOrder,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_memory_is_read_there_and_of_the_rest_the_stream_is_asked() {
        let rows = [
            ("at the floor", 10, 10, 1, ReadMethod::Window, ReadMethod::Window),
            ("above the floor", 11, 10, 1, ReadMethod::Window, ReadMethod::Window),
            ("below the floor", 9, 10, 1, ReadMethod::AskStream, ReadMethod::AskStream),
            ("below it, and the stream begins at it", 9, 10, 10, ReadMethod::AskStream, ReadMethod::AskStream),
            ("below it, and the stream begins behind it", 9, 10, 11, ReadMethod::Expired, ReadMethod::Window),
        ];
        for (name, after, floor, first, durable, values) in rows {
            let of = |latest| ReadMethod::of(ReaderFacts { after, floor, first, latest, asked: None });
            assert_eq!((of(false), of(true)), (durable, values), "{name}");
        }
    }

    #[test]
    fn below_the_window_it_is_read_in_the_way_that_costs_least() {
        use ChangedSubjects::{Known, Unknown, Untold};
        let most = SUBJECTS;
        // The first sequence of the stream where 5 is read; latest, whole, crowded, what has changed.
        let rows = [
            (7, true, true, true, Known(1), ReadMethod::Expired),
            (7, false, false, false, Unknown, ReadMethod::Expired),
            (6, true, false, false, Unknown, ReadMethod::LastValues),
            (1, true, true, true, Known(1), ReadMethod::LastValues),
            (6, false, true, false, Unknown, ReadMethod::InOrder),
            (6, false, false, true, Unknown, ReadMethod::InOrder),
            (1, false, true, false, Known(1), ReadMethod::InOrder),
            (1, false, false, false, Unknown, ReadMethod::AskSubjects),
            (1, false, false, false, Untold, ReadMethod::InOrder),
            (1, false, false, false, Known(0), ReadMethod::Nothing),
            (1, false, false, false, Known(1), ReadMethod::BySubject),
            (1, false, false, false, Known(most), ReadMethod::BySubject),
            (1, false, false, false, Known(most + 1), ReadMethod::InOrder),
        ];
        for (first, latest, whole, crowded, changed, expected) in rows {
            let asked = Some(AskedStream { whole, crowded, changed });
            let facts = ReaderFacts { after: 5, floor: 10, first, latest, asked };
            assert_eq!(ReadMethod::of(facts), expected, "{facts:?}");
        }
    }
}
