#!/usr/bin/env bash
# Runs a long, quiet command with a line of progress: step.sh "what" command...
# Its output is shown only when it fails.
set -uo pipefail
what=$1
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT
start=$SECONDS
"$@" >"$log" 2>&1 &
job=$!
trap 'kill "$job" 2>/dev/null; rm -f "$log"; exit 130' INT TERM
if [ -t 1 ]; then
    while kill -0 "$job" 2>/dev/null; do
        printf '\r\033[K==> %s, %d s  %.60s' "$what" $((SECONDS - start)) "$(tail -n 1 "$log" | tr -d '\r')"
        sleep 1
    done
    printf '\r\033[K'
else
    echo "==> $what ..."
fi
wait "$job"
status=$?
if [ "$status" -ne 0 ]; then
    cat "$log"
    echo "==> $what: failed after $((SECONDS - start)) s" >&2
    exit "$status"
fi
echo "==> $what: done in $((SECONDS - start)) s"
