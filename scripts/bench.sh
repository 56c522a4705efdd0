#!/usr/bin/env bash
# What a call costs next to its floors: one run, one table, and JSON in build/bench.json. The provider
# is the one that is shipped. Options go to the benchmark (--help lists them), as --address to measure
# against another OpenBao than bao-dev, or --document to put the table into docs/performance.md.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/step.sh "building the benchmark and bao-dev (release)" \
    cargo build --locked --release --package bench --package bao-dev
scripts/step.sh "building bao-kms-provider as it is shipped (dist; takes minutes)" \
    cargo build --locked --profile dist --package provider
mkdir -p build
exec target/release/bench --provider target/dist/bao-kms-provider \
    --json build/bench.json "$@"
