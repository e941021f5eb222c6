//! What tasks do to each other, in thousands of orders: the node's own code, from the broker in its process to the
//! bytes on a socket, on a scheduler that decides at each step who goes on (`src/sync.rs`). `make model` runs it.

mod covered;
mod explore;
mod ground;
mod latest;
mod live;
mod locks;
mod node;
mod outbox;
mod peer;
mod progress;
mod seams;
mod stored;
