#!/usr/bin/env bash
# cargo-tool.sh cargo-deny: prints the folder of a program that cargo installs, of the version below; builds it where it
# is missing, which takes minutes, once.
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

tool=${1:?a tool} program=$1
case $tool in
  cargo-deny) version=0.20.2 ;;
  cargo-cyclonedx) version=0.5.9 ;;
  inferno) version=0.12.8 program=inferno-flamegraph ;;
  cargo-mutants) version=27.1.0 ;;
  cargo-llvm-cov) version=0.9.1 ;;
  *) die "no version of $tool is pinned here" ;;
esac
alone "$tool"
home=$cache/$tool-$version
if [ ! -x "$home/bin/$program" ]; then
  say "building $tool $version"
  cargo install -q --locked --version "$version" --root "$work/$tool" "$tool" >&2
  mv "$work/$tool" "$home"
fi
echo "$home/bin"
