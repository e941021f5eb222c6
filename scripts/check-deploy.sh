#!/usr/bin/env bash
# check-deploy.sh [DIR..]: checks deploy without a cluster: the chart, manifests against API schemas, values that must agree,
# policies, that chart and Kustomize say the same, the image, the Compose file. With folders of Kustomize only those.
set -euo pipefail
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

bin=$(dirname "$("$repo/scripts/peers.sh")")
helm=$("$repo/scripts/helm.sh")
schemas=$("$repo/scripts/schemas.sh")
chart=$repo/deploy/helm/notifier

failed=0
check() { "$@" || failed=1; }
check "$bin/python" "$repo/scripts/deploy/check.py" --repository "$repo" --helm "$helm" --kustomize "$repo/scripts/kustomize.sh" \
  --validate "$bin/kubernetes-validate" --schemas "$schemas" "$@"
if [ $# = 0 ]; then
  for values in dev production; do
    check "$helm" lint --strict --quiet "$chart" --values "$chart/values-$values.yaml"
  done
  check "$bin/python" "$repo/scripts/deploy/compose.py" "$schemas/compose-spec.json" "$repo/deploy/compose"
  check "$bin/hadolint" "$repo/deploy/Dockerfile"
fi
[ $failed = 0 ] || die "deploy/ is not in order"
