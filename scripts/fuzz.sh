#!/usr/bin/env bash
# Runs each fuzz target for FUZZ_SECONDS (60) with libFuzzer on stable Rust: scripts/fuzz.sh [target ..]
set -euo pipefail
cd "$(dirname "$0")/../fuzz"

# cargo-fuzz needs a nightly compiler; the coverage passes alone do not. Leaks
# and memory errors are left to Rust: the crate forbids unsafe code.
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
# An explicit target keeps these flags away from build scripts and macros.
host=$(rustc -vV | sed -n 's/^host: //p')
cargo build --release --locked --target "$host"

targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(frame_decoder client_frames nats_feed control_messages subjects grants configuration stream_cursor)
for target in "${targets[@]}"; do
  corpus="corpus/$target"
  mkdir -p "$corpus" artifacts
  echo "== $target for ${FUZZ_SECONDS:-60} s"
  "${CARGO_TARGET_DIR:-target}/$host/release/$target" -max_total_time="${FUZZ_SECONDS:-60}" -timeout=1 -rss_limit_mb=512 \
    -max_len=4096 -print_final_stats=1 -artifact_prefix=artifacts/ "$corpus" 2>&1 | grep -vE '^#[0-9]+.*(NEW|REDUCE|pulse)|NEW_FUNC'
done
