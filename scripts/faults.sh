#!/usr/bin/env bash
# Every kind of bad weather in the backend, as tests; the table of docs/reliability.md with what was measured.
set -euo pipefail
cd "$(dirname "$0")/.."
made=target/tmp/faults.md
page=docs/reliability.md
rm -f "$made"
status=0
cargo test --locked --package provider --test it -- --nocapture faults::run::in_every_weather || status=$?
if [ ! -f "$made" ]; then
    echo "faults: the tests made no table" >&2
    exit 1
fi
# A table with rows that failed is worth reading too, but not worth keeping.
if [ "$status" -ne 0 ]; then
    cat "$made"
    exit "$status"
fi
new=$(mktemp)
trap 'rm -f "$new"' EXIT
awk -v made="$made" '
    /^<!-- \/faults -->$/ { inside = 0 }
    !inside { print }
    /^<!-- faults -->$/ { inside = 1; while ((getline line < made) > 0) print line }
' "$page" >"$new"
cat "$new" >"$page"
echo "==> faults: $page holds what was measured"
