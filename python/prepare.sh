#!/bin/sh
# Makes or updates the Python environment that DAG files and tasks run in.
#
#   python/prepare.sh VENV_DIR
#
# Needs Python >= 3.10 (TRADEWIND_BASE_PYTHON names one; otherwise the first fit on PATH). Packages come from the index
# that pip or uv is set up for, at the versions of requirements.lock. Does nothing when all is up to date.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
lock="$here/requirements.lock"

if [ $# -ne 1 ]; then
    echo "usage: python/prepare.sh VENV_DIR" >&2
    exit 2
fi
venv=$1
stamp="$venv/.tradewind-stamp"

fail() {
    echo "prepare.sh: $1" >&2
    exit 1
}

is_fit() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1
}

wanted=$(sha256sum "$lock" | cut -d ' ' -f 1)
if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

base=
for candidate in "${TRADEWIND_BASE_PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.10 python3.14 python; do
    if [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 && is_fit "$candidate"; then
        base=$candidate
        break
    fi
done
[ -n "$base" ] || fail "no Python >= 3.10 with its venv module was found on PATH (on Debian or Ubuntu: apt-get install python3 python3-venv), or name one in TRADEWIND_BASE_PYTHON"

echo "preparing the Python environment in $venv ($("$base" --version))" >&2
rm -f "$stamp"
if ! { [ -x "$venv/bin/python" ] && is_fit "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1; }; then
    "$base" -m venv --clear "$venv"
fi

# uv installs in seconds what pip needs minutes for.
if command -v uv >/dev/null 2>&1; then
    uv=uv
elif "$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv >/dev/null 2>&1; then
    uv="$venv/bin/uv"
else
    uv=
fi

# Compiled here, once: a task must not spend its time on it.
if [ -n "$uv" ]; then
    VIRTUAL_ENV="$venv" "$uv" pip install --quiet --python "$venv/bin/python" --compile-bytecode --requirement "$lock"
else
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --compile --requirement "$lock"
fi
echo "$wanted" >"$stamp"
