#!/usr/bin/env bash
# Everything that judges the tree without running it. One failure does not hide the others.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=()
check() {
    local what=$1
    shift
    if ! scripts/step.sh "lint: $what" "$@"; then failed+=("$what"); fi
}

check "formatting" cargo fmt --all --check
check "clippy" cargo clippy --locked --workspace --all-targets -- -D warnings
check "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items
check "generated files" cargo xtask generate --check
check "house rules" cargo xtask house
check "cargo deny" scripts/deny.sh
go=$(scripts/setup-go.sh) || failed+=("go toolchain")
if [ -n "${go:-}" ]; then
    check "gofmt" bash -c "test -z \"\$($(dirname "$go")/gofmt -l conformance | tee /dev/stderr)\""
    check "go vet" bash -c "cd conformance && '$go' vet ./..."
fi

if [ ${#failed[@]} -gt 0 ]; then
    echo "lint failed: ${failed[*]}" >&2
    exit 1
fi
