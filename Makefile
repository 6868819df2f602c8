# Every target installs the pinned tools that it needs into .tools/ first; that costs nothing when they are there.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help run test check check-release mutants bench bench-migrate build tools clean

bin := .tools/python/bin
judges := functions/ingest/route.rs functions/ingest/caller.rs functions/ingest/caller/** functions/ingest/api_event/**

help: # list the targets
	@sed -nE 's/^([a-z-]+):[^#]*# (.*)$$/make \1\t\2/p' Makefile | expand -t 20

run: # PostgreSQL, V001, a key and the ingest function on this machine, until Ctrl-C; PORT=9000
	@tools/install run
	@cargo build --bins
	@cargo build --example run
	@exec "$${CARGO_TARGET_DIR:-target}/debug/examples/run"

test: # all tests, against real PostgreSQL and the real binaries
	@tools/install test
	@cargo test

check: # format, lints of Rust, SQL, template and spelling, then the tests: what CI does
	@tools/install lint
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	$(bin)/squawk --pg-version 12.0 migrations/*.sql
	$(bin)/cfn-lint template.yaml
	SAM_CLI_TELEMETRY=0 $(bin)/sam validate --lint
	$(bin)/typos
	@$(MAKE) test

build: # the release binaries for arm64, as a deploy builds them
	@tools/install run
	@tools/install release
	PATH="$$PWD/.tools/bin:$$PATH" $(bin)/cargo-lambda lambda build --release --arm64 --bins

check-release: build # the release binaries, and the deployable that SAM makes of them
	@tools/install lint
	PATH="$$PWD/.tools/bin:$$PWD/$(bin):$$PATH" SAM_CLI_TELEMETRY=0 sam build

mutants: # faults put one by one into the files that judge a sender; the unit tests must find each; an hour
	@tools/install test
	@tools/install mutants
	PATH="$$PWD/.tools/bin:$$PATH" cargo mutants --no-shuffle --output target $(judges:%=--file '%') -- --lib

bench: # round trips, times, memory and write-ahead log of one event, side by side with the floor
	@tools/install run
	@cargo bench --bench bench

bench-migrate: # times of deploy, rehearsal and delete, who waits for them, and a kill at each DDL command; minutes
	@tools/install test
	@cargo bench --bench migrate

tools: # the pinned tools of make test, in .tools/
	@tools/install test

clean: # remove what was built and installed
	rm -rf target .aws-sam .tools
