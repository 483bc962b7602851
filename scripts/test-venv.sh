#!/usr/bin/env bash
# Virtual environments for tests, from pinned requirements, made once per content.
#
#   scripts/test-venv.sh REQUIREMENTS.txt      make it unless it is there; print its folder
#   scripts/test-venv.sh --pin REQUIREMENTS.in write REQUIREMENTS.txt anew, with the Airflow of python/requirements.lock
#
# The folder's name holds a hash of the requirements and of the interpreter, so that a change makes another one. They lie
# in TRADEWIND_TEST_VENVS (default: target/test-venvs). The interpreter is TRADEWIND_BASE_PYTHON, or the one that .venv was
# made with, or python3.
#
# Packages that are built from source here and their build needs (Debian; installed when this runs as root with apt-get):
# mysqlclient needs a C compiler, pkg-config and libmariadb-dev.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

say() { printf '%s\n' "test-venv: $*" >&2; }
die() { say "$*"; exit 1; }
usage() { sed -n '2,13p' "$0" | sed 's/^# \{0,1\}//' >&2; exit 2; }

find_uv() {
    local candidate
    for candidate in "$(command -v uv || true)" "$root/.venv/bin/uv"; do
        if [[ -n $candidate && -x $candidate ]]; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    die "uv was not found; install it (pip install uv), or run python/prepare.sh .venv, which does"
}

find_python() {
    local candidate
    for candidate in "${TRADEWIND_BASE_PYTHON:-}" "$root/.venv/bin/python" python3; do
        if [[ -n $candidate ]] && command -v "$candidate" >/dev/null; then
            # Not the environment's own path: it may go away, the one that it was made with stays.
            "$candidate" -c 'import os, sys; print(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))'
            return 0
        fi
    done
    die "no Python was found; name one in TRADEWIND_BASE_PYTHON"
}

pin() {
    local input output constraints
    [[ $1 == *.in && -f $1 ]] || die "$1: no such file, or its name does not end in .in"
    input=$(realpath "$1")
    output=${input%.in}.txt
    constraints=$(mktemp)
    # Airflow itself is what guests run on. All else is the choice of this environment, as in a user's.
    grep -E '^apache-airflow(-core|-task-sdk)?==' "$root/python/requirements.lock" >"$constraints"
    (
        cd "$root"
        UV_CUSTOM_COMPILE_COMMAND="scripts/test-venv.sh --pin ${input#"$root"/}" "$(find_uv)" pip compile --quiet \
            --universal --python-version "$("$(find_python)" -c 'import sys; print("%d.%d" % sys.version_info[:2])')" \
            --no-emit-index-url --no-annotate --constraint "$constraints" --output-file "$output" "$input"
    )
    rm -f "$constraints"
}

# What packages without a wheel need, if it is missing.
ensure_build_needs() {
    local missing=()
    grep -qi '^mysqlclient==' "$1" || return 0
    command -v gcc >/dev/null || missing+=(gcc libc6-dev)
    command -v pkg-config >/dev/null || missing+=(pkg-config)
    pkg-config --exists libmariadb 2>/dev/null || missing+=(libmariadb-dev)
    ((${#missing[@]} > 0)) || return 0
    if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
        die "mysqlclient is built from source and needs: ${missing[*]} (Debian, Ubuntu: sudo apt-get install ${missing[*]})"
    fi
    say "installing ${missing[*]}"
    {
        apt-get update -qq || say "apt-get update failed; trying with the lists that are there"
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
    } >&2 || die "could not install ${missing[*]}; install them and run this again"
}

make_venv() {
    local requirements=$1 uv python hash folder
    [[ -f $requirements ]] || die "$requirements: no such file"
    uv=$(find_uv)
    python=$(find_python)
    hash=$({ cat "$requirements"; "$python" -c 'import sys; print(sys.executable, sys.version)'; } | sha256sum | cut -c1-16)
    folder=${TRADEWIND_TEST_VENVS:-$root/target/test-venvs}
    mkdir -p "$folder"
    folder=$(cd "$folder" && pwd)/$hash
    # Two may ask for it at once; scripts in it hold its path, so it is made where it stays.
    exec 9>"$folder.lock"
    flock 9
    if [[ ! -f $folder/.complete ]]; then
        ensure_build_needs "$requirements"
        say "making an environment from $requirements with $("$python" --version)"
        rm -rf "$folder"
        "$uv" venv --quiet --python "$python" "$folder" >&2
        "$uv" pip install --quiet --python "$folder/bin/python" --requirement "$requirements" >&2
        : >"$folder/.complete"
    fi
    printf '%s\n' "$folder"
}

case "$# ${1:-}" in
"2 --pin") pin "$2" ;;
"1 -"*) usage ;;
"1 "*) make_venv "$1" ;;
*) usage ;;
esac
