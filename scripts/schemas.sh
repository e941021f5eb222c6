#!/usr/bin/env bash
# Prints a folder with the schemas that deploy/ is held against besides Kubernetes' own: CRDs of the Gateway API, KEDA and
# Prometheus Operator, and the compose specification. Each is taken from the Go module of its project.
set -euo pipefail
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

operator=example/prometheus-operator-crd/monitoring.coreos.com
sources="
sigs.k8s.io/gateway-api@v1.6.3 config/crd/standard/gateway.networking.k8s.io_httproutes.yaml
github.com/kedacore/keda/v2@v2.21.0 config/crd/bases/keda.sh_scaledobjects.yaml
github.com/prometheus-operator/prometheus-operator@v0.85.0 ${operator}_podmonitors.yaml
github.com/prometheus-operator/prometheus-operator@v0.85.0 ${operator}_servicemonitors.yaml
github.com/prometheus-operator/prometheus-operator@v0.85.0 ${operator}_prometheusrules.yaml
github.com/compose-spec/compose-go/v2@v2.16.2 schema/compose-spec.json
"
folder=$cache/schemas-$(fingerprint <<<"$sources")

if [ ! -d "$folder" ]; then
  alone schemas
  if [ ! -d "$folder" ]; then
    runs go version || die "no Go, whose module proxy has the schemas: install it"
    mkdir "$work/schemas"
    while read -r module file; do
      [ -n "$module" ] || continue
      say "fetching $module"
      # From a folder without a go.mod; sums are checked against Go's sum database.
      found=$(cd "$work" && GOWORK=off GOFLAGS='' go mod download -json "$module" 9>&-) || die "$module cannot be fetched"
      found=$(sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p' <<<"$found")
      cp "$found/$file" "$work/schemas/"
    done <<<"$sources"
    chmod -R u+w "$work/schemas"
    mv "$work/schemas" "$folder"
  fi
fi
echo "$folder"
