# What one does with Postroom's source. `make demo` and `make test` each work as the first command after a clone.

SHELL := /bin/bash
TARGET := $(or $(CARGO_TARGET_DIR),target)
# A Redis of the machine's, or one that is fetched.
WITH_REDIS = export PATH="$$(tests/tools/redis.sh):$$PATH"

# Always the whole workspace, so that each library is built once, with the features that all of them ask for together.
BINS = cargo build --workspace --bins
# One test program of tests/it, by its feature.
PROOF = $(BINS) && cargo test --workspace --features postroom-it/$(1) --test $(1)

.PHONY: try demo test model chaos bench bench-dashboard check fuzz test-servers test-browser test-dashboard test-sdks test-k8s test-k8s-image redis-size test-tokens test-openapi test-telemetry test-producer-kills test-monitoring test-scaling dashboards help

help: ## Tells what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

try: ## Everything up for trying it by hand: the HTTP API with a key, the stand-in for Gmail, two workers
	@export PATH="$$(tests/tools/redis.sh demo):$$PATH"; $(BINS) && $(TARGET)/debug/postroom-demo --by-hand

demo: ## 200 mails through two workers and the stand-in for Gmail; KEEP=1 stays up
	@export PATH="$$(tests/tools/redis.sh demo):$$PATH"; $(BINS) && $(TARGET)/debug/postroom-demo $(if $(KEEP),--keep)

test: ## All tests that need Rust and a Redis
	@$(WITH_REDIS); $(BINS) && cargo test --workspace --no-fail-fast

test-servers: ## Against mail servers that others wrote (needs Node.js and npm; Debian's Dovecot is installed if root)
	@$(WITH_REDIS); tests/tools/dovecot.sh && npm install --prefix tests/servers --no-audit --no-fund --no-package-lock --silent \
	  && $(call PROOF,servers)

test-browser: ## `postroom account login` in a real browser (Debian's Chromium and its driver are installed if root)
	@$(WITH_REDIS); tests/tools/chromium.sh && $(call PROOF,browser)

test-dashboard: ## The dashboard in a real browser, with axe-core (needs Node.js and npm; Chromium as above); UPDATE_IMAGES=1: docs/images
	@$(WITH_REDIS); tests/tools/chromium.sh && npm install --prefix tests/dashboard --no-audit --no-fund --no-package-lock --silent \
	  && $(call PROOF,dashboard)

test-sdks: ## Resend's SDKs for Node.js, Python and Rust, and Django, against `postroom serve` (needs Node.js, npm and Python 3)
	@$(WITH_REDIS); tests/tools/sdks.sh && $(call PROOF,sdks)

test-k8s: ## The manifests: schemas of eight versions, seeded typos, checkov, the scaling query; the commands of docs/operations.md (needs Python)
	@$(WITH_REDIS); tests/tools/k8s.sh && .cache/k8s/bin/python k8s/tests/run.py \
	  && $(BINS) && .cache/k8s/bin/python k8s/tests/operations.py "$(abspath $(TARGET))/debug"

test-k8s-image: ## The image: static, at most 25 MB, one digest; the rendered worker under podman (Debian's packages are installed if root); AGAIN=1
	@$(WITH_REDIS); tests/tools/k8s.sh && tests/tools/image.sh && k8s/image/build.sh $(if $(AGAIN),--again) && k8s/image/try.sh

redis-size: ## What a mail takes in Redis, by size and state (docs/redis.md)
	@$(WITH_REDIS); $(BINS) && PATH="$(abspath $(TARGET))/debug:$$PATH" tests/tools/redis-size.py

test-tokens: ## 8 workers, 20 accounts, tokens that live 5 s, a minute of load: one refresh a lifetime (docs/tokens.md)
	@$(WITH_REDIS); $(BINS) && cargo test --workspace --features postroom-it/long --test it -- --nocapture a_minute_of_load

test-producer-kills: ## kill -9 of `postroom serve` at 200 random moments under load: each idempotency key goes once; SEED=7
	@$(WITH_REDIS); $(BINS) && cargo test --workspace --features postroom-it/long --test it -- --nocapture killed_two_hundred_times

test-openapi: ## 5 minutes of requests that schemathesis makes of the OpenAPI document (needs Python); OPENAPI_SECONDS=60, OPENAPI_SEED=7
	@$(WITH_REDIS); tests/tools/schemathesis.sh && export OPENAPI_SECONDS=$(or $(OPENAPI_SECONDS),300) \
	  && $(call PROOF,openapi) -- --nocapture

dashboards: ## Writes the JSON of Grafana's dashboards from k8s/monitoring/grafana/dashboards.py (needs Python)
	@tests/tools/monitoring.sh python && .cache/monitoring/bin/python k8s/monitoring/grafana/dashboards.py

test-monitoring: ## Rules, dashboards and runbooks with a real Prometheus and Alertmanager (needs Python; Debian's packages are installed if root)
	@$(WITH_REDIS); tests/tools/monitoring.sh && $(BINS) \
	  && .cache/monitoring/bin/python -m pytest -q -p no:cacheprovider tests/monitoring

test-telemetry: ## Metrics and traces, read by PyPI's prometheus-client and rotel (needs Python)
	@$(WITH_REDIS); tests/tools/telemetry.sh && $(call PROOF,telemetry) -- --nocapture

fuzz: ## The parsers under a coverage-guided fuzzer (nightly Rust; else random changes), a minute each; FUZZ_SECONDS=900, ARGS="eml template"
	@tests/tools/fuzz.sh $(or $(FUZZ_SECONDS),60) $(ARGS)

model: ## The protocol under the model checker, with larger bounds than in `make test` (docs/protocol.md)
	cargo test --workspace --features postroom-model/long --test model -- --test-threads 1

chaos: ## Faults by a seeded schedule while mail goes out (docs/reliability.md); ARGS="--seconds 3600", "--kills 10000", "--seed 7"
	@$(WITH_REDIS); tests/tools/faketime.sh; $(BINS) && $(TARGET)/debug/postroom-chaos $(ARGS)

bench: ## Speed and size, as ratios against a loop without a queue
	@$(WITH_REDIS); cargo build --release -p postroom -p postroom-worker -p postroom-sandbox -p postroom-bench \
	  && $(TARGET)/release/postroom-bench $(ARGS)

test-scaling: ## One, two, four and eight workers against a server that takes 100 ms for each reply: at least 0.9 of linear
	@$(WITH_REDIS); $(BINS) && cargo test --workspace --features postroom-it/long --test it -- --nocapture eight_workers

bench-dashboard: ## How long each page of the dashboard takes with 200,000 mails in Redis: p95 below 100 ms (docs/dashboard.md)
	@$(WITH_REDIS); $(BINS) && cargo test --workspace --features postroom-it/long --test it -- --nocapture each_page_takes

check: ## Formatting, lints, docs, licences and advisories
	@tree=$$(cargo tree -p postroom --no-default-features -e normal --prefix none) && ! grep -E "^(axum|clap|minijinja) " <<<"$$tree"
	cargo clippy -p postroom --lib --no-default-features -- -D warnings
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
	@tests/tools/deny.sh
