#!/usr/bin/env bash
# Builds etcd, the minimal API server, the demo and the crowds from published Go modules into build/bin.
set -euo pipefail
cd "$(dirname "$0")/.."
go=$(scripts/setup-go.sh)
mkdir -p build/bin
cd conformance
out=../build/bin
../scripts/step.sh "fetching Go modules (k8s.io, etcd)" "$go" mod download
../scripts/step.sh "building etcd (the first time takes a minute)" "$go" build -o "$out/etcd" go.etcd.io/etcd/server/v3
../scripts/step.sh "building the API server (the first time takes some minutes)" "$go" build -o "$out/apiserver" ./cmd/apiserver
../scripts/step.sh "building the demo" "$go" build -o "$out/demo" ./cmd/demo
# The same clients with the grpc-go of two lines.
crowd=../../build/bin/crowd
../scripts/step.sh "building the crowd of the oldest line" "$go" -C crowd build -o "$crowd-oldest" ./cmd/crowd
../scripts/step.sh "building the crowd of the newest line" "$go" -C crowd build -modfile=newest.mod -o "$crowd-newest" ./cmd/crowd
