# Every target installs the pinned tools that it needs into .tools/ first; that costs nothing when they are there.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help run verify doctor site-key test check check-release check-built chaos chaos-proof fuzz fuzz-proof mutants bench bench-migrate views load build tools clean status plan plan-rollback rollback absent

bin := .tools/python/bin
judges := functions/migrate/plan.rs functions/migrate/cfn_event.rs $(addprefix functions/ingest/,route.rs caller.rs caller/** api_event/** beacon.rs beacon/** reply.rs reply/**)

# Executions of each fuzz target, and the seconds after which they are cut off: as part of a check, for long,
# and with a fault planted: as many as in a check, however slow the machine is.
fuzz_check := 40000 20
fuzz_long := 1100000 1800
fuzz_proof := 40000 300

PORT ?= 9000
comma := ,
invoke = $(bin)/cargo-lambda lambda invoke migrate --invoke-address 127.0.0.1 --invoke-port $(PORT) --data-ascii
undo = $(if $(VERSION),$(comma)"version":"$(VERSION)")$(if $(DROP_ROWS),$(comma)"drop_rows":$(DROP_ROWS))$(if $(OWNERS),$(comma)"owners":$(OWNERS))

help: # list the targets
	@sed -nE 's/^([a-z-]+):[^#]*# (.*)$$/make \1\t\2/p' Makefile | expand -t 20

run: # PostgreSQL, V001, a key and the ingest function on this machine, until Ctrl-C; PORT=9000
	@tools/install run
	@cargo build --bins
	@cargo build --example run
	@exec "$${CARGO_TARGET_DIR:-target}/debug/examples/run"

verify: # the deployment checklist of any database, by DATABASE_URL or DB_*; ARGS=--help
	@cargo build --quiet --example verify
	@"$${CARGO_TARGET_DIR:-target}/debug/examples/verify" $(ARGS)

site-key: # draw a site key, for the parameter FirstSiteKey
	@tools/site-key

doctor: # what stands between this machine and a database, by DATABASE_URL or DB_*; ARGS=--json
	@cargo build --quiet --example verify
	@"$${CARGO_TARGET_DIR:-target}/debug/examples/verify" doctor $(ARGS)

status: # what there is, who owns it, what waits; of the functions that run on PORT
	@$(invoke) '{"action":"status"}'

plan: # what an apply would do now
	@$(invoke) '{"action":"plan"}'

plan-rollback: VERSION ?= V001
plan-rollback: # what a rollback would do now; DROP_ROWS= and OWNERS= as for the rollback
	@$(invoke) '{"action":"plan","of":"rollback"$(undo)}'

rollback: # take V001 away; VERSION=V001, DROP_ROWS= the exact number of events, OWNERS= of stacks
	@$(invoke) '{"action":"rollback"$(undo)}'

absent: # whether nothing of V001 is left
	@$(invoke) '{"action":"verify","expect":"absent"}'

test: # all tests, against real PostgreSQL and the real binaries
	@tools/install test
	@cargo test

check: # format, lints of Rust, SQL, template and spelling, a little fuzzing, then the tests: what CI does
	@tools/install lint
	cargo fmt --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo clippy --all-targets -- -D warnings
	$(bin)/squawk --pg-version 12.0 migrations/*.sql
	$(bin)/cfn-lint template.yaml
	SAM_CLI_TELEMETRY=0 $(bin)/sam validate --lint
	$(bin)/python tests/stack/guided.py $(bin)/sam
	$(bin)/typos
	fuzz/run $(fuzz_check)
	@$(MAKE) test

build: # the release binaries for arm64, as a deploy builds them
	@tools/install run
	@tools/install release
	PATH="$$PWD/.tools/bin:$$PATH" $(bin)/cargo-lambda lambda build --release --arm64 --bins

check-release: # checkov, the release binaries that SAM makes for both machines, make fuzz-proof and make chaos-proof
	@tools/install run
	@tools/install release
	@tools/install lint
	@tools/install checkov
	tests/stack/checkov
	@$(MAKE) check-built ARCHITECTURE=arm64
	@$(MAKE) check-built ARCHITECTURE=x86_64
	@$(MAKE) fuzz-proof
	@$(MAKE) chaos-proof

check-built: vendored = $(if $(filter x86_64,$(ARCHITECTURE)),RUSTFLAGS='--cfg vendored_openssl')
check-built: # what sam build makes for ARCHITECTURE=arm64 or x86_64: machine, size, an answer
	PATH="$$PWD/.tools/bin:$$PWD/$(bin):$$PATH" SAM_CLI_TELEMETRY=0 $(vendored) sam build \
		--build-dir target/sam/$(ARCHITECTURE) --parameter-overrides Architecture=$(ARCHITECTURE)
	$(bin)/python tests/stack/built.py target/sam/$(ARCHITECTURE) $(ARCHITECTURE)

chaos: # faults while senders send, 20 and more of each kind that hit; then what was acknowledged is held against what is stored; SEED= repeats
	@tools/install test
	CHAOS_FAULTS=$(or $(FAULTS),20) CHAOS_SEED=$(SEED) cargo test --test chaos

chaos-proof: # three faults planted in ingest, each found by the bounded run that make check makes
	@tools/install test
	tests/chaos/proof

fuzz: # random beacons and gateway events, guided by coverage, two million and more; half an hour
	fuzz/run $(fuzz_long)

fuzz-proof: # a planted overflow and a planted panic are each found by what make check runs
	fuzz/proof $(fuzz_proof)

mutants: # faults put one by one into the files that judge a sender or a deploy; the unit tests must find each; two hours
	@tools/install test
	@tools/install mutants
	PATH="$$PWD/.tools/bin:$$PATH" cargo mutants --no-shuffle --output target $(judges:%=--file '%') --cargo-arg=--lib -- -- ingest:: migrate:: --skip ingest::model:: --skip ingest::queue::

bench: # round trips, times, memory and write-ahead log of one event, side by side with the floor
	@tools/install run
	@cargo bench --bench bench

load: # two hundred sandboxes on one database, then a million requests through one process; LOAD=sandboxes or LOAD=million
	@tools/install run
	@cargo bench --bench load -- $(LOAD)

bench-migrate: # times of deploy, rehearsal, adoption and delete, who waits for them, a kill at each DDL command; long
	@tools/install test
	@cargo bench --profile dev --bench migrate

views: # plans, times and pages of V001's views over a million rows; minutes
	@tools/install test
	VIEWS_ROWS=1000000 cargo test --test it -- v001_views::each_view_reads --nocapture

tools: # all pinned tools, in .tools/, for tests and for a deploy; prints the line that puts them on the path
	@tools/install test
	@tools/install lint
	@tools/install release
	@echo 'export PATH="$(CURDIR)/.tools/bin:$(CURDIR)/$(bin):$$PATH"'

clean: # remove what was built and installed
	rm -rf target .aws-sam .tools
