#!/usr/bin/env bash
# Prints the path of a Chromium; installs Debian's where there is none.
set -euo pipefail
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

found() {
  local program
  for program in "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
    if [ -n "$program" ] && runs "$program" --version; then
      command -v "$program"
      return
    fi
  done
  return 1
}

if ! found; then
  [ -z "${CHROMIUM:-}" ] || die "\$CHROMIUM does not run; unset it to have one found"
  runs apt-get --version || die "no Chromium: install one, or set \$CHROMIUM"
  alone chromium
  if ! found >/dev/null; then
    say "installing the package chromium"
    root=()
    [ "$(id -u)" = 0 ] || root=(sudo -n)
    ${root[@]+"${root[@]}"} apt-get update -q >&2 9>&- || say "the lists of packages are those from before"
    DEBIAN_FRONTEND=noninteractive ${root[@]+"${root[@]}"} apt-get install -qy --no-install-recommends chromium >&2 9>&- \
      || die "no Chromium: install one, or set \$CHROMIUM"
  fi
  found || die "the installed Chromium does not run"
fi
