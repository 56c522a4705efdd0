#!/usr/bin/env bash
# Every fault of a node that runs staticpodd, as tests on containerd, and a table of what was
# measured: printed, in build/pod-faults.md, and, with --doc FILE, between the marks of that page.
set -euo pipefail
cd "$(dirname "$0")/.."
page=
case ${1-} in
'') ;;
--doc)
    page=${2:?"pod-faults: --doc needs the page that holds the table, as docs/staticpodd-reliability.md"}
    if ! grep -qx '<!-- faults -->' "$page" || ! grep -qx '<!-- /faults -->' "$page"; then
        echo "pod-faults: $page: no <!-- faults --> and <!-- /faults --> in it" >&2
        exit 1
    fi
    ;;
*)
    echo "pod-faults: $1: unknown; scripts/pod-faults.sh [--doc FILE]" >&2
    exit 2
    ;;
esac
made=target/tmp/pod-faults.md
rm -f "$made"
# With words that the page does not have yet the test fails, after it made the table.
status=0
cargo test --locked --package staticpodd --test node -- --nocapture faults::run::in_every_fault || status=$?
if [ ! -f "$made" ]; then
    echo "pod-faults: the tests made no table" >&2
    exit 1
fi
mkdir -p build
cp "$made" build/pod-faults.md
cat build/pod-faults.md
if grep -q 'broke off' "$made"; then
    echo "pod-faults: rows broke off, see above the table" >&2
    exit 1
fi
echo "==> pod-faults: build/pod-faults.md holds what was measured"
if [ -n "$page" ]; then
    new=$(mktemp)
    trap 'rm -f "$new"' EXIT
    awk -v made="$made" '
        /^<!-- \/faults -->$/ { inside = 0 }
        !inside { print }
        /^<!-- faults -->$/ { inside = 1; while ((getline line < made) > 0) print line }
    ' "$page" >"$new"
    cat "$new" >"$page"
    echo "==> pod-faults: $page holds it, too"
elif [ "$status" -ne 0 ]; then
    echo "pod-faults: the page says something else: make pod-faults DOC=docs/staticpodd-reliability.md" >&2
    exit "$status"
fi
