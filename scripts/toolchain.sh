#!/usr/bin/env bash
# Prints the name of an installed toolchain that is the one of rust-toolchain.toml under another name, such as `stable`.
# Prints nothing where rustup has it under its own name, or not at all, or where there is no rustup: then rustup's own
# rules hold. Downloads nothing. Made for the Makefile, which runs it first.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command -v rustup >/dev/null || exit 0
wanted=$(sed -n 's/^channel = "\(.*\)"$/\1/p' rust-toolchain.toml)
# `stable-x86_64-unknown-linux-gnu (active, default)`, the name alone.
mapfile -t installed < <(rustup toolchain list 2>/dev/null | cut -d' ' -f1)
for name in ${installed[@]+"${installed[@]}"}; do
  [[ $name != "$wanted" && $name != "$wanted"-* ]] || exit 0
done
for name in ${installed[@]+"${installed[@]}"}; do
  # Asked for by name, so that rustup does not look at rust-toolchain.toml and install what stands there.
  found=$(RUSTUP_TOOLCHAIN=$name RUSTUP_AUTO_INSTALL=0 rustc --version 2>/dev/null | cut -d' ' -f2) || continue
  if [ "$found" = "$wanted" ]; then
    echo "$name"
    exit
  fi
done
