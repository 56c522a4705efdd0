# One entry point for every chore, the same at home and in CI.
#
#   make demo    install what is missing, build, show the main job end to end
#   make demo-pods  static pods without a kubelet, as a story: things are killed, upgraded, cut off
#   make build   the programs alone, for development, into target/debug
#   make test    install what is missing, build, run all tests
#   make lint    formatting, clippy, cargo deny, documentation, generated files
#   make bench   what a call costs, next to an empty handler and a bare client, one table: DOC=file
#   make bench-pods  what staticpodd costs: its share of a start, idleness, growth, one table: DOC=file
#   make cost    instructions of the hot paths next to the recorded ones; RECORD=1 records
#   make faults  every fault of the backend, as the table of docs/reliability.md: DOC=file
#   make pod-faults  every fault of a node with staticpodd, as the table of docs/staticpodd-reliability.md: DOC=file
#   make soak    two providers and an OpenBao on a hostile day: TIME=10m, SEED=n, DOC=file
#   make nightly what takes too long for every change: many more random cases, an hour of soak
#   make clean   remove all that was built

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := $(CURDIR)/build/bin
RUST_BIN := $(CURDIR)/target/debug
export PROVIDER_BIN := $(RUST_BIN)/bao-kms-provider
export BAO_DEV_BIN := $(RUST_BIN)/bao-dev
export PROVIDER_FAST_BIN := $(CURDIR)/target/cost/bao-kms-provider
export BAO_DEV_FAST_BIN := $(CURDIR)/target/cost/bao-dev
export ETCD_BIN := $(BIN)/etcd
export APISERVER_BIN := $(BIN)/apiserver

# Every target is told the same commit, so that none rebuilds what another has built.
BUILD_COMMIT ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null)
ifneq ($(BUILD_COMMIT),)
export BUILD_COMMIT := $(BUILD_COMMIT)
else
unexport BUILD_COMMIT
endif

.PHONY: help setup setup-build build conformance-build demo demo-pods test test-rust test-conformance lint bench bench-pods cost soak faults pod-faults nightly clean

help:
	@sed -n 's/^#   //p' Makefile

setup:
	@scripts/setup.sh

# Without what only tests need.
setup-build:
	@scripts/setup.sh --build

build: setup-build
	@scripts/step.sh "building bao-kms-provider, staticpodd and bao-dev" cargo build --locked --package provider --package staticpodd --package bao-dev

conformance-build: setup-build
	@scripts/conformance-build.sh

demo: build conformance-build
	@$(BIN)/demo

demo-pods: setup
	@scripts/step.sh "building staticpodd, bao-kms-provider, bao-dev and the demo" cargo build --locked --package demo-pods --package fake-cri --package staticpodd --package provider --package bao-dev --bins
	@$(RUST_BIN)/demo-pods

test: test-rust test-conformance cost

# Pods of the tests run the etcd and the API server of the conformance tests.
test-rust: conformance-build
	cargo test --locked --workspace

# The tests' own build of the two programs, so that nothing is compiled twice. Everything is
# there, so nothing may be skipped.
test-conformance: setup conformance-build
	@scripts/step.sh "building bao-kms-provider and bao-dev" cargo test --locked --workspace --no-run
	@scripts/cost-build.sh
	cd conformance && CONFORMANCE_REQUIRED=1 "$$(../scripts/setup-go.sh)" test -count=1 -timeout 15m ./...

lint: setup
	@scripts/lint.sh

# Counts are the same on a busy machine.
cost: setup
	@scripts/cost.sh

bench: setup-build
	@scripts/bench.sh $(if $(DOC),--document $(DOC))

bench-pods: setup
	@scripts/bench-pods.sh $(if $(DOC),--document $(DOC))

soak: setup
	@scripts/soak.sh --time $(or $(TIME),10m) $(if $(SEED),--seed $(SEED)) $(if $(RATE),--rate $(RATE)) $(if $(DOC),--doc $(DOC))

faults: setup
	@scripts/faults.sh $(if $(DOC),--doc $(DOC))

pod-faults: setup
	@scripts/pod-faults.sh $(if $(DOC),--doc $(DOC))

nightly: test
	PROPTEST_CASES=20000 cargo test --locked --workspace --release
	@$(MAKE) soak TIME=$(or $(TIME),1h)

clean:
	rm -rf build
	cargo clean
