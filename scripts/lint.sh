#!/usr/bin/env bash
# Everything that judges the tree without running it. One failure does not hide the others.
set -uo pipefail
cd "$(dirname "$0")/.."
for tool in fmt clippy; do
    if ! cargo "$tool" --version >/dev/null 2>&1; then
        echo "cargo $tool is missing. Run: rustup component add rustfmt clippy" >&2
        exit 1
    fi
done

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
for test in scripts/tests/*.sh; do
    check "$test" "$test"
done
go=$(scripts/setup-go.sh) || failed+=("go toolchain")
if [ -n "${go:-}" ]; then
    # shellcheck disable=SC2016 # the inner shell expands
    check "gofmt" bash -c 'found=$("$1" -l conformance) || exit; echo "$found"; [ -z "$found" ]' \
        gofmt "$(dirname "$go")/gofmt"
    check "go vet" env -C conformance "$go" vet ./...
    check "go vet of the crowd" env -C conformance/crowd "$go" vet ./...
fi

if [ ${#failed[@]} -gt 0 ]; then
    echo "lint failed: ${failed[*]}" >&2
    exit 1
fi
