#!/usr/bin/env bash
# Runs every test: lints, Rust, Python, end to end, conformance, providers, acceptance. Starts private PostgreSQL, Redis and
# MariaDB servers and stops them again.
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_INCREMENTAL=${CARGO_INCREMENTAL:-0}
services=$(mktemp -d "${TMPDIR:-/tmp}/tradewind-test.XXXXXX")
cleanup() {
  trap - EXIT
  if [[ -n ${environments:-} ]]; then kill -- "-$environments" 2>/dev/null || true; fi
  ./scripts/test-services.sh stop "$services" || true
  rm -rf "$services"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step() { printf '\n== %s (%ds)\n' "$*" "$SECONDS"; }

step "Python environment"
./python/prepare.sh .venv
export TRADEWIND_TEST_PYTHON=$PWD/.venv/bin/python

step "PostgreSQL, Redis and MariaDB"
./scripts/test-services.sh start "$services" --with mysql >"$services.env"
# shellcheck disable=SC1090
. "$services.env"
rm -f "$services.env"

# Downloads go on while the compiler works; in a group of its own, so that none of it outlives this script.
setsid bash -c './scripts/test-venv.sh tests/providers/requirements.txt && ./tests/acceptance/environments.sh target/acceptance' \
  >"$services/environments.log" 2>&1 &
environments=$!

step "Format and lints"
cargo fmt --all --check
cargo clippy --workspace --all-targets --locked -- -D warnings

step "Rust tests"
cargo test --workspace --locked --no-fail-fast

step "Python tests"
"$TRADEWIND_TEST_PYTHON" -m pytest -q python/tests tests/conformance/test_suite.py

step "End-to-end tests"
# With the tests, so that it is the binary that is there already: alone, its dependencies have other features, and all of
# them would be compiled again.
cargo build --workspace --bins --tests --locked
export TRADEWIND_TEST_BINARY=${CARGO_TARGET_DIR:-$PWD/target}/debug/tradewind
# Each module has systems of its own, and waits more than it computes.
"$TRADEWIND_TEST_PYTHON" -m pytest -q -n 2 --dist loadfile tests/e2e

step "Conformance with Airflow"
./scripts/conformance.sh -j 4

step "Environments of providers and acceptance tests"
wait "$environments" || { cat "$services/environments.log" >&2; exit 1; }
environments=

step "Providers"
./tests/providers/run.sh

step "Acceptance: the seed DAGs"
./tests/acceptance/run.sh

step "All tests passed"
