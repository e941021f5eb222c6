#!/usr/bin/env bash
# prometheus.sh [prometheus | promtool]: prints the path of the program; takes it from the distribution's package where it
# is missing.
set -euo pipefail
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

program=${1:-prometheus}
system=$(system)
cached=$cache/bin/$program-$system

if runs "$program" --version; then
  command -v "$program"
  exit
fi
if [ ! -x "$cached" ]; then
  alone prometheus
  if [ ! -x "$cached" ]; then
    unpack prometheus || die "no $program: install Prometheus"
    for each in promtool prometheus; do
      runs "$work/package/usr/bin/$each" --version || die "the package's $each does not run here"
      mv "$work/package/usr/bin/$each" "$cache/bin/$each-$system"
    done
  fi
fi
echo "$cached"
