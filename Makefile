# The task runner. `make demo` and `make test` set up everything that they need; both work on a
# fresh clone.
#
#   make demo      the rail query on real data: complete, then with one region stalled
#   make test      every check and every test
#   make soak      a server under all kinds of load at once, for ten minutes (FROND_SOAK_SECONDS=60
#                  for one), then every attack in full, every fault of workers 50 times, and 10
#                  million simulated queries
#   make bench     the figures of BENCHMARKS.md, measured on this machine
#   make plugins   the guests, built for wasm32-wasip2
#   make cluster   a broker, two workers and a root; one worker is killed in the midst of a query
#   make languages the rail leaf in Python, JavaScript and C; also one by one, as make guests-python
#   make lint      format, clippy, docs
#   make screenshots  renews the pictures of the page in host/page/docs
#   make fuzz      every parser of untrusted input, on random input; needs a nightly compiler and
#                  cargo-fuzz

.DEFAULT_GOAL := demo
.PHONY: demo cluster test types soak bench fuzz screenshots plugins lint format clippy docs setup host tools browser-tools api-tools database-tools broker-tools languages guests-python guests-javascript guests-c

# Guests have a separate target folder. So builds of guests and of the host never wait for each
# other's locks, and the components are where the examples' frond.toml names them, whatever
# CARGO_TARGET_DIR says.
GUEST := cargo build --quiet --profile guest --target wasm32-wasip2 --target-dir target/plugins
GUESTS := frond-faulty frond-grep frond-intake-list frond-intake-pull frond-pi frond-prices \
  frond-rail-leaf frond-rail-merge frond-readers frond-wordcount
# The benchmarks depend on other runtimes for comparison; nothing else needs them.
ALL := --workspace --exclude frond-bench
CHECKED := --config .cargo/test.toml --release $(ALL)
FROND := cargo run --quiet --release --bin frond --

RAIL := {"from":"London","budget":60}
STALLED := {"from":"London","budget":60,"stall":"Scotland"}
RUNS := target/demo

setup:
	@.ci/check-system
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust through rustup (https://rustup.rs)"; exit 1; }
	@.ci/add-wasm-target wasm32-wasip2

plugins: setup
	@echo "== building the guests for wasm32-wasip2"
	@$(GUEST) $(addprefix -p ,$(GUESTS))

# The rail leaf, and the leaf that reports what the readers of pieces give it, in other languages.
# Each build.sh gets the language's tools into .tools; .ci/build-leaf installs packages of the
# system. A language whose tools are not available is skipped with a message, or is an error on CI.
languages: guests-c guests-javascript guests-python

guests-c: target/plugins/c/rail_leaf.wasm target/plugins/c/readers.wasm
guests-javascript: target/plugins/javascript/rail_leaf.wasm target/plugins/javascript/readers.wasm
guests-python: target/plugins/python/rail_leaf.wasm target/plugins/python/readers.wasm

RAIL_C := rail_leaf.c query.c service.c json.c
READERS_C := readers.c pieces.c json.c
WIT := $(wildcard wit/*.wit)
BUILD := $(wildcard plugins/build/*)
C := $(wildcard plugins/rail-c/*.*) $(BUILD) $(WIT)
JAVASCRIPT := $(wildcard plugins/rail-javascript/*.* plugins/rail-javascript/wit/*.wit \
  plugins/rail-javascript/wit/deps/*.wit) $(BUILD) $(WIT)
PYTHON := $(wildcard plugins/rail-python/*.*) $(BUILD) $(WIT)

target/plugins/c/rail_leaf.wasm: $(C)
	@.ci/build-leaf c $(CURDIR)/$@ leaf $(RAIL_C)

target/plugins/c/readers.wasm: $(C)
	@.ci/build-leaf c $(CURDIR)/$@ leaf $(READERS_C)

target/plugins/javascript/rail_leaf.wasm: $(JAVASCRIPT)
	@FROND_WIT=wit .ci/build-leaf javascript $(CURDIR)/$@ rail-leaf rail_leaf.js

target/plugins/javascript/readers.wasm: $(JAVASCRIPT)
	@.ci/build-leaf javascript $(CURDIR)/$@ leaf readers.js

target/plugins/python/rail_leaf.wasm: $(PYTHON)
	@.ci/build-leaf python $(CURDIR)/$@ whole-leaf rail_leaf.py

target/plugins/python/readers.wasm: $(PYTHON)
	@.ci/build-leaf python $(CURDIR)/$@ leaf readers.py

host:
	@echo "== building frond (the first time takes some minutes: wasmtime is large)"
	@cargo build --release

demo: plugins host
	@mkdir -p $(RUNS)
	@echo
	@echo "== all direct trains from London for up to 60 pounds, asked of five regions at once"
	@echo '   frond query examples/rail '"'"'$(RAIL)'"'" 
	@$(FROND) query examples/rail '$(RAIL)' --stats --record $(RUNS)/whole.ndjson >$(RUNS)/whole.json
	@printf '   answer (%s bytes) in $(RUNS)/whole.json, its nearest and its farthest:\n' "$$(wc -c <$(RUNS)/whole.json)"
	@tr '{' '\n' <$(RUNS)/whole.json | grep '"station"' | sed -n '1,3p;$$p' | sed 's/^/     {/;s/},*\(\].*\)*$$/}/'
	@echo
	@$(FROND) explain $(RUNS)/whole.ndjson
	@echo
	@echo "== the same with one region that never answers: four regions before the deadline, exit code 3"
	@echo '   frond query examples/rail '"'"'$(STALLED)'"'" 
	@$(FROND) query examples/rail '$(STALLED)' --stats --record $(RUNS)/stalled.ndjson >$(RUNS)/stalled.json; \
	  code=$$?; echo "   exit code $$code"; test $$code -eq 3
	@grep -o '"complete":false.*' $(RUNS)/stalled.json | sed 's/^/   the answer says: /'
	@echo
	@$(FROND) explain $(RUNS)/stalled.ndjson

cluster: plugins host broker-tools
	@host/docs/cluster/demo.sh

lint: format clippy docs

format: setup
	@echo "== format"
	@cargo fmt --all --check

clippy: setup
	@echo "== clippy"
	@cargo clippy --quiet --release $(ALL) --all-targets -- -D warnings

docs: setup
	@echo "== docs"
	@RUSTDOCFLAGS="-D warnings" cargo doc --quiet --release --no-deps $(ALL)

# ripgrep, which tests compare with. Without it they are skipped with a message, or fail on CI.
tools:
	@command -v rg >/dev/null || .ci/install-packages "tests that compare with ripgrep" ripgrep || true
	@command -v curl >/dev/null || .ci/install-packages "the test of the tutorial" curl || true

# Node, Chromium and playwright-core, for the tests of the page. Without them the tests are skipped
# with a message, or fail on CI.
browser-tools:
	@.ci/install-browser

# schemathesis, which checks the server against its API description. Without it that test is skipped
# with a message, or fails on CI.
api-tools:
	@.ci/install-schemathesis

# pgbouncer, a connection pooler for databases. Without it its tests are skipped with a message, or
# fail on CI.
database-tools:
	@.ci/install-pgbouncer

# nats-server, the broker between roots and workers. Without it its tests are skipped with a message,
# or fail on CI.
broker-tools:
	@.ci/install-nats

# Every step runs, even if an earlier one fails. The failed steps are named at the end.
test: plugins languages tools browser-tools api-tools database-tools broker-tools
	@failed=; \
	$(MAKE) --no-print-directory --keep-going lint || failed="$$failed, lint"; \
	echo "== tests"; \
	cargo test --quiet $(CHECKED) --doc --no-fail-fast || failed="$$failed, examples in the documentation"; \
	cargo test $(CHECKED) --lib --bins --tests --no-fail-fast || failed="$$failed, tests (their targets are named above)"; \
	test -z "$$failed" || { echo "failed: $${failed#, }"; exit 1; }

# Writes the list of all types, which the tidy test compares with the code.
types:
	@cargo test --quiet $(CHECKED) --test tidy the_list_of_types_is_written -- --ignored

soak: plugins
	@FROND_SOAK_SECONDS=$${FROND_SOAK_SECONDS:-600} cargo test $(CHECKED) --test soak -- --nocapture
	@FROND_ATTACKS=full cargo test $(CHECKED) --test attacks -- --nocapture --test-threads=1
	@FROND_FAULTS=50 cargo test $(CHECKED) --test workers no_fault_loses -- --nocapture
	@FROND_SIM_QUERIES=$${FROND_SIM_QUERIES:-10000000} cargo test $(CHECKED) --test invariants no_world -- --nocapture

# make fuzz SECONDS=600 fuzzes each target for 600 seconds. The tests check the same properties on
# fewer inputs.
SECONDS := 60
fuzz:
	@.ci/fuzz $(SECONDS)

bench: plugins host
	@cargo run --release -p frond-bench -- all

# Takes the pictures of a server on a free port, which ends with them.
screenshots: plugins host browser-tools
	@.ci/screenshots
