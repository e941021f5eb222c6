#!/usr/bin/env bash
# prometheus.sh [prometheus | promtool]: prints the path of the program; takes it from the distribution's package where it
# is missing.
set -euo pipefail
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

program=${1:-prometheus}
# The distribution decides the version.
system=$(. /etc/os-release 2>/dev/null && echo "${ID:-linux}-${VERSION_ID:-rolling}") || system=$(uname -s)
cached=$cache/bin/$program-$system

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
# As root, apt would fetch as a user of its own, who cannot write into our folder.
download() { (cd "$work" && apt-get download -qq -o APT::Sandbox::User=root prometheus) >&2; }

if runs "$program" --version; then
  command -v "$program"
  exit
fi
if [ ! -x "$cached" ]; then
  alone prometheus
  if [ ! -x "$cached" ]; then
    command -v apt-get dpkg >/dev/null || die "no $program and no apt: install Prometheus"
    # Unpacked, not installed: that needs no root and starts no Prometheus.
    say "fetching the package prometheus"
    download || { as_root apt-get update -qq >&2 && download; } || die "apt has no package prometheus"
    dpkg -x "$work"/prometheus_*.deb "$work/package"
    for each in promtool prometheus; do
      runs "$work/package/usr/bin/$each" --version || die "the package's $each does not run here"
      mv "$work/package/usr/bin/$each" "$cache/bin/$each-$system"
    done
  fi
fi
echo "$cached"
