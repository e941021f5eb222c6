#!/usr/bin/env bash
# Where a server's time goes: runs the benchmark (bench/README.md) under `perf record` and writes a flame graph and a
# table of functions to target/profile, of what ran on the server's core. Arguments go to notifier-bench; without them
# it is one subject with many members, and the node.
set -euo pipefail
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

# Samples a second. No round number: what happens a thousand times a second would be seen always, or never.
readonly rate=997

out=${CARGO_TARGET_DIR:-$repo/target}/profile
mkdir -p "$out"
core=0 given=" $* "
[[ $given =~ " --server-core"[\ =]([0-9]+)" " ]] && core=${BASH_REMATCH[1]}
[[ $given == *" --scenarios"* ]] || set -- --scenarios fanout "$@"
[[ $given == *" --targets"* ]] || set -- --targets notifier "$@"
[[ $given == *" --runs"* ]] || set -- --runs 1 "$@"

runs perf --version || die "perf is missing; install it (Debian: apt-get install linux-perf) and run this again"
inferno=$("$repo/scripts/cargo-tool.sh" inferno)
nats_server=$("$repo/scripts/nats-server.sh")

# A build of its own, because stacks are walked by frame pointers: what is left out of them is a whole branch.
say "building the node and the benchmark with frame pointers, which takes minutes the first time"
build() { RUSTFLAGS="${RUSTFLAGS:-} -C force-frame-pointers=yes" cargo build --quiet --locked --release "$@"; }
build --target-dir "$out/build" --manifest-path "$repo/Cargo.toml"
build --target-dir "$out/build" --manifest-path "$repo/bench/Cargo.toml"

# Everything that the benchmark starts is recorded. Only the server runs on its core, so the core tells it apart.
say "measuring"
perf record --quiet --freq "$rate" --call-graph fp --sample-cpu --output "$out/perf.data" -- \
  "$out/build/release/notifier-bench" --node "$out/build/release/notifier" --nats-server "$nats_server" \
  --out "$out/results.json" "$@" >"$out/results.md"

say "writing to $out"
perf script --cpu "$core" --no-inline --input "$out/perf.data" \
  | "$inferno/inferno-collapse-perf" >"$out/stacks.txt"
[ -s "$out/stacks.txt" ] || die "there is no sample of core $core"
"$inferno/inferno-flamegraph" --title="$*" <"$out/stacks.txt" >"$out/flame.svg"
for kind in no-children children; do
  perf report --cpu "$core" --no-inline --input "$out/perf.data" --stdio --$kind --call-graph none --sort dso,symbol \
    --percent-limit 0.5
done >"$out/functions.txt"
grep -v -e '^#' -e '^$' "$out/functions.txt" | head -n 25 || true
say "written: flame.svg, functions.txt, stacks.txt, results.md"
