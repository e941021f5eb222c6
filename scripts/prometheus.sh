#!/usr/bin/env bash
# Prints the path of Prometheus; takes it from the distribution's package where it is missing.
set -euo pipefail
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

cached=$cache/bin/prometheus-$(system)

if runs prometheus --version; then
  command -v prometheus
  exit
fi
if [ ! -x "$cached" ]; then
  alone prometheus
  if [ ! -x "$cached" ]; then
    unpack prometheus || die "no Prometheus: install it"
    runs "$work/package/usr/bin/prometheus" --version || die "the package's Prometheus does not run here"
    mv "$work/package/usr/bin/prometheus" "$cached"
  fi
fi
echo "$cached"
