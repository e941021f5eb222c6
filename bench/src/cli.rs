//! The words and flags of this program.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

/// Measures a notifier node beside the least that a server can do, and beside its peers.
#[derive(Debug, Parser)]
#[command(name = "notifier-bench", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// Something else than measuring.
    #[command(subcommand)]
    pub word: Option<Word>,
    /// How to measure.
    #[command(flatten)]
    pub run: Run,
}

/// How to measure.
#[derive(Args, Debug)]
pub struct Run {
    /// What is measured.
    #[command(flatten)]
    pub servers: Servers,
    /// Centrifugo, for the target of that name.
    #[arg(long, value_name = "PATH")]
    pub centrifugo: Option<PathBuf>,
    /// The folder of the `ws` peer, installed.
    #[arg(long, value_name = "PATH", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/ws"))]
    pub ws: PathBuf,
    /// What to measure. Without it: all but notifier-sse, notifier-durable, notifier-full, notifier-full-durable and
    /// those over TLS; centrifugo if its path is given.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub targets: Vec<String>,
    /// Another build of the node, under a name of its own; may be repeated.
    #[arg(long, value_name = "NAME=PATH")]
    pub compare: Vec<String>,
    /// What to do with the targets. Without it: everything.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub scenarios: Vec<String>,
    /// How often everything is repeated.
    #[arg(long, default_value_t = 3)]
    pub runs: u32,
    /// How long each measurement takes.
    #[arg(long, default_value_t = 1.5)]
    pub seconds: f64,
    /// Where it runs.
    #[command(flatten)]
    pub cores: Cores,
    /// Few clients, short, once: shows that everything works, not how well.
    #[arg(long)]
    pub quick: bool,
    /// Where the results go. Without it: bench/results/DATE.json.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// The programs that everything needs.
#[derive(Args, Debug)]
pub struct Servers {
    /// The node to measure.
    #[arg(long, value_name = "PATH", default_value = "target/release/notifier")]
    pub node: PathBuf,
    /// The nats-server that feeds it, and all else that is measured.
    #[arg(long, value_name = "PATH", default_value = "nats-server")]
    pub nats_server: PathBuf,
}

/// Which cores are whose.
#[derive(Args, Clone, Copy, Debug)]
pub struct Cores {
    /// The core of the server under test.
    #[arg(long, default_value_t = 0)]
    pub server_core: usize,
    /// The core of the clients and of the nats-server.
    #[arg(long, default_value_t = 1)]
    pub load_core: usize,
}

/// What this program can do besides measuring.
#[derive(Debug, Subcommand)]
pub enum Word {
    /// Prints the tables of earlier results as Markdown.
    Report {
        /// The results.
        file: PathBuf,
        /// Also draws the ratios to the floor, into this folder.
        #[arg(long, value_name = "DIR")]
        svg: Option<PathBuf>,
    },
    /// Kills nodes and measures how their clients resume elsewhere: the window, NATS, the replay.
    Resume(Resume),
    /// Lives with a node for an hour: clients come and go, and NATS too. Nothing may grow, and nothing be left.
    Soak(Soak),
    /// Measures how long a node takes to be ready, and how large its program is.
    Startup(Startup),
    /// Serves as the least that a server can do.
    #[command(hide = true)]
    Floor {
        /// Where it is.
        #[command(flatten)]
        place: Place,
        /// Events in one write at most.
        #[arg(long, default_value_t = 1)]
        batch: usize,
    },
    /// Serves as the obvious design does.
    #[command(hide = true)]
    Naive {
        /// Where it is.
        #[command(flatten)]
        place: Place,
    },
    /// Takes events from NATS and does nothing with them.
    #[command(hide = true)]
    Sink {
        /// Where it is.
        #[command(flatten)]
        place: Place,
    },
    /// The same, through the reading connection of the node.
    #[command(hide = true)]
    Intake {
        /// Where it is.
        #[command(flatten)]
        place: Place,
    },
    /// Becomes another program, for as long as this one's parent lives.
    #[command(hide = true)]
    Launch {
        /// Its core; without it: all.
        #[arg(long)]
        core: Option<usize>,
        /// The program and its arguments.
        #[arg(last = true, required = true)]
        program: Vec<String>,
    },
}

/// How to measure resuming.
#[derive(Args, Debug)]
pub struct Resume {
    /// What is measured.
    #[command(flatten)]
    pub servers: Servers,
    /// Clients, each with a pattern of its own.
    #[arg(long, default_value_t = 10_000)]
    pub clients: usize,
    /// Events of the long replay.
    #[arg(long, default_value_t = 1_000_000)]
    pub events: u64,
    /// Where it runs.
    #[command(flatten)]
    pub cores: Cores,
    /// Few clients and events: shows that everything works, not how well.
    #[arg(long)]
    pub quick: bool,
}

/// How to live with a node.
#[derive(Args, Debug)]
pub struct Soak {
    /// What is measured.
    #[command(flatten)]
    pub servers: Servers,
    /// For how long clients come and go.
    #[arg(long, default_value_t = 60.0)]
    pub minutes: f64,
    /// Clients, most of them connected at any time.
    #[arg(long, default_value_t = 600)]
    pub clients: usize,
    /// What chance begins with. Without it: another one each time.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Where soak.csv and soak.svg go.
    #[arg(long, value_name = "DIR", default_value = "target/soak")]
    pub out: PathBuf,
    /// Few clients, a quarter of a minute: shows that everything works and nothing is left, not what grows.
    #[arg(long)]
    pub quick: bool,
}

/// How to measure the start.
#[derive(Args, Debug)]
pub struct Startup {
    /// What is measured.
    #[command(flatten)]
    pub servers: Servers,
    /// Events in the stream that a node finds.
    #[arg(long, default_value_t = 100_000)]
    pub events: u64,
    /// Starts of each kind.
    #[arg(long, default_value_t = 10)]
    pub times: usize,
    /// Where it runs.
    #[command(flatten)]
    pub cores: Cores,
    /// Few events, two starts: shows that everything works, not how well.
    #[arg(long)]
    pub quick: bool,
}

/// Where a server is.
#[derive(Args, Clone, Copy, Debug)]
pub struct Place {
    /// Where clients come.
    #[arg(long)]
    pub listen: SocketAddr,
    /// The nats-server.
    #[arg(long)]
    pub nats: SocketAddr,
}
