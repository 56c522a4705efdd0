#!/usr/bin/env bash
# Instructions of the hot paths, next to those in crates/cost/recorded.json.
# RECORD=1 writes today's into that file.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || scripts/apt-install.sh valgrind
scripts/cost-build.sh
exec target/cost/cost ${RECORD:+--record} crates/cost/recorded.json
