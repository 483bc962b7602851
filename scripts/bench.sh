#!/usr/bin/env bash
# Measures Tradewind on this machine; see tests/bench/bench.py --help. The engine alone: `cargo bench -p tradewind-engine`.
set -euo pipefail
cd "$(dirname "$0")/.."
export TRADEWIND_TEST_BINARY=$PWD/target/release/tradewind
export TRADEWIND_TEST_PYTHON=$PWD/.venv/bin/python
exec "$TRADEWIND_TEST_PYTHON" tests/bench/bench.py "$@"
