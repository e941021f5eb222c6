#!/usr/bin/env bash
# The sample shop on a real nats-server and two nodes behind one address. Nodes that die are started again.
set -euo pipefail
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

runs python3 --version || die "missing: Python 3.10 (python3)"
nats=$("$repo/scripts/nats-server.sh")
cargo build --locked --manifest-path "$repo/Cargo.toml"
exec python3 "$repo/scripts/demo-nats.py" "$nats" "${CARGO_TARGET_DIR:-$repo/target}/debug/notifier" "$@"
