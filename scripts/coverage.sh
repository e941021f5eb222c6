#!/usr/bin/env bash
# coverage.sh [ARG..]: what the unit tests and tests/it reach, in themselves and in the nodes that they start: a table of
# regions, functions and lines by file. Arguments go to cargo-llvm-cov (`--html`, `--summary-only`). A build of its own,
# and one run of the tests: some ten minutes.
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

folder=$("$repo/scripts/cargo-tool.sh" cargo-llvm-cov)
PATH=$folder:$PATH
NATS_SERVER=$("$repo/scripts/nats-server.sh")
export NATS_SERVER
# rustup's llvm-tools are installed where they are missing.
export CARGO_LLVM_COV_SETUP=yes
cd "$repo"
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$repo/target}/coverage cargo llvm-cov --locked --lib --test it "$@"
