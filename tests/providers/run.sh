#!/usr/bin/env bash
# Runs the tests of provider packages, from nothing: their environment, the servers, Tradewind.
#
#   tests/providers/run.sh [ARGUMENTS OF PYTEST]
#
#   TRADEWIND_TEST_BINARY   the binary [default: target/debug/tradewind]
#
# Servers of scripts/test-services.sh that run already (TRADEWIND_TEST_*_URL are set) are used and left as they are.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

venv=$("$root/scripts/test-venv.sh" "$here/requirements.txt")
export TRADEWIND_TEST_PYTHON=$venv/bin/python

if [[ -z ${TRADEWIND_TEST_POSTGRES_URL:-} || -z ${TRADEWIND_TEST_REDIS_URL:-} || -z ${TRADEWIND_TEST_MYSQL_URL:-} ]]; then
    services=$(mktemp -d "${TMPDIR:-/tmp}/tradewind-providers.XXXXXX")
    cleanup() {
        trap - EXIT
        "$root/scripts/test-services.sh" stop "$services" || true
        rm -rf "$services" "$services.env"
    }
    trap cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    "$root/scripts/test-services.sh" start "$services" --with mysql >"$services.env"
    # shellcheck disable=SC1090
    . "$services.env"
fi

"$TRADEWIND_TEST_PYTHON" -m pytest -q -p no:cacheprovider "$here" "$@"
