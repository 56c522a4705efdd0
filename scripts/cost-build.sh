#!/usr/bin/env bash
# Builds what is measured: the hot paths, and both programs for cases in which seconds count. All
# in one call, because other packages beside them would mean other features, and all of it again.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/step.sh "building what is measured (profile cost)" \
    cargo build --locked --profile cost --package cost --package provider --package bao-dev
