#!/usr/bin/env bash
# Prints the path of actionlint, which checks the workflows of CI; builds it where it is missing.
set -euo pipefail
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

version=1.7.12
cached=$cache/bin/actionlint-$version

if [ ! -x "$cached" ]; then
  alone actionlint
  [ -x "$cached" ] \
    || go_build github.com/rhysd/actionlint "v$version" "$cached" cmd/actionlint \
    || die "no actionlint: install Go, which builds it"
fi
echo "$cached"
