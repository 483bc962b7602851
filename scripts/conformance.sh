#!/usr/bin/env bash
# Compares Tradewind with Apache Airflow 3.3.2 on the DAGs of tests/conformance.
#
#   scripts/conformance.sh [NAME...]                 run them on Tradewind, compare with the goldens
#   scripts/conformance.sh --regenerate [NAME...]    run them on a real Airflow, rewrite the goldens
#
# NAME is a case or an area (a folder of tests/conformance/dags); all by default. -k NAME says the same. -j N drives N cases
# at once; --keep DIR also writes the outcomes seen there; --patience FACTOR waits longer or shorter.
#
#   TRADEWIND_TEST_BINARY    the binary under test [default: target/debug/tradewind, built if it is not there]
#   TRADEWIND_TEST_PYTHON    the interpreter of its guests [default: .venv, prepared if it is not there]
#   TRADEWIND_AIRFLOW_VENV   where the reference Airflow is installed [default: target/conformance/airflow]
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
export PYTHONDONTWRITEBYTECODE=1

regenerate=no
for argument in "$@"; do
    case $argument in
    --regenerate) regenerate=yes ;;
    -h | --help)
        sed -n '2,14p' "$0" | sed 's/^# \{0,1\}//'
        exit 0
        ;;
    esac
done

if [[ $regenerate == no ]]; then
    if [[ -z ${TRADEWIND_TEST_PYTHON:-} ]]; then
        ./python/prepare.sh .venv
        export TRADEWIND_TEST_PYTHON=$root/.venv/bin/python
    fi
    if [[ -z ${TRADEWIND_TEST_BINARY:-} ]]; then
        cargo build --locked -p tradewind-cli
        export TRADEWIND_TEST_BINARY=${CARGO_TARGET_DIR:-$root/target}/debug/tradewind
    fi
    exec "$TRADEWIND_TEST_PYTHON" tests/conformance/run.py "$@"
fi

# The reference: the packages that guests have, at the same versions, and what a real Airflow needs beside them.
export TRADEWIND_AIRFLOW_VENV=${TRADEWIND_AIRFLOW_VENV:-$root/target/conformance/airflow}
stamp=$TRADEWIND_AIRFLOW_VENV/.tradewind-conformance-stamp
wanted=$(sha256sum tests/conformance/requirements.txt | cut -d ' ' -f 1)
mkdir -p "$(dirname "$TRADEWIND_AIRFLOW_VENV")"
./python/prepare.sh "$TRADEWIND_AIRFLOW_VENV"
if [[ $(cat "$stamp" 2>/dev/null) != "$wanted" ]]; then
    "$TRADEWIND_AIRFLOW_VENV/bin/python" -m pip install --quiet --disable-pip-version-check \
        --requirement tests/conformance/requirements.txt
    echo "$wanted" >"$stamp"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/tradewind-airflow.XXXXXX")
cleanup() {
    local status=$?
    trap - EXIT
    ./scripts/test-services.sh stop "$work/services" || true
    if [[ $status == 0 ]]; then
        rm -rf "$work"
    else
        echo "Airflow's logs are in $work/airflow" >&2
    fi
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

./scripts/test-services.sh start "$work/services" >"$work/services.env"
# shellcheck disable=SC1091
. "$work/services.env"
export CONFORMANCE_FOLDER=$work
"$TRADEWIND_AIRFLOW_VENV/bin/python" tests/conformance/run.py "$@"
