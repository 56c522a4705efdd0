#!/usr/bin/env bash
# Installs Debian packages, as root or through sudo; otherwise says what to type.
# With --without-services, what they bring is not started.
set -euo pipefail
services=yes
if [ "${1:-}" = --without-services ]; then
    services=no
    shift
fi
run=()
if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
        echo "Missing packages. Run: sudo apt-get install --no-install-recommends $*" >&2
        exit 1
    fi
    run=(sudo)
fi
# Debian's way to say it: packages ask this program before they start anything.
policy=/usr/sbin/policy-rc.d
if [ "$services" = no ] && [ ! -e "$policy" ]; then
    trap '"${run[@]}" rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${run[@]}" tee "$policy" >/dev/null
    "${run[@]}" chmod 0755 "$policy"
fi
echo "==> installing $*" >&2
export DEBIAN_FRONTEND=noninteractive
"${run[@]}" apt-get update -qq >&2
"${run[@]}" apt-get install -y -qq --no-install-recommends "$@" >&2
