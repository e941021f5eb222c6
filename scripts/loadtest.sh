#!/usr/bin/env bash
# loadtest.sh [SCENARIO] [ARGUMENT..]: runs loadtest/SCENARIO.js (smoke) against a node of its own, or against NODE_URL.
# Arguments go to k6, sizes come from the environment (loadtest/README.md). Exits with k6's code: 0 only when every
# threshold held.
# shellcheck disable=SC2329 # functions are called by `trap` and `within`
set -euo pipefail
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

notifier=${NOTIFIER:-$repo/target/release/notifier}
patience=10 # seconds for nats-server and for the node; each needs a fraction of one

dir=$(mktemp -d)
started=()
finish() {
  local pid
  # Backwards: who uses a server ends before it.
  for ((i = ${#started[@]} - 1; i >= 0; i--)); do
    pid=${started[i]}
    kill "$pid" 2>/dev/null || continue
    for _ in {1..50}; do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
  done
  rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# within LOG COMMAND..: repeats it until it succeeds; shows the log when it does not, or when the process has ended.
within() {
  local log=$1 deadline=$((SECONDS + patience))
  shift
  until "$@"; do
    if [ "$SECONDS" -ge "$deadline" ] || ! kill -0 "${started[-1]}" 2>/dev/null; then
      cat "$log" >&2
      die "it did not start; ${log##*/} is above"
    fi
    sleep 0.05
  done
}

scenario=smoke
if [ $# != 0 ] && [[ $1 != -* ]]; then
  scenario=$1
  shift
fi
[ -f "$repo/loadtest/$scenario.js" ] || die "there is no scenario $scenario, only: $(cd "$repo/loadtest" && echo *.js)"
k6=$("$repo/scripts/k6.sh")

if [ -z "${NODE_URL:-}" ]; then
  [ -x "$notifier" ] || die "there is no $notifier; run \`cargo build --release\`, or set \$NOTIFIER or \$NODE_URL"
  nats_server=$("$repo/scripts/nats-server.sh")
  # One descriptor per client, here and in k6; the usual soft limit is 1024.
  ulimit -n "$(ulimit -Hn)"

  "$nats_server" --addr 127.0.0.1 --port -1 --ports_file_dir "$dir" -js -sd "$dir/js" >"$dir/nats-server.log" 2>&1 &
  started+=($!)
  nats_url() { nats=$(grep -ohE 'nats://[0-9.:]+' "$dir"/*.ports 2>/dev/null); }
  within "$dir/nats-server.log" nats_url

  # Port 0, then the addresses from the log: a port that was looked for beforehand may be taken by the time it is used.
  cat >"$dir/notifier.toml" <<END
[server]
listen = "127.0.0.1:0"
internal_listen = "127.0.0.1:0"
[broker.nats]
urls = ["$nats"]
[auth]
mode = "anonymous"
[[streams]]
name = "LOADTEST"
subjects = ["loadtest-stored.>"]
storage = "memory"
[[subjects]]
pattern = "loadtest-stored.>"
delivery = "durable"
stream = "LOADTEST"
END
  : >"$dir/notifier.log" # read before the node has begun to write it
  "$notifier" serve --config "$dir/notifier.toml" --log-format json >"$dir/notifier.log" 2>&1 &
  started+=($!)
  address() { sed -nE "s/.*\"$1\":\"([0-9.]+:[0-9]+)\".*/\1/p" "$dir/notifier.log" | grep -m1 .; }
  is_ready() { internal=$(address internal) && curl -fsS -o "$dir/readyz" "http://$internal/readyz" 2>/dev/null; }
  within "$dir/notifier.log" is_ready
  NODE_URL=http://$(address clients)
  export NODE_URL
fi

if [ "$scenario" = slow-readers ] && [ -z "${SLOW_URL:-}" ]; then
  [[ $NODE_URL == http://* ]] || die "slow-readers needs plain HTTP, or SLOW_URL: the line does not speak TLS"
  node=${NODE_URL%%,*}
  python=$(python_at_least 3.8) || die "missing: Python 3.8 or newer"
  : >"$dir/slow-line.log"
  "$python" "$repo/loadtest/slow_line.py" "${node#http://}" "${SLOW_BYTES:-20000}" >"$dir/slow-line.log" 2>&1 &
  started+=($!)
  slow_url() { SLOW_URL=http://$(grep -m1 -E '^[0-9.]+:[0-9]+$' "$dir/slow-line.log"); }
  within "$dir/slow-line.log" slow_url
  export SLOW_URL
fi

# Nothing goes to k6's makers: no usage report, and no build of an extension for an import it does not know.
export K6_AUTO_EXTENSION_RESOLUTION=false
# In the background, since a shell that waits for a foreground command does not hear signals.
"$k6" run --no-usage-report --quiet "$@" "$repo/loadtest/$scenario.js" &
started+=($!)
code=0
wait $! || code=$?
exit "$code"
