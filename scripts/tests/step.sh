#!/usr/bin/env bash
# An interrupted step ends with 130 and takes the grandchildren with it.
set -euo pipefail
cd "$(dirname "$0")/../.."
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
fail() {
    echo "step.sh: $*" >&2
    exit 1
}

# With job control a job in the background can be sent SIGINT.
set -m
for signal in INT TERM HUP; do
    # Under nohup a hangup is ignored, and no shell below can catch it.
    if [ -n "$(trap -p "$signal")" ]; then
        echo "step.sh: SIG$signal is ignored here, so it is not tried" >&2
        continue
    fi
    rm -f "$home/pid"
    TMPDIR=$home scripts/step.sh "sleeping" \
        bash -c 'bash -c "sleep 60 & echo \$! >\$0.new; mv \$0.new \$0; wait" "$0"; true' "$home/pid" >/dev/null 2>&1 &
    step=$!
    for _ in {1..100}; do
        [ -e "$home/pid" ] && break
        sleep 0.05
    done
    grandchild=$(cat "$home/pid")
    kill "-$signal" "$step"
    status=0
    wait "$step" 2>/dev/null || status=$?
    [ "$status" -eq 130 ] || fail "SIG$signal: ended with $status, not with 130"
    if kill -0 "$grandchild" 2>/dev/null; then
        kill "$grandchild"
        fail "SIG$signal: process $grandchild is left"
    fi
    rm -f "$home/pid"
    [ -z "$(ls "$home")" ] || fail "SIG$signal: the log is left"
done
set +m

status=0
said=$(scripts/step.sh "failing" bash -c 'echo the reason; exit 7' 2>/dev/null) || status=$?
[ "$status" -eq 7 ] || fail "a failed step ended with $status, not with 7"
[[ $said == *"the reason"* ]] || fail "a failed step hides its output"
said=$(scripts/step.sh "quiet" echo chatter)
[[ $said != *chatter* ]] || fail "a step that succeeds is not quiet"
