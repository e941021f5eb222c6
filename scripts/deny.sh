#!/usr/bin/env bash
# deny.sh CHECK..: what deny.toml allows, for the node, its benchmark and its fuzz targets. Advisories come from the
# network, or, with ADVISORY_DB=FOLDER, from a git repository there that is a copy of rustsec/advisory-db. How old that
# copy is decides what it is worth; it is said at the end.
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

folder=$("$repo/scripts/cargo-tool.sh" cargo-deny)
PATH=$folder:$PATH
config=$repo/deny.toml
offline=()
if [[ " $* " == *" advisories "* && -n ${ADVISORY_DB:-} ]]; then
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  # The name under which cargo-deny keeps what it fetches from the usual address.
  git clone -q "$ADVISORY_DB" "$scratch/advisory-db-3157b0e258782691" || die "ADVISORY_DB is no git repository"
  sed "s|^\[advisories\]|&\ndb-path = \"$scratch\"\nmaximum-db-staleness = \"P10000D\"|" "$config" >"$scratch/deny.toml"
  config=$scratch/deny.toml
  offline=(--offline)
fi
for manifest in Cargo.toml bench/Cargo.toml fuzz/Cargo.toml; do
  say "$manifest: $*"
  cargo deny "${offline[@]}" --locked --manifest-path "$repo/$manifest" --config "$config" \
    check --hide-inclusion-graph "$@"
done
if [ ${#offline[@]} -gt 0 ]; then
  copy=$scratch/advisory-db-3157b0e258782691
  say "advisories known up to $(git -C "$copy" log -1 --format=%cs), $(git -C "$copy" ls-files 'crates/*.md' | wc -l) of" \
    "them; nothing that was found since then was checked"
fi
