#!/usr/bin/env bash
# Writes what the node is made of, with versions, licences and hashes, as CycloneDX JSON.
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

folder=$("$repo/scripts/cargo-tool.sh" cargo-cyclonedx)
PATH=$folder:$PATH
target=${CARGO_TARGET_DIR:-$repo/target}
mkdir -p "$target"
cd "$repo"
# It writes beside each manifest of the workspace; what is built for development is no part of the node.
cargo cyclonedx -q --format json --spec-version 1.5 --no-build-deps --override-filename notifier.cdx
rm verify/notifier.cdx.json
mv notifier.cdx.json "$target/notifier.cdx.json"
echo "$target/notifier.cdx.json"
