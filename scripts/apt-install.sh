#!/usr/bin/env bash
# Installs Debian packages, as root or through sudo; otherwise says what to type.
set -euo pipefail
run=()
if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
        echo "Missing packages. Run: sudo apt-get install --no-install-recommends $*" >&2
        exit 1
    fi
    run=(sudo)
fi
echo "==> installing $*" >&2
export DEBIAN_FRONTEND=noninteractive
"${run[@]}" apt-get update -qq >&2
"${run[@]}" apt-get install -y -qq --no-install-recommends "$@" >&2
