#!/usr/bin/env bash
# check-commits.sh [RANGE]: whether commits are named as CONTRIBUTING.md asks: `area: imperative`. Without a range these are
# the commits since origin/main, or the last twenty where that is not known or is where we are. Merges are not looked at.
# check-commits.sh --stdin: subjects, one a line.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

longest=100 # characters; what follows is cut where commits are listed

# Says what is wrong with a subject, if anything.
fault() {
  local subject=$1 words first
  if [[ ! $subject =~ ^[a-z][a-z0-9_./-]*(,\ [a-z][a-z0-9_./-]*)*:\ (.+)$ ]]; then
    echo "has no area: \`area: imperative\`, such as \`outbox: drop what waits for a slow consumer\`"
    return
  fi
  words=${BASH_REMATCH[2]}
  first=${words%%[^[:alnum:]-]*}
  if [ ${#subject} -gt $longest ]; then
    echo "has ${#subject} characters; at most $longest"
  elif [[ $words == *. ]]; then
    echo "ends in a full stop"
  else
    case $first in
      # Imperatives that end like other forms.
      bring | cling | fling | ping | ring | sing | spring | string | swing | wring) ;;
      embed | exceed | feed | heed | need | proceed | seed | shed | shred | speed | succeed | weed) ;;
      alias | bias | canvas | focus | *ss) ;;
      '' | [A-Z]*) echo "begins with \`${words%% *}\` behind its area, which is no verb in lower case" ;;
      a | an | the | this | that | these | its | his | their | our | no | nothing | some | all | every | each | more | new | \
        what | who | whoever | whom | which | where | when | why | how | whether | if | for | of | in | on | to | with)
        echo "begins with \`$first\`; begin with what the commit does: add, move, refuse" ;;
      *ed | *ing | *s) echo "begins with \`$first\`; write the imperative: \`add\`, not \`adds\`, \`added\` or \`adding\`" ;;
    esac
  fi
}

subjects() {
  if [ "${1:-}" = --stdin ]; then
    cat
  elif [ $# -gt 0 ]; then
    git log --no-merges --format=%s "$1"
  else
    local base
    # There may be no such branch, and in a shallow clone no common commit.
    base=$(git merge-base origin/main HEAD 2>/dev/null) || base=
    if [ -n "$base" ] && [ "$base" != "$(git rev-parse HEAD)" ]; then
      git log --no-merges --format=%s "$base..HEAD"
    else
      git log --no-merges --format=%s -n 20
    fi
  fi
}

if [ "${1:-}" != --stdin ] && ! git rev-parse --quiet --verify HEAD >/dev/null 2>&1; then
  echo "check-commits.sh: no commits here, nothing to check" >&2
  exit
fi
failed=0
list=$(subjects "$@")
while IFS= read -r subject; do
  [ -n "$subject" ] || continue
  why=$(fault "$subject")
  [ -z "$why" ] || { echo "check-commits.sh: \"$subject\" $why" >&2; failed=1; }
done <<<"$list"
exit $failed
