#!/usr/bin/env bash
# Prints the path of promtool, which checks Prometheus rules; takes it from the distribution's package where it is missing.
set -euo pipefail
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

cached=$cache/bin/promtool-$(system)

if runs promtool --version; then
  command -v promtool
  exit
fi
if [ ! -x "$cached" ]; then
  alone promtool
  if [ ! -x "$cached" ]; then
    unpack prometheus || die "no promtool: install Prometheus"
    runs "$work/package/usr/bin/promtool" --version || die "the package's promtool does not run here"
    mv "$work/package/usr/bin/promtool" "$cached"
  fi
fi
echo "$cached"
