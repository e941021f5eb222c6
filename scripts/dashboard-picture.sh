#!/usr/bin/env bash
# Draws docs/images/dashboard.png: the dashboard's own queries, answered by a Prometheus that scrapes two nodes under load,
# of which NATS is taken away for some seconds. $NOTIFIER names the node's binary, $SECONDS_OF_LOAD how long it takes.
set -euo pipefail
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

notifier=${NOTIFIER:-$repo/target/release/notifier}
[ -x "$notifier" ] || die "there is no $notifier; run \`cargo build --release\`, or set \$NOTIFIER"
requirements=$repo/tests/monitoring/requirements.txt
python=$(python_at_least 3.11 venv ensurepip) || die "missing: Python 3.11 or newer with venv"
stamp() { "$python" -c 'import sys; print(sys.version, sys.executable)'; cat "$requirements"; }
venv=$cache/picture-$(stamp | fingerprint)
if ! [ -f "$venv/stamp" ]; then
  alone picture
  say "installing matplotlib"
  rm -rf "$venv"
  "$python" -m venv "$venv" >&2
  "$venv/bin/python" -m pip install -q --disable-pip-version-check --only-binary=:all: --require-hashes -r "$requirements" >&2
  stamp >"$venv/stamp"
fi
"$venv/bin/python" "$repo/tests/monitoring/picture.py" "$("$repo/scripts/nats-server.sh")" "$notifier" \
  "$("$repo/scripts/prometheus.sh")" "${SECONDS_OF_LOAD:-90}" "$repo/docs/images/dashboard.png"
