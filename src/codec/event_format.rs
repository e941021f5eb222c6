//! The forms in which an event stream carries events. Free of I/O.

use std::str::FromStr;

/// The form of the messages of an event stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventFormat {
    /// The frames of `notifier.v1.json`, as a WebSocket carries them.
    #[default]
    Frames,
    /// Each event is a message of its own: the object that `event` holds. Other frames are named messages.
    Event,
    /// The same with a CloudEvent (JSON format) for each event.
    CloudEvents,
}

/// A name that no format has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`format={0}` is unknown; write frames, event or cloudevents")]
pub struct UnknownFormat(String);

impl EventFormat {
    /// The number of formats.
    pub(crate) const COUNT: usize = 3;

    /// Whether each event is a message of its own, and other frames have names.
    pub const fn is_single(self) -> bool {
        !matches!(self, Self::Frames)
    }
}

impl FromStr for EventFormat {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        match name {
            "frames" => Ok(Self::Frames),
            "event" => Ok(Self::Event),
            "cloudevents" => Ok(Self::CloudEvents),
            _ => Err(UnknownFormat(name.to_owned())),
        }
    }
}
