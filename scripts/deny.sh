#!/usr/bin/env bash
# cargo deny: bans, licences and sources always; advisories where a copy of the RustSec
# database is at hand (ADVISORY_DB names a directory that holds it as cargo deny lays it out).
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.20.2
tools=$PWD/build/tools
deny=$tools/bin/cargo-deny
if [ "$("$deny" --version 2>/dev/null)" != "cargo-deny $version" ]; then
    echo "installing cargo-deny $version into build/tools"
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
        cargo install --quiet --locked --root "$tools" --target-dir "$PWD/build/tools-target" cargo-deny@$version
    rm -rf "$PWD/build/tools-target"
fi
"$deny" --workspace check bans licenses sources
if [ -d "${ADVISORY_DB:-}" ]; then
    "$deny" --workspace check advisories --disable-fetch
else
    echo "advisories: NOT CHECKED, no copy of the RustSec database at hand (set ADVISORY_DB)"
fi
