#!/usr/bin/env bash
# Prints the folder where tests, demo and measurements put sockets; makes it where it may.
# The provider accepts sockets below /run only. The same rule is in bao-dev and conformance.
set -euo pipefail
uid=$(id -u)
own=/run/user/$uid
run=/run
if [ "$uid" -ne 0 ]; then
    case ${XDG_RUNTIME_DIR:-} in
    */../* | */..) run=$own ;;
    /run/?*) run=$XDG_RUNTIME_DIR ;;
    *) run=$own ;;
    esac
fi
if [ ! -e "$run" ] && [ "$run" = "$own" ]; then
    sudo -n install -d -m 0700 -o "$(id -un)" "$own" 2>/dev/null || true
fi
if [ ! -d "$run" ] || [ ! -w "$run" ]; then
    advice="sudo install -d -m 0700 -o \"\$USER\" $own"
    if [ "$run" != "$own" ]; then advice="unset XDG_RUNTIME_DIR; $advice"; fi
    echo "Sockets need a folder below /run, and $run cannot be written. Run: $advice" >&2
    exit 1
fi
echo "$run"
