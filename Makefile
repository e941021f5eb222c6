# Every command that a person or CI runs. `make help` lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Thousands of sockets in one test process need more than the usual 1024.
DESCRIPTORS := ulimit -n $$(ulimit -Hn) 2>/dev/null || true;
ARGS ?=

.PHONY: help demo run test tools check fmt fmt-check lint doc deploy-check shell-check deny advisories sbom generate bench \
        bench-check profile gates hot-path fuzz mutants coverage chaos soak loadtest loadtest-smoke conformance image model clean \
        client client-test

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Build and run on the embedded broker, with a live page and sample events
	cargo run --locked -- dev $(ARGS)

run: ## Run a node: make run ARGS='--nats nats://127.0.0.1:4222 --anonymous'
	cargo run --locked --release -- serve $(ARGS)

# Most tests wait, for a server or a timeout: three for each core keep it busy.
test: tools ## Install what the tests need, and pass them all
	$(DESCRIPTORS) RUST_TEST_THREADS=$${RUST_TEST_THREADS:-$$((3 * $$(getconf _NPROCESSORS_ONLN)))} \
	  NATS_SERVER=$$(scripts/nats-server.sh) CHAOS_SEED=$${CHAOS_SEED:-7} cargo test --locked
	$(MAKE) client-test

tools: ## Install what the tests need (idempotent)
	scripts/nats-server.sh > /dev/null
	scripts/promtool.sh > /dev/null
	scripts/peers.sh > /dev/null
	scripts/client.sh
	scripts/chromium.sh > /dev/null

client: ## Build the browser library from client/src into client/dist
	scripts/client.sh
	cd client && npm run --silent build

client-test: ## Check that client/dist is current, and test it: scripted nodes, real nodes, a real Chromium
	scripts/client.sh
	cd client && NATS_SERVER=$$(../scripts/nats-server.sh) CHROMIUM=$$(../scripts/chromium.sh) npm test --silent -- $(ARGS)

check: fmt-check lint test model doc shell-check deploy-check loadtest-smoke bench-check gates ## All that CI runs

fmt: ## Format the code
	cargo fmt
	cargo fmt --manifest-path fuzz/Cargo.toml
	cargo fmt --manifest-path bench/Cargo.toml

fmt-check:
	cargo fmt --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo fmt --check --manifest-path bench/Cargo.toml

lint: ## Clippy, warnings are errors
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --features model --lib --test model -- -D warnings

doc: ## Build the documentation of the code, private items included
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

shell-check: ## Check the shell scripts
	scripts/check-shell.sh

deploy-check: ## Render the Kubernetes manifests and check them against the schemas
	scripts/check-deploy.sh

deny: ## Check licences, bans and sources of all dependencies
	scripts/deny.sh licenses bans sources

advisories: ## Check all dependencies against RustSec; ADVISORY_DB=FOLDER takes a copy of its database
	scripts/deny.sh advisories

sbom: ## Write what the node is made of, as CycloneDX: target/notifier.cdx.json
	scripts/sbom.sh

generate: ## Write what is generated from the source: types of the contract, tables in docs/
	UPDATE_GENERATED=1 cargo test --locked --test generated

bench: ## Measure a node beside the floor and its peers; see bench/README.md
	$(DESCRIPTORS) scripts/bench.sh $(ARGS)

# The same target folder as the node's, because most of what is compiled is the same.
BENCH := CARGO_TARGET_DIR=$${CARGO_TARGET_DIR:-target} cargo
bench-check: ## Check the benchmark, and that it still works
	$(BENCH) clippy --locked --all-targets --manifest-path bench/Cargo.toml -- -D warnings
	$(BENCH) test --locked --manifest-path bench/Cargo.toml
	cargo build --locked
	$(DESCRIPTORS) $(BENCH) run --quiet --locked --manifest-path bench/Cargo.toml -- --quick \
	  --node $${CARGO_TARGET_DIR:-target}/debug/notifier --nats-server $$(scripts/nats-server.sh) \
	  --targets floor,floor16,notifier,notifier-proto,naive
	$(DESCRIPTORS) $(BENCH) run --quiet --locked --manifest-path bench/Cargo.toml -- --quick \
	  --node $${CARGO_TARGET_DIR:-target}/debug/notifier --nats-server $$(scripts/nats-server.sh) \
	  --targets notifier-durable,notifier-full-durable --scenarios fanout,personal,unwanted
	$(DESCRIPTORS) $(BENCH) run --quiet --locked --manifest-path bench/Cargo.toml -- --quick \
	  --node $${CARGO_TARGET_DIR:-target}/debug/notifier --nats-server $$(scripts/nats-server.sh) \
	  --targets notifier-full,notifier-tls --scenarios idle,connect,storm,topics
	$(DESCRIPTORS) $(BENCH) run --quiet --locked --manifest-path bench/Cargo.toml -- startup --quick \
	  --node $${CARGO_TARGET_DIR:-target}/debug/notifier --nats-server $$(scripts/nats-server.sh)
	$(DESCRIPTORS) $(BENCH) run --quiet --locked --manifest-path bench/Cargo.toml -- resume --quick \
	  --node $${CARGO_TARGET_DIR:-target}/debug/notifier --nats-server $$(scripts/nats-server.sh)
	$(DESCRIPTORS) $(BENCH) run --quiet --locked --manifest-path bench/Cargo.toml -- soak --quick \
	  --node $${CARGO_TARGET_DIR:-target}/debug/notifier --nats-server $$(scripts/nats-server.sh)

profile: ## Where a node's time goes, as a flame graph: make profile ARGS='--scenarios personal'
	$(DESCRIPTORS) scripts/profile.sh $(ARGS)

gates: ## Count the instructions of the hot path, and fail where they have grown by 5 %
	PATH="$$(scripts/gungraun.sh):$$PATH" cargo bench --locked --bench instructions

hot-path: ## Time what is done once per event
	cargo bench --locked --bench hot_path $(ARGS)

fuzz: ## Fuzz every decoder and matcher, FUZZ_SECONDS (60) each
	scripts/fuzz.sh

mutants: tools ## Change the code bit by bit and list what no test notices: make mutants ARGS='--re src/rate.rs'
	$(DESCRIPTORS) scripts/mutants.sh $(ARGS)

coverage: tools ## What the tests reach, by file: make coverage ARGS=--html
	$(DESCRIPTORS) scripts/coverage.sh $(ARGS)

SEED ?=
SECONDS ?=
chaos: ## Kill, pause and cut off everything while events flow: make chaos SEED=7 SECONDS=60
	$(DESCRIPTORS) NATS_SERVER=$$(scripts/nats-server.sh) CHAOS_SEED=$(SEED) CHAOS_SECONDS=$(SECONDS) \
	  cargo test --locked --test chaos every_client -- --nocapture

MINUTES ?= 60
OUT ?= target/soak
soak: ## Live with a node for an hour; nothing may grow or be left: make soak MINUTES=60 SEED=7 OUT=target/soak
	$(DESCRIPTORS) scripts/bench.sh soak --minutes $(MINUTES) $(addprefix --seed ,$(SEED)) --out $(OUT)

model: ## Run what tasks do to each other in thousands of orders: make model ITERATIONS=20000 SEED=3
	@# Cargo builds the program with that feature as well, and it cannot run: put the other one back in its place.
	trap 'cargo build --locked' EXIT; \
	  $(if $(ITERATIONS),ITERATIONS=$(ITERATIONS)) $(if $(SEED),SEED=$(SEED)) \
	  cargo test --locked --features model --test model $(ARGS)

conformance: tools ## The WebSocket conformance suite's reference runner besides the one in `make test`
	$(DESCRIPTORS) cargo test --locked --test conformance -- --include-ignored

loadtest: ## Load a node and a nats-server with k6; see loadtest/README.md
	cargo build --locked --release
	$(DESCRIPTORS) scripts/loadtest.sh $(ARGS)

# In CI the node that the tests built will do.
loadtest-smoke:
	cargo build --locked
	$(DESCRIPTORS) NOTIFIER=target/debug/notifier scripts/loadtest.sh

image: ## Build the container image
	docker build -f deploy/Dockerfile --build-arg COMMIT=$$(git rev-parse --short HEAD) -t notifier:dev .

clean: ## Remove what was built and cached
	cargo clean
	rm -rf .cache fuzz/target tests/peers/node_modules client/node_modules client/.build
