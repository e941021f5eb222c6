#!/usr/bin/env bash
# cluster.sh up|roll|kill|check [OPTION..]: a cluster on this machine without containers; --help behind the verb has the
# options. NOTIFIER names another node than that of `make run`.
set -euo pipefail
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

notifier=${NOTIFIER:-${CARGO_TARGET_DIR:-$repo/target}/release/notifier}
[ -x "$notifier" ] || die "there is no $notifier; run \`cargo build --release\`, or set \$NOTIFIER"
python=$("$repo/scripts/peers.sh")
nats_server=$("$repo/scripts/nats-server.sh")
haproxy=$("$repo/scripts/haproxy.sh")
prometheus=$("$repo/scripts/prometheus.sh")
# Two descriptors per client in the balancer, one in the node.
ulimit -n "$(ulimit -Hn)"
exec "$python" "$repo/scripts/cluster/main.py" --repository "$repo" --notifier "$(realpath "$notifier")" \
  --nats-server "$nats_server" --haproxy "$haproxy" --prometheus "$prometheus" "$@"
