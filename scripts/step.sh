#!/usr/bin/env bash
# Runs a long, quiet command with a line of progress: step.sh "what" command...
# Its output is shown only when it fails. Interrupted, it ends with 130 and leaves no process.
set -uo pipefail
what=$1
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Compilers start compilers: the whole group goes, and is waited for.
stop() {
    trap '' INT TERM HUP
    kill -TERM -- "-$job"
    for _ in {1..50}; do
        kill -0 -- "-$job" || exit 130
        sleep 0.1
    done
    kill -KILL -- "-$job"
    exit 130
} 2>/dev/null

start=$SECONDS
# Job control gives the job a process group of its own.
set -m
"$@" >"$log" 2>&1 </dev/null &
job=$!
set +m
trap stop INT TERM HUP
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
