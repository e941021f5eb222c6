#!/usr/bin/env bash
# Builds a release node and the benchmark, gets what is measured beside them, and runs it; arguments go to
# notifier-bench (bench/README.md). $NOTIFIER names a node that is built already.
set -euo pipefail
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

bench() { exec cargo run --quiet --locked --release --manifest-path "$repo/bench/Cargo.toml" -- "$@"; }

case ${1:-} in
  report | help | --help | -h | --version | -V) bench "$@" ;;
esac

if [ -z "${NOTIFIER:-}" ]; then
  say "building the node"
  (cd "$repo" && cargo build --locked --release)
  NOTIFIER=${CARGO_TARGET_DIR:-$repo/target}/release/notifier
fi
nats_server=$("$repo/scripts/nats-server.sh")

case ${1:-} in
  resume | soak | startup)
    word=$1
    shift
    say "building the benchmark"
    bench "$word" --node "$NOTIFIER" --nats-server "$nats_server" "$@"
    ;;
esac

peer=$repo/bench/peers/ws
if ! { runs node --version && runs npm --version; }; then
  say "no Node.js here: the target ws is left out"
elif ! cmp -s "$peer/package-lock.json" "$peer/node_modules/.stamp"; then
  alone bench-ws
  say "installing the npm packages of bench/peers/ws"
  (cd "$peer" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >&2
  cp "$peer/package-lock.json" "$peer/node_modules/.stamp"
fi

say "building the benchmark"
bench --node "$NOTIFIER" --nats-server "$nats_server" "$@"
