#!/usr/bin/env bash
# Installs what the interoperability tests and linters need (tests/peers) and prints the path of their Python.
set -euo pipefail
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

peers=$repo/tests/peers

missing=()
runs node --version || missing+=("Node.js (node)")
runs npm --version || missing+=("npm")
python=$(python_at_least 3.10 venv ensurepip) || missing+=("Python 3.10 or newer with venv (Debian: python3-venv)")
[ ${#missing[@]} = 0 ] || die "missing: $(printf '%s; ' "${missing[@]}" | sed 's/; $//')"

# The stamps are copies of what was installed from, in the folders they speak of: a deleted folder takes its stamp along.
# Node and Python stand in them too, since both folders die with the version they were made for.
node_stamp() { node --version; cat "$peers/package-lock.json"; }
python_stamp() { "$python" -c 'import sys; print(sys.version, sys.executable)'; cat "$peers/requirements.txt"; }
same() { [ -f "$2" ] && [ "$("$1")" = "$(cat "$2")" ]; }
node_fresh() { same node_stamp "$peers/node_modules/.stamp"; }
# Another checkout may want other packages: each set has a folder, which is not touched once it is complete.
venv=$cache/peers-$(python_stamp | fingerprint)
python_fresh() { same python_stamp "$venv/stamp" && runs "$venv/bin/python" --version; }

if ! { node_fresh && python_fresh; }; then
  alone peers
  if ! node_fresh; then
    say "installing the npm packages of tests/peers"
    # Nothing there needs install scripts, and a package that gains one should not run it here.
    (cd "$peers" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >&2
    node_stamp >"$peers/node_modules/.stamp"
  fi
  if ! python_fresh; then
    say "installing the Python packages of tests/peers"
    rm -rf "$venv"
    "$python" -m venv "$venv" >&2
    # Wheels only: building from source would run code that no hash covers.
    "$venv/bin/python" -m pip install -q --disable-pip-version-check --only-binary=:all: --require-hashes \
      -r "$peers/requirements.txt" >&2
    python_stamp >"$venv/stamp"
  fi
fi
echo "$venv/bin/python"
