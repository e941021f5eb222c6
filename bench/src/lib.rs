//! Measures a notifier node beside the least that a server can do, and beside its peers, and lives with one for an
//! hour. `README.md` says how to use it and how to read what it prints.

pub mod certificate;
pub mod cli;
pub mod clock;
pub mod drive;
pub mod failure;
pub mod feed;
pub mod floor;
pub mod frame;
pub mod hostile;
pub mod intake;
pub mod launch;
pub mod line;
pub mod marker;
pub mod naive;
pub mod names;
pub mod nats;
pub mod operator;
pub mod passes;
pub mod plug;
pub mod process;
pub mod results;
pub mod resume;
pub mod rig;
pub mod scenario;
pub mod settings;
pub mod sink;
pub mod soak;
pub mod startup;
pub mod suite;
pub mod svg;
pub mod swarm;
pub mod table;
pub mod target;
pub mod usage;
