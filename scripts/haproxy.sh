#!/usr/bin/env bash
# Prints the path of HAProxy; takes it from the distribution's packages where it is missing.
set -euo pipefail
# shellcheck source=scripts/cache.sh
source "$(dirname "${BASH_SOURCE[0]}")/cache.sh"

# Debian puts it where only root's PATH looks.
for program in haproxy /usr/sbin/haproxy; do
  if runs "$program" -v; then
    command -v "$program"
    exit
  fi
done
# A folder: the program brings libraries that are seldom installed.
folder=$cache/haproxy-$(system)
if [ ! -d "$folder" ]; then
  alone haproxy
  if [ ! -d "$folder" ]; then
    unpack haproxy liblua5.3-0 libopentracing-c-wrapper0 libopentracing1 || die "no HAProxy: install it"
    made=$work/haproxy
    mkdir "$made"
    mv "$work/package/usr/sbin/haproxy" "$made/program"
    find "$work/package/usr/lib" -name '*.so.*' -exec mv {} "$made/" \;
    cat >"$made/haproxy" <<'END'
#!/bin/sh
here=$(dirname "$0")
LD_LIBRARY_PATH=$here exec "$here/program" "$@"
END
    chmod +x "$made/haproxy"
    runs "$made/haproxy" -v || die "the package's HAProxy does not run here: install it"
    mv "$made" "$folder"
  fi
fi
echo "$folder/haproxy"
