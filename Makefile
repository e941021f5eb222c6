# Every command that a person or CI runs. `make help` lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Thousands of sockets in one test process need more than the usual 1024.
DESCRIPTORS := ulimit -n $$(ulimit -Hn) 2>/dev/null || true;
ARGS ?=

# The toolchain of rust-toolchain.toml, if it is installed under another name: rustup would fetch it once more.
TOOLCHAIN := $(if $(RUSTUP_TOOLCHAIN),,$(shell scripts/toolchain.sh))
ifneq ($(TOOLCHAIN),)
export RUSTUP_TOOLCHAIN := $(TOOLCHAIN)
endif

.PHONY: help demo demo-nats picture run test tools check fmt fmt-check lint doc deploy-check shell-check deny advisories sbom generate bench \
        bench-check dashboard-check profile gates hot-path fuzz mutants coverage chaos soak loadtest loadtest-smoke loadtest-all conformance image model clean \
        cluster cluster-roll cluster-kill cluster-check client client-test client-newest client-rate quick commits night test-full model-long chaos-long soak-short mutants-changed release release-check \
        helm-ahead

help: ## List the commands
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' \
	  $(MAKEFILE_LIST)

##@ Use

demo: ## Build and run on the embedded broker, with a sample shop: a page of seven teams over one connection
	cargo run --locked -- dev $(ARGS)

demo-nats: ## The same on a real nats-server, with two nodes behind one address and a button that kills one
	scripts/demo-nats.sh $(ARGS)

NODES ?= 2
cluster: ## Three nats-servers, nodes, a balancer and Prometheus on this machine: make cluster NODES=3 SECONDS=60
	cargo build --locked --release
	scripts/cluster.sh up --nodes $(NODES) $(addprefix --seconds ,$(SECONDS)) $(ARGS)

cluster-roll: ## Replace each node of the cluster that is up, one after the other, as a rollout does
	scripts/cluster.sh roll

cluster-kill: ## The same, as kill -9 does
	scripts/cluster.sh kill

run: ## Run a node: make run ARGS='--nats nats://127.0.0.1:4222 --anonymous'
	cargo run --locked --release -- serve $(ARGS)

image: ## Build the container image
	docker build -f deploy/Dockerfile --build-arg COMMIT=$$(git rev-parse --short HEAD) -t notifier:dev .

##@ Every day

# The node as the tests have built it. `cargo build` would build another one, since tests need more features of Tokio.
TESTED_NODE := cargo test --quiet --locked --no-run --test layers

# Without the program: it does not run in the scheduler of the models, and its place belongs to the one that the tests start.
MODEL := --no-default-features --features model

# In the order of how soon each one fails.
quick: fmt-check commits ## Format, clippy, unit tests, floors and what the pages name: below three minutes
	cargo clippy --locked --all-targets -- -D warnings
	cargo test --locked --lib --test layers
	cargo test --locked --test docs -- --skip what_the_pages_show_runs

CHECK := fmt-check commits shell-check release-check lint test deploy-check model doc cluster-check loadtest-smoke dashboard-check bench-check gates
check: helm-ahead $(CHECK) ## All that a change has to pass

# A new machine builds Helm for minutes, on one core and behind others: before `deploy-check` needs it.
helm-ahead:
	@scripts/helm.sh > /dev/null 2>&1 &


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

fmt: ## Format the code
	cargo fmt --all
	cargo fmt --manifest-path fuzz/Cargo.toml
	cargo fmt --manifest-path bench/Cargo.toml

fmt-check:
	cargo fmt --all --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	cargo fmt --check --manifest-path bench/Cargo.toml

lint: ## Clippy, warnings are errors
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked $(MODEL) --lib --test model -- -D warnings

doc: ## Build the documentation of the code, private items included
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

generate: ## Write what is generated from the source: types of the contract, tables in docs/
	UPDATE_GENERATED=1 cargo test --locked --test generated

client: ## Build the browser library into client/dist, and the components of the sample shop into demo/dist
	scripts/client.sh
	cd client && npm run --silent build

client-test: ## Check that client/dist and demo/dist are current, and test them: scripted nodes, real nodes, a real Chromium
	scripts/client.sh
	cd client && NATS_SERVER=$$(../scripts/nats-server.sh) CHROMIUM=$$(../scripts/chromium.sh) \
	  PYTHON=$$(../scripts/peers.sh) npm test --silent -- $(ARGS)

client-newest: ## The tests of the browser library that need no browser, on the newest Node
	scripts/client.sh
	$(TESTED_NODE)
	cd client && NATS_SERVER=$$(../scripts/nats-server.sh) PYTHON=$$(../scripts/peers.sh) \
	  npx --yes node@latest scripts/test.mjs --without-browser $(ARGS)

picture: ## Make the README's picture of the sample shop: docs/images
	scripts/client.sh
	$(TESTED_NODE)
	cd client && CHROMIUM=$$(../scripts/chromium.sh) UPDATE_PICTURE=1 npm test --silent -- picture

commits: ## Check the subjects of this branch's commits
	scripts/check-commits.sh

shell-check: ## Check the shell scripts and the workflows of CI
	scripts/check-shell.sh

deploy-check: ## Check the chart, the Kustomize folders and the dashboard against schemas and policies, and the alert rules with their tests
	scripts/check-deploy.sh
	scripts/check-monitoring.sh

dashboard-check: ## Ask a real Prometheus, over two nodes under load, all that the dashboard and the alert rules ask
	$(TESTED_NODE)
	NOTIFIER=$${CARGO_TARGET_DIR:-target}/debug/notifier scripts/check-dashboard.sh

clean: ## Remove what was built; tools stay, in ~/.cache/notifier
	cargo clean
	rm -rf .cache fuzz/target tests/peers/node_modules client/node_modules client/.build

##@ Before a release

# What is too long for each change. CI runs each word on a machine of its own.
NIGHT := deny advisories test-full client-newest conformance model-long chaos-long soak-short fuzz loadtest-all mutants-changed
night: ## All that is long, one word after the other, some hours
	scripts/night.sh $(NIGHT)

test-full:
	TEST_SIZE=full $(MAKE) test

model-long:
	$(MAKE) model ITERATIONS=2000 SEED=$${SEED:-$$RANDOM}

chaos-long:
	$(MAKE) chaos SECONDS=300 SEED=$${SEED:-$$RANDOM}

soak-short:
	$(MAKE) soak MINUTES=10

mutants-changed: tools
	$(DESCRIPTORS) scripts/mutants.sh --changed $(ARGS)

deny: ## Check licences, bans and sources of all dependencies
	scripts/deny.sh licenses bans sources

advisories: ## Check all dependencies against RustSec; ADVISORY_DB=FOLDER takes a copy of its database
	scripts/deny.sh advisories

sbom: ## Write what the node is made of, as CycloneDX: target/notifier.cdx.json
	scripts/sbom.sh

conformance: tools ## The WebSocket conformance suite's reference runner besides the one in `make test`
	$(DESCRIPTORS) cargo test --locked --test conformance -- --include-ignored

SEED ?=
SECONDS ?=
chaos: ## Kill, pause and cut off everything while events flow: make chaos SEED=7 SECONDS=60
	$(DESCRIPTORS) NATS_SERVER=$$(scripts/nats-server.sh) CHAOS_SEED=$(SEED) CHAOS_SECONDS=$(SECONDS) \
	  cargo test --locked --test chaos every_client -- --nocapture

MINUTES ?= 60
OUT ?= target/soak
soak: ## Live with a node for an hour; nothing may grow or be left: make soak MINUTES=60 SEED=7 OUT=target/soak
	$(DESCRIPTORS) scripts/bench.sh soak --minutes $(MINUTES) $(addprefix --seed ,$(SEED)) --out $(OUT)

loadtest: ## Load a node and a nats-server with k6: make loadtest ARGS=churn; see loadtest/README.md
	cargo build --locked --release
	$(DESCRIPTORS) scripts/loadtest.sh $(ARGS)

cluster-check: ## Roll a cluster of three nodes under 100 clients: 0 lost, 0 twice: make cluster-check ARGS='--rounds 2 --kill'
	$(TESTED_NODE)
	NOTIFIER=$${CARGO_TARGET_DIR:-target}/debug/notifier scripts/cluster.sh check $(ARGS)

# The smallest scenario, and two faults that have to turn it red.
loadtest-smoke:
	$(TESTED_NODE)
	$(DESCRIPTORS) NOTIFIER=$${CARGO_TARGET_DIR:-target}/debug/notifier scripts/loadtest.sh smoke
	$(DESCRIPTORS) NOTIFIER=$${CARGO_TARGET_DIR:-target}/debug/notifier python3 scripts/loadtest_controls.py drop forget

loadtest-all: ## Run every scenario with k6, a minute of soak, and every fault that has to turn one red
	cargo build --locked --release
	for scenario in smoke fanout churn reconnect-storm slow-readers; do $(DESCRIPTORS) scripts/loadtest.sh $$scenario; done
	$(DESCRIPTORS) DURATION=60 scripts/loadtest.sh soak
	$(DESCRIPTORS) python3 scripts/loadtest_controls.py

fuzz: ## Fuzz every decoder and matcher, FUZZ_SECONDS (60) each
	scripts/fuzz.sh

VERSION ?=
release: ## Cut the changelog, set the version, commit and tag: make release VERSION=1.0.0
	scripts/release.sh $(VERSION)

# Cuts a release in a scratch clone.
release-check:
	scripts/check-release.sh

##@ Laboratory

bench: ## Measure a node beside the floor and its peers; see bench/README.md
	$(DESCRIPTORS) scripts/bench.sh $(ARGS)

client-rate: ## Count the events per second that reach a page, beside a bare WebSocket and a Centrifugo (CENTRIFUGO=path)
	scripts/client.sh
	cargo build --locked --release
	cd client && NATS_SERVER=$$(../scripts/nats-server.sh) CHROMIUM=$$(../scripts/chromium.sh) node scripts/rate.mjs $(ARGS)

# The same target folder as the node's, because most of what is compiled is the same.
BENCH := CARGO_TARGET_DIR=$${CARGO_TARGET_DIR:-target} cargo
OF_BENCH := --locked --manifest-path bench/Cargo.toml
BENCH_RUN := $(DESCRIPTORS) $(BENCH) run --quiet $(OF_BENCH) --
QUICKLY := --quick --node $${CARGO_TARGET_DIR:-target}/debug/notifier --nats-server $$(scripts/nats-server.sh)
bench-check: ## Check the benchmark, and that it still works
	$(BENCH) clippy $(OF_BENCH) --all-targets -- -D warnings
	$(BENCH) test $(OF_BENCH)
	$(TESTED_NODE)
	$(BENCH_RUN) $(QUICKLY) --targets floor,floor16,notifier,notifier-proto,naive
	$(BENCH_RUN) $(QUICKLY) --targets notifier,notifier-sse --scenarios idle,connect,storm,fanout,topics,heartbeat,stalled
	$(BENCH_RUN) $(QUICKLY) --targets notifier-durable,notifier-full-durable --scenarios fanout,personal,unwanted
	$(BENCH_RUN) $(QUICKLY) --targets notifier-full,notifier-tls --scenarios idle,connect,storm,topics
	$(BENCH_RUN) startup $(QUICKLY)
	$(BENCH_RUN) resume $(QUICKLY)
	$(BENCH_RUN) soak $(QUICKLY)

profile: ## Where a node's time goes, as a flame graph: make profile ARGS='--scenarios personal'
	$(DESCRIPTORS) scripts/profile.sh $(ARGS)

gates: ## Count the instructions of the hot path, and fail where they have grown by 5 %
	PATH="$$(scripts/gungraun.sh):$$PATH" cargo bench --locked --no-default-features --bench instructions

hot-path: ## Time what is done once per event
	cargo bench --locked --bench hot_path $(ARGS)

model: ## Run what tasks do to each other in thousands of orders: make model ITERATIONS=20000 SEED=3
	$(if $(ITERATIONS),ITERATIONS=$(ITERATIONS)) $(if $(SEED),SEED=$(SEED)) \
	  cargo test --locked $(MODEL) --test model $(ARGS)

mutants: tools ## Change the code bit by bit and list what no test notices: make mutants ARGS='--re src/rate.rs'
	$(DESCRIPTORS) scripts/mutants.sh $(ARGS)

coverage: tools ## What the tests reach, by file: make coverage ARGS=--html
	$(DESCRIPTORS) scripts/coverage.sh $(ARGS)
