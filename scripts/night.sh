#!/usr/bin/env bash
# night.sh WORD..: runs `make WORD` for each, goes on after one that fails, and tells at the end how long each took. Exits 1
# if any failed. What they say is kept in target/night.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=${CARGO_TARGET_DIR:-target}/night
mkdir -p "$out"
rows=() failed=0
for word in "$@"; do
  echo "== make $word" >&2
  begun=$SECONDS verdict=passed
  make --no-print-directory "$word" 2>&1 | tee "$out/$word.log" || { verdict=FAILED failed=1; }
  rows+=("$(printf '%-16s %-7s %5d s' "$word" "$verdict" $((SECONDS - begun)))")
done
printf '%s\n' "${rows[@]}"
exit $failed
