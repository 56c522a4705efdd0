#!/usr/bin/env bash
# What staticpodd costs: one run, one table, and JSON in build/bench-pods.json. Needs root, as containerd
# does. Options go to the benchmark (--help lists them), as --document to put the table into
# docs/staticpodd-performance.md, or --edits 0 to leave the long part out.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/step.sh "building the benchmark (release)" \
    cargo build --locked --release --package pod-bench --package fake-cri --bins
scripts/step.sh "building staticpodd as it is shipped (dist; takes minutes)" \
    cargo build --locked --profile dist --package staticpodd
mkdir -p build
exec target/release/pod-bench --staticpodd target/dist/staticpodd \
    --json build/bench-pods.json "$@"
