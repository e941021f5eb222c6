#!/usr/bin/env bash
# mutants.sh [--changed] [ARG..]: changes the code that decides, one small change at a time, and lists the changes that no
# test notices. Each is a build of its own, so all of them take days, and one file (ARGS='--re src/rate.rs') minutes.
# --changed: only in lines of src that this branch changed, or, on main itself, the last day.
# .cargo/mutants.toml says which files, and what is left out and why. The answer is in target/mutants.out.
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

cd "$repo"
target=${CARGO_TARGET_DIR:-$repo/target}
mkdir -p "$target"
if [ "${1:-}" = --changed ]; then
  shift
  base=$(git merge-base origin/main HEAD 2>/dev/null) || base=
  if [ -z "$base" ] || [ "$base" = "$(git rev-parse HEAD)" ]; then
    base=$(git rev-list -1 --before='1 day ago' HEAD)
  fi
  # Nothing is that old: a shallow clone, or a project of today.
  [ -n "$base" ] || base=$(git rev-list HEAD | tail -n1)
  git diff "$base" -- src >"$target/changed.diff"
  if [ ! -s "$target/changed.diff" ]; then
    say "src is as it was at $(git rev-parse --short "$base")"
    exit
  fi
  set -- --in-diff "$target/changed.diff" "$@"
fi

folder=$("$repo/scripts/cargo-tool.sh" cargo-mutants)
PATH=$folder:$PATH
# The tests run in copies of the tree: the server is looked for once, for all of them.
NATS_SERVER=$("$repo/scripts/nats-server.sh")
export NATS_SERVER
# A target folder of its own: what is built from changed code must not stand in the usual one.
CARGO_TARGET_DIR=$target/mutants cargo mutants --output "$target" "$@"
