#!/usr/bin/env bash
# check-monitoring.sh [--write]: checks deploy/prometheus and deploy/grafana without a node: rules, their tests, their
# runbook, the same rules for Kubernetes, which --write makes anew, and the form of the dashboard.
set -euo pipefail
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

python=$("$repo/scripts/peers.sh")
promtool=$("$repo/scripts/promtool.sh")
check_rules() { "$python" "$repo/scripts/check_rules.py" "$@"; }

if [ "${1:-}" = --write ]; then
  check_rules write
  exit
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0
# Shown only when it fails: promtool repeats the names of all files.
quietly() { "$@" >"$dir/said" 2>&1 || { cat "$dir/said" >&2; failed=1; }; }

say "checking the rules and their runbook"
quietly "$promtool" check rules "$repo/deploy/prometheus/notifier.rules.yaml"
quietly "$promtool" check config --syntax-only "$repo/deploy/prometheus/prometheus.yml"
check_rules check "$("$repo/scripts/schemas.sh")" || failed=1

say "checking the form of the dashboard"
"$python" "$repo/scripts/check_dashboard.py" form || failed=1

say "testing the alerts: each fires, and is quiet"
check_rules tests "$dir"
running=()
for tests in objectives alerts; do
  "$promtool" test rules "$dir/$tests.test.yaml" >"$dir/$tests.said" 2>&1 &
  running+=($!)
done
for tests in objectives alerts; do
  wait "${running[0]}" || { cat "$dir/$tests.said" >&2; failed=1; }
  running=("${running[@]:1}")
done
[ $failed = 0 ] || die "deploy/prometheus or deploy/grafana is not in order"
