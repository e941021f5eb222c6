#!/usr/bin/env bash
# release.sh VERSION: cuts the changelog, writes the version where it stands, commits and tags. Nothing leaves this machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'release: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

version=${1:-}
[[ $version =~ ^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9a-z]+(\.[0-9a-z]+)*)?$ ]] \
  || die "VERSION has to be like 1.2.3 or 1.2.3-rc.1: make release VERSION=1.2.3"
current=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n1)
tag=v$version

if git rev-parse --quiet --verify "refs/tags/$tag" >/dev/null; then die "there is a tag $tag"; fi
# `1.0.0-rc.1` comes before `1.0.0`: with ~ instead of - sort thinks so too.
newest=$(printf '%s\n%s\n' "${current/-/\~}" "${version/-/\~}" | sort -V | tail -n1)
[ "$newest" = "${version/-/\~}" ] || die "$version is older than $current, which Cargo.toml says"
[ -z "$(git status --porcelain)" ] || die "commit or stash what has changed first: $(git status --porcelain | head -n1)"
[ -n "$(scripts/notes.sh Unreleased)" ] || die "CHANGELOG.md has nothing under [Unreleased]"
scripts/client-versions.sh check || die "the browser library cannot be released as it is"

# replace FILE EXPRESSION: one sed expression that has to change the file.
replace() {
  local before after
  before=$(cksum <"$1")
  sed -i "$2" "$1"
  after=$(cksum <"$1")
  [ "$before" != "$after" ] || die "$1 does not look as expected; nothing is committed, \`git checkout .\` undoes the rest"
}

replace CHANGELOG.md "s/^## \[Unreleased\]\$/&\n\n## [$version] - $(date -u +%F)/"
if [ "$version" != "$current" ]; then
  replace Cargo.toml "0,/^version = \".*\"\$/s//version = \"$version\"/"
  # Each lock names the node by its folder.
  for lock in Cargo.lock bench/Cargo.lock fuzz/Cargo.lock; do
    replace "$lock" "/^name = \"notifier\"\$/{n;s/^version = \".*\"\$/version = \"$version\"/;}"
  done
  replace deploy/helm/notifier/Chart.yaml "s/^\(version\|appVersion\): .*/\1: $version/"
  replace deploy/kubernetes/base/kustomization.yaml "s/^\( *newTag: \).*/\1$version/"
fi
scripts/client-versions.sh keep
git add client/versions
host=$(rustc -vV | sed -n 's/^host: //p')
cargo metadata --quiet --locked --format-version 1 --filter-platform "$host" >/dev/null \
  || die "Cargo.lock does not fit; \`git checkout .\` undoes all"

git commit --quiet --all --message "release: cut version $version" --message "$(scripts/notes.sh "$version")"
git tag --annotate "$tag" --message "Notifier $version"
say "committed and tagged; \`git push origin HEAD $tag\` publishes it (.github/workflows/release.yml)"
