#!/usr/bin/env bash
# Lints every shell script of the project with shellcheck, and with actionlint the workflows and the scripts in them.
set -euo pipefail
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

bin=$(dirname "$("$repo/scripts/peers.sh")")
cd "$repo"
"$bin/shellcheck" -x scripts/*.sh tests/docs/bin/{browser,cargo,notifier}
"$("$repo/scripts/actionlint.sh")" -shellcheck "$bin/shellcheck" -pyflakes= .github/workflows/*.yml
