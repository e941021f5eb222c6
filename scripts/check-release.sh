#!/usr/bin/env bash
# Cuts releases in a scratch clone of this commit and looks at what came of them.
set -euo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
git clone --quiet --depth 1 "file://$repo" "$scratch/clone"
cd "$scratch/clone"
# What is being worked on counts too, committed or not.
git -C "$repo" diff --binary HEAD | git apply --allow-empty
export GIT_AUTHOR_NAME=check GIT_AUTHOR_EMAIL=check@localhost GIT_COMMITTER_NAME=check GIT_COMMITTER_EMAIL=check@localhost
git add --all
git commit --quiet --allow-empty --message 'tests: take what is being worked on'
# Never into the target folder of the checkout.
export CARGO_TARGET_DIR=$scratch/target

failed=0
fault() { echo "check-release.sh: $*" >&2; failed=1; }
release() { make --no-print-directory release VERSION="$1" 2>&1; }
# refuses VERSION REASON: nothing may change.
refuses() {
  local said before
  before=$(git rev-parse HEAD)
  if said=$(release "$1"); then fault "$1 was released"; return; fi
  [[ $said == *"$2"* ]] || fault "$1 was refused without saying \"$2\": $said"
  [ "$(git rev-parse HEAD)" = "$before" ] || fault "$1 was refused and committed"
}
# is WHAT FOUND EXPECTED
is() { [ "$2" = "$3" ] || fault "$1 is \"$2\", not \"$3\""; }
version() { awk '$0 == "name = \"notifier\"" { getline; print $3; exit }' "$1" | tr -d '"'; }

refuses '' 'has to be like'
refuses v1.2.3 'has to be like'
refuses 0.0.1 'is older than'
echo >>README.md
refuses 90.1.0 'commit or stash'
git checkout --quiet README.md

# Versions of the browser library that the release keeps.
library() { (cd client/versions && echo */); }
first=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' client/package.json)/

notes=$(scripts/notes.sh Unreleased)
[ -n "$notes" ] || fault "CHANGELOG.md has nothing under [Unreleased]"
release 90.1.0-rc.1 >/dev/null || fault "90.1.0-rc.1 was not released"
[ "$(scripts/notes.sh 90.1.0-rc.1)" = "$notes" ] || fault "the notes are not what was unreleased"
is 'what is unreleased' "$(scripts/notes.sh Unreleased)" ''
is 'the library of the release' "$(library)" "$first"
refuses 90.1.0 'nothing under [Unreleased]'
sed -i 's/^## \[Unreleased\]$/&\n\n### Fixed\n\n- One thing./' CHANGELOG.md
echo >>client/dist/notifier.js
git commit --quiet --all --message 'docs: mend one thing'
refuses 90.1.0 'raise the version'
sed -i 's/^  "version": ".*",$/  "version": "90.0.0",/' client/package.json
git commit --quiet --all --message 'client: raise the version'
release 90.1.0 >/dev/null || fault "90.1.0 was not released"
refuses 90.1.0-rc.2 'is older than'

is 'the libraries of both releases' "$(library)" "$first 90.0.0/"
scripts/client-versions.sh check || fault 'the libraries of the releases have changed'
is 'the tag' "$(git describe --exact-match)" v90.1.0
for file in Cargo.toml Cargo.lock bench/Cargo.lock fuzz/Cargo.lock; do
  is "the version of $file" "$(version "$file")" 90.1.0
done
is 'the versions of the chart' "$(sed -n 's/^\(version\|appVersion\): //p' deploy/helm/notifier/Chart.yaml | xargs)" '90.1.0 90.1.0'
is 'the tag of the image' "$(sed -n 's/^ *newTag: //p' deploy/kubernetes/base/kustomization.yaml)" 90.1.0
is 'the notes' "$(scripts/notes.sh 90.1.0)" $'### Fixed\n\n- One thing.'
scripts/check-commits.sh HEAD~1..HEAD || fault "the commit's own subject is refused"
[ -z "$(git status --porcelain)" ] || fault "something is left: $(git status --porcelain | head -n1)"
exit $failed
