#!/usr/bin/env bash
# Loads two nodes under a real Prometheus and asks it everything that the dashboard asks: each query has to return data,
# each rule has to be evaluated, and no alert may fire. $NOTIFIER names the node's binary.
set -euo pipefail
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

notifier=${NOTIFIER:-$repo/target/release/notifier}
[ -x "$notifier" ] || die "there is no $notifier; run \`cargo build --release\`, or set \$NOTIFIER"
python=$("$repo/scripts/peers.sh")
exec "$python" "$repo/scripts/check_dashboard.py" data \
  "$("$repo/scripts/nats-server.sh")" "$notifier" "$("$repo/scripts/prometheus.sh")"
