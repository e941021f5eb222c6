#!/usr/bin/env bash
# check-deploy.sh [DIR..]: checks deploy without a cluster: manifests against API schemas, values that must agree, the image.
set -euo pipefail
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

# The oldest Kubernetes that most clusters still run, and the newest that the schemas know.
versions=(1.32 1.37)
dirs=("$@")
shopt -s nullglob
[ $# != 0 ] || dirs=("$repo"/deploy/kubernetes/base "$repo"/deploy/kubernetes/overlays/*/)

bin=$(dirname "$("$repo/scripts/peers.sh")")
rendered=$(mktemp)
trap 'rm -f "$rendered"' EXIT

failed=0
check() { "$@" || failed=1; }
for dir in "${dirs[@]}"; do
  say "checking $dir"
  if "$repo/scripts/kustomize.sh" "$dir" >"$rendered"; then
    for version in "${versions[@]}"; do
      # --strict: without it a misspelt field passes, as it would on a cluster that ignores what it does not know.
      check "$bin/kubernetes-validate" --strict --quiet -k "$version" "$rendered"
    done
    check "$bin/python" "$repo/scripts/check_deploy.py" "$rendered" "$repo/deploy/Dockerfile"
  else
    failed=1
  fi
done
check "$bin/hadolint" "$repo/deploy/Dockerfile"
[ $failed = 0 ] || die "deploy/ is not in order"
