#!/usr/bin/env bash
# What a call costs next to an empty handler: one run, one table, and JSON in build/bench.json.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/step.sh "building for measurement (release)" \
    cargo build --locked --release --package bench --package provider --package bao-dev
mkdir -p build
exec target/release/bench --json build/bench.json "$@"
