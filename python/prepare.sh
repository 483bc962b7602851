#!/bin/sh
# Makes or updates the Python environment that DAG files and tasks run in.
#
#   python/prepare.sh VENV_DIR
#
# Needs Python >= 3.10 (TRADEWIND_BASE_PYTHON names one; otherwise the first fit on PATH). Packages come from the index
# that pip or uv is set up for, at the versions of requirements.lock. Installs nothing when all is up to date.
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

# Lets python and pytest of the environment find the guest package: pytest then has the Airflow 2 layer in force
# (docs/airflow-2.md). Written anew each time, as the environment may have been made for another checkout.
register() {
    site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    info="$site/tradewind_guest-1.dist-info"
    mkdir -p "$info"
    echo "$here" >"$site/tradewind_guest.pth"
    printf 'Metadata-Version: 2.1\nName: tradewind-guest\nVersion: 1\n' >"$info/METADATA"
    printf '[pytest11]\ntradewind_guest.compat.pytest_plugin = tradewind_guest.compat.pytest_plugin\n' >"$info/entry_points.txt"
    echo prepare.sh >"$info/INSTALLER"
    printf '%s,,\n' tradewind_guest.pth tradewind_guest-1.dist-info/METADATA tradewind_guest-1.dist-info/entry_points.txt \
        tradewind_guest-1.dist-info/INSTALLER tradewind_guest-1.dist-info/RECORD >"$info/RECORD"
}

wanted=$(sha256sum "$lock" | cut -d ' ' -f 1)
if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    register
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
register
echo "$wanted" >"$stamp"
