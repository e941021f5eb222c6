#!/usr/bin/env bash
# Prints the path of promtool, which checks Prometheus rules.
exec "$(dirname "${BASH_SOURCE[0]}")/prometheus.sh" promtool
