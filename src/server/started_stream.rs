//! An event stream that is granted and not begun.

use crate::{server::response::HttpResponse, session::GrantedEventStream};

/// An event stream that is granted: its connection is taken over once the head of the
/// response is known.
pub(crate) struct StartedStream {
    pub(crate) head: HttpResponse,
    pub(crate) granted: GrantedEventStream,
}
