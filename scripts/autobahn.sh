#!/usr/bin/env bash
# Prints the path of wstest, the reference WebSocket conformance runner; exits 3 where there is no Python 2.7 to run it.
set -euo pipefail
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

# wstest exits 0 even when cases fail: callers must read its index.json and count the cases.
version=25.10.1
lock=$repo/scripts/autobahn.constraints.txt
venv=$cache/autobahn-$version-$(fingerprint <"$lock")

python27() {
  local python
  for python in "${PYTHON27:-}" python2.7 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7.*/bin/python2.7; do
    if [ -n "$python" ] && runs "$python" -c 'import sys, pip; sys.exit(sys.version_info[:2] != (2, 7))'; then
      command -v "$python"
      return
    fi
  done
  return 1
}

if ! cmp -s "$lock" "$venv/stamp"; then
  python=$(python27) || {
    say "no Python 2.7 with pip (looked at \$PYTHON27, PATH, pyenv): the reference runner needs one, the tests do not"
    exit 3
  }
  alone autobahn
  if ! cmp -s "$lock" "$venv/stamp"; then
    say "installing autobahntestsuite $version, which takes half a minute"
    rm -rf "$venv"
    # pip warns on every call that Python 2.7 has ended.
    export PIP_NO_PYTHON_VERSION_WARNING=1 PIP_DISABLE_PIP_VERSION_CHECK=1
    # virtualenv goes into the scratch folder: the Python we were given stays untouched.
    "$python" -m pip install -q --target "$work/virtualenv" -c "$lock" virtualenv >&2
    PYTHONPATH=$work/virtualenv "$python" -m virtualenv -q "$venv" >&2
    "$venv/bin/pip" install -q -c "$lock" "autobahntestsuite==$version" >&2
    runs "$venv/bin/wstest" --help || die "wstest was installed and does not run"
    cp "$lock" "$venv/stamp"
  fi
fi
echo "$venv/bin/wstest"
