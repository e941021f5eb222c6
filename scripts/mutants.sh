#!/usr/bin/env bash
# mutants.sh [ARG..]: changes the code that decides, one small change at a time, and lists the changes that no test
# notices. Each is a build of its own, so all of them take days, and one file (ARGS='--re src/rate.rs') minutes.
# .cargo/mutants.toml says which files, and what is left out and why. The answer is in target/mutants.out.
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

folder=$("$repo/scripts/cargo-tool.sh" cargo-mutants)
PATH=$folder:$PATH
# The tests run in a copy of the tree, which has no cache of its own.
NATS_SERVER=$("$repo/scripts/nats-server.sh")
export NATS_SERVER NOTIFIER_CACHE=$cache
target=${CARGO_TARGET_DIR:-$repo/target}
mkdir -p "$target"
cd "$repo"
# A target folder of its own: what is built from changed code must not stand in the usual one.
CARGO_TARGET_DIR=$target/mutants cargo mutants --output "$target" "$@"
