#!/usr/bin/env bash
# A hostile day for two providers: soak.sh TIME [options of soak]. The summary goes to the
# terminal, and as JSON into build/soak.json.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/step.sh "building for the soak (release)" \
    cargo build --locked --release --package soak --package provider
mkdir -p build
exec target/release/soak --json build/soak.json "$@"
