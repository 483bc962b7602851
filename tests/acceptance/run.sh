#!/usr/bin/env bash
# Runs the seed DAGs under a real Tradewind, with real servers or stand-ins around it, and checks their effects.
#
#   tests/acceptance/run.sh [PYTEST ARGUMENT...]
#
#   TRADEWIND_TEST_BINARY        the binary under test [target/debug/tradewind]
#   TRADEWIND_ACCEPTANCE_CACHE   where the environments are kept [target/acceptance]
#   TRADEWIND_ACCEPTANCE_KEEP    keep the work folder of the run here
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD

export TRADEWIND_TEST_BINARY=${TRADEWIND_TEST_BINARY:-${CARGO_TARGET_DIR:-$root/target}/debug/tradewind}
[[ -x $TRADEWIND_TEST_BINARY ]] || { echo "run.sh: no binary at $TRADEWIND_TEST_BINARY; build it: cargo build" >&2; exit 1; }
cache=${TRADEWIND_ACCEPTANCE_CACHE:-$root/target/acceptance}

# Servers that the machine lacks are installed now: inside there is no network.
services=$(mktemp -d "${TMPDIR:-/tmp}/tradewind-acceptance.XXXXXX")
work=${TRADEWIND_ACCEPTANCE_KEEP:-$services/work}
child=
cleanup() {
    trap - EXIT
    # All that runs inside ends with it.
    if [[ -n $child ]]; then kill -KILL "$child" 2>/dev/null || true; fi
    rm -rf "$services"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

./scripts/test-services.sh start "$services/servers" --with mysql >/dev/null
./scripts/test-services.sh stop "$services/servers"
variables=$(tests/acceptance/environments.sh "$cache")
eval "$variables"

mkdir -p "$work"
chmod 711 "$services" "$work"
java=$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")
python=$("$TRADEWIND_ACCEPTANCE_DAGS/bin/python" -c 'import sys; print(sys.base_prefix)')
keep=()
for dir in "$root" "$cache" "$(dirname "$TRADEWIND_TEST_BINARY")" "$java" "$python"; do keep+=(--keep "$dir"); done
tests/acceptance/inside.sh "$work" "${keep[@]}" -- \
    "$TRADEWIND_ACCEPTANCE_TOOLS/bin/python" -m pytest -q -p no:cacheprovider --rootdir tests/acceptance \
    "${@:-tests/acceptance}" &
child=$!
status=0
wait "$child" || status=$?
child=
exit "$status"
