//! Ports for programs that have to be told one.

use std::{
    collections::HashSet,
    net::TcpListener,
    sync::{LazyLock, Mutex},
};

/// A port that nobody listens on, below those that systems give to whoever asks
/// for any (Linux: from 32768): nobody gets it by chance before it is used.
pub fn free_port() -> u16 {
    static TAKEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);
    let mut taken = TAKEN.lock().expect("no test panics here");
    loop {
        let port = fastrand::u16(10_000..32_000);
        if !taken.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            taken.insert(port);
            return port;
        }
    }
}
