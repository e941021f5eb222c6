#!/usr/bin/env bash
# notes.sh VERSION: prints what CHANGELOG.md says of a version, or of `Unreleased`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

[ $# = 1 ] || { echo "usage: notes.sh VERSION" >&2; exit 2; }
# From its heading to the next one, or to the links at the end; without blank lines at either end.
awk -v heading="## [$1]" '
  index($0, heading) == 1 { on = 1; next }
  on && (/^## / || /^\[[^]]+\]: /) { exit }
  on && (NF || printed) { blank = blank $0 "\n"; if (NF) { printf "%s", blank; blank = ""; printed = 1 } }
' CHANGELOG.md
