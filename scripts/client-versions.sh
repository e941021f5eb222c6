#!/usr/bin/env bash
# client-versions.sh keep|check: the versions of the browser library that were released (client/versions), which nodes serve
# beside their own so that a page survives a rollout.
#   keep   adds client/dist under the version of client/package.json, and leaves it and the two before; a release runs it
#   check  fails where a released version is not what it was, or not what the node embeds
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

KEPT=3
kept=client/versions
sums=SHA384SUMS
table=src/server/client_releases.rs

die() { printf 'client-versions: %s\n' "$*" >&2; exit 1; }

own=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' client/package.json)
[ -n "$own" ] || die "client/package.json states no version"

# Names of folders, newest first. `1.0.0-rc.1` comes before `1.0.0`: with ~ instead of - sort thinks so too.
versions() {
  [ ! -d "$kept" ] || find "$kept" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | tr - '~' | sort -rV | tr '~' -
}
files() { (cd "$kept" && find . -mindepth 2 -type f | sed 's,^\./,,' | LC_ALL=C sort); }

# The table that the node embeds.
table() {
  local version file
  sed '/= &\[$/q' "$table"
  for version in $(versions); do
    printf '    ("%s", &[\n' "$version"
    for file in $(files | grep "^$version/"); do
      printf '        ("%s", include_str!("../../%s/%s")),\n' "${file##*/}" "$kept" "$file"
    done
    printf '    ]),\n'
  done
  printf '];\n'
}

# Under a released number nothing may change: browsers and caches keep these files for a year.
unchanged() {
  local file
  for file in "$kept/$own"/*.js; do
    cmp --quiet "$file" "client/dist/${file##*/}" \
      || die "client/dist/${file##*/} is not the one of $own, which is released: raise the version in client/package.json"
  done
}

case ${1:-} in
  keep)
    if [ -d "$kept/$own" ]; then
      unchanged
    else
      mkdir -p "$kept/$own"
      sed -n 's,.*include_str!("../../client/dist/\(.*\)")).*,\1,p' src/server/client_library.rs |
        while read -r file || [ -n "$file" ]; do cp "client/dist/$file" "$kept/$own/"; done
    fi
    for version in $(versions | tail -n "+$((KEPT + 1))"); do rm -r "${kept:?}/$version"; done
    files | (cd "$kept" && xargs sha384sum >"$sums")
    table >"$table.new"
    mv "$table.new" "$table"
    ;;
  check)
    if [ -d "$kept" ]; then
      (cd "$kept" && sha384sum --check --strict --quiet "$sums") || die "a released version has changed"
      [ "$(files)" = "$(sed 's/^[^ ]*  //' "$kept/$sums")" ] || die "$kept/$sums does not name the files of $kept"
      [ ! -d "$kept/$own" ] || unchanged
    fi
    [ "$(table)" = "$(cat "$table")" ] || die "$table is not what $kept says: run scripts/client-versions.sh keep"
    ;;
  *) die "say keep or check" ;;
esac
