# Tradewind: the commands that people use. `make run` and `make test` do all the set-up by themselves.
.PHONY: run test conformance cluster bench build python lint clean help

VENV ?= .venv
export TRADEWIND_TEST_PYTHON ?= $(CURDIR)/$(VENV)/bin/python

help: ## Show this list.
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

build: ## Build the release binary.
	cargo build --release --locked -p tradewind-cli

python: ## Prepare the Python environment of guests, with pinned packages.
	./python/prepare.sh $(VENV)

run: build python ## Start everything on this machine, run the example DAG, leave it running (Ctrl-C stops).
	./scripts/run.sh

cluster: build python ## Start Postgres, Redis, two schedulers, a DAG processor and three workers (Ctrl-C stops).
	./scripts/cluster.sh

test: ## Run all tests, with the services that they need.
	./scripts/test.sh

conformance: ## Compare with the outcomes of a real Airflow (scripts/conformance.sh --regenerate makes them anew).
	./scripts/conformance.sh

bench: build python ## Measure hop latency, fan-out, throughput, idle cost and start-up.
	./scripts/bench.sh

lint: ## Check format and lints.
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

clean: ## Remove what the commands above made.
	rm -rf target $(VENV) .tradewind
