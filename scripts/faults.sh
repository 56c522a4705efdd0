#!/usr/bin/env bash
# Every kind of bad weather in the backend, as tests, and a table of what was measured: printed, in
# build/faults.md, and, with --doc FILE, between the marks of that page.
set -euo pipefail
cd "$(dirname "$0")/.."
page=
case ${1-} in
'') ;;
--doc)
    page=${2:?"faults: --doc needs the page that holds the table, as docs/reliability.md"}
    if ! grep -qx '<!-- faults -->' "$page" || ! grep -qx '<!-- /faults -->' "$page"; then
        echo "faults: $page: no <!-- faults --> and <!-- /faults --> in it" >&2
        exit 1
    fi
    ;;
*)
    echo "faults: $1: unknown; scripts/faults.sh [--doc FILE]" >&2
    exit 2
    ;;
esac
made=target/tmp/faults.md
rm -f "$made"
status=0
cargo test --locked --package provider --test it -- --nocapture faults::run::in_every_weather || status=$?
if [ ! -f "$made" ]; then
    echo "faults: the tests made no table" >&2
    exit 1
fi
mkdir -p build
cp "$made" build/faults.md
cat build/faults.md
# A table with rows that failed is worth reading too, but not worth keeping.
if [ "$status" -ne 0 ]; then
    echo "faults: rows differ from what they promise, see above the table" >&2
    exit "$status"
fi
echo "==> faults: build/faults.md holds what was measured"
if [ -n "$page" ]; then
    new=$(mktemp)
    trap 'rm -f "$new"' EXIT
    awk -v made="$made" '
        /^<!-- \/faults -->$/ { inside = 0 }
        !inside { print }
        /^<!-- faults -->$/ { inside = 1; while ((getline line < made) > 0) print line }
    ' "$page" >"$new"
    cat "$new" >"$page"
    echo "==> faults: $page holds it, too"
fi
