//! What processes use, read from `/proc`.

use std::fs;

use crate::failure::{Because as _, Failure, Outcome};

/// Nanoseconds that all threads of process `pid` have been on a CPU. On loopback this includes the receiver's TCP
/// input, which runs inside the sender's `send`.
pub fn on_cpu(pid: u32) -> Outcome<u64> {
    let gone = || format!("process {pid} has ended");
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).because(gone)?.flatten() {
        // A thread may end between the listing and the reading.
        let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        sum += text.split(' ').next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum)
}

/// Memory of a process.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident now, bytes.
    pub resident: u64,
    /// The most that was ever resident, bytes.
    pub peak: u64,
}

/// The memory of process `pid`.
pub fn memory(pid: u32) -> Outcome<Memory> {
    let gone = || format!("process {pid} has ended");
    // VmRSS is counted loosely, per thread; the roll-up walks the pages.
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).because(gone)?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).because(gone)?;
    let kilobytes = |text: &str, key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key)?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
            .ok_or_else(|| Failure::new(format!("process {pid} has ended")))
    };
    Ok(Memory { resident: kilobytes(&rollup, "Rss:")? * 1024, peak: kilobytes(&status, "VmHWM:")? * 1024 })
}

/// How many entries a folder of process `pid` has: `fd` its open descriptors, `task` its threads.
pub fn entries(pid: u32, folder: &str) -> Outcome<usize> {
    let entries = fs::read_dir(format!("/proc/{pid}/{folder}")).because(|| format!("process {pid} has ended"))?;
    Ok(entries.count())
}

/// Forgets the peak of process `pid`: from now on it is that of what follows.
pub fn forget_peak(pid: u32) -> Outcome<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").because(|| format!("cannot reset the peak of process {pid}"))
}

/// Nanoseconds that the machine's CPUs were not idle, stolen time included: nobody here had it.
pub fn machine_busy() -> Outcome<u64> {
    let stat = fs::read_to_string("/proc/stat").because(|| "cannot read /proc/stat".into())?;
    let first = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = first.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guests are in user already.
    let busy: u64 = [0, 1, 2, 5, 6, 7].iter().filter_map(|at| ticks.get(*at)).sum();
    Ok(busy * (1_000_000_000 / TICKS_PER_SECOND))
}

/// `USER_HZ`, which is 100 on every Linux there is for servers.
const TICKS_PER_SECOND: u64 = 100;
