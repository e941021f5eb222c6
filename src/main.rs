//! The `notifier` binary: parse, run, exit code.

use std::process::ExitCode;

/// Keeps many small allocations of many connections close together.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    notifier::cli::main()
}
