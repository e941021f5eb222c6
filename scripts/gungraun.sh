#!/usr/bin/env bash
# Prints the folder of the runner that `benches/instructions.rs` needs, of the version in Cargo.lock; builds it where it
# is missing. It runs valgrind, which the system's package manager installs.
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

version=$(awk '/^name = "gungraun"$/ { getline; gsub(/"/, "", $3); print $3 }' "$repo/Cargo.lock")
alone gungraun
if ! runs valgrind --version; then
  say "installing valgrind"
  if [ "$(id -u)" = 0 ] && runs apt-get --version; then
    { apt-get update -q && apt-get install -q -y --no-install-recommends valgrind libc6-dbg; } >&2 \
      || die "cannot install valgrind; install it and run this again"
  else
    die "valgrind is missing; install it (Debian: apt-get install valgrind) and run this again"
  fi
fi
home=$cache/gungraun-$version
if [ ! -x "$home/bin/gungraun-runner" ]; then
  say "building gungraun-runner $version"
  cargo install -q --locked --version "$version" --root "$work/gungraun" gungraun-runner >&2
  mv "$work/gungraun" "$home"
fi
echo "$home/bin"
