#!/usr/bin/env bash
# Installs what the browser library is built and tested with (client/node_modules).
set -euo pipefail
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

client=$repo/client
missing=()
runs node --version || missing+=("Node.js (node)")
runs npm --version || missing+=("npm")
[ ${#missing[@]} = 0 ] || die "missing: $(printf '%s; ' "${missing[@]}" | sed 's/; $//')"

# The stamp is a copy of what was installed from, in the folder it speaks of: a deleted folder takes its stamp along.
stamp() { node --version; cat "$client/package-lock.json"; }
fresh() { [ -f "$client/node_modules/.stamp" ] && [ "$(stamp)" = "$(cat "$client/node_modules/.stamp")" ]; }

if ! fresh; then
  alone client
  if ! fresh; then
    say "installing the npm packages of client"
    # Nothing there needs install scripts, and a package that gains one should not run it here.
    (cd "$client" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >&2
    stamp >"$client/node_modules/.stamp"
  fi
fi
