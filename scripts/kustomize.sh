#!/usr/bin/env bash
# kustomize.sh DIR: renders a Kustomize folder to stdout with kubectl or kustomize, whichever is there.
set -euo pipefail
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

[ $# = 1 ] || die "usage: kustomize.sh DIR"
version=5.8.1 # the newest that Go 1.24 and 1.25 can build
cached=$cache/bin/kustomize-$version

if runs kubectl kustomize --help; then
  exec kubectl kustomize "$1"
elif runs kustomize version; then
  exec kustomize build "$1"
fi
if [ ! -x "$cached" ]; then
  alone kustomize
  if [ ! -x "$cached" ]; then
    go_build sigs.k8s.io/kustomize/kustomize/v5 "v$version" "$work/kustomize" \
      || die "no kubectl, no kustomize, no Go to build it: install one of them"
    mv "$work/kustomize" "$cached"
  fi
  rm -rf "$work"
fi
exec "$cached" build "$1"
