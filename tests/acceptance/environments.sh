#!/usr/bin/env bash
# Makes the environments of the acceptance tests below DIR, each once for its content, and prints where they are.
#
#   eval "$(tests/acceptance/environments.sh DIR)"
#
# Three virtual environments (requirements-*.txt), and a folder of unpacked Debian packages that no Python package index
# has in a size one can afford: PyTorch for CPUs; and clock.c, compiled. Nothing is installed on the machine, save Java, when
# there is none and this runs as root with apt-get. uv is taken from PATH or from the repository's .venv.
set -euo pipefail

[[ $# == 1 && -n $1 ]] || { sed -n '2,8p' "$0" | sed 's/^# \{0,1\}//' >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cache=$(cd "$1" && pwd)

say() { printf '%s\n' "environments: $*" >&2; }
die() { say "$*"; exit 1; }

uv=$(command -v uv || true)
[[ -n $uv ]] || uv=$here/../../.venv/bin/uv
[[ -x $uv ]] || die "uv was found neither on PATH nor in .venv/bin; run python/prepare.sh .venv, or: pip install uv"

# The pins and PyTorch's build are for this one.
python=
for candidate in "${TRADEWIND_ACCEPTANCE_PYTHON:-}" python3.11 python3; do
    if [[ -n $candidate ]] && "$candidate" -c 'import sys, venv; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[[ -n $python ]] || die "these tests need Python 3.11 with its venv module (Debian's PyTorch is built for it); name one in TRADEWIND_ACCEPTANCE_PYTHON"

# --- virtual environments ---------------------------------------------------------------------------------------------

make_venv() {
    local name=$1 dir compile=()
    dir=$cache/$name-$({ cat "$here/requirements-$name.txt"; "$python" --version; } | sha256sum | cut -c 1-16)
    if [[ ! -f $dir/.complete ]]; then
        say "making the environment \"$name\""
        # Tasks are short and many; the tools start once.
        if [[ $name == tools ]]; then compile=(); else compile=(--compile-bytecode); fi
        "$uv" venv --quiet --clear --python "$python" "$dir" >&2
        "$uv" pip install --quiet "${compile[@]}" --python "$dir/bin/python" --requirement "$here/requirements-$name.txt" >&2
        touch "$dir/.complete"
    fi
    printf 'export TRADEWIND_ACCEPTANCE_%s=%q\n' "${name^^}" "$dir"
}

# --- Debian packages, unpacked ----------------------------------------------------------------------------------------

command -v apt-get >/dev/null || die "these tests take PyTorch from Debian's packages, and there is no apt-get"

wanted_debs() {
    apt-get install --simulate --no-install-recommends python3-torch 2>/dev/null | awk '/^Inst /{print $2}' |
        grep -vE '^(python3-|libtorch-test$)' || true
    printf '%s\n' python3-torch
}

make_debs() {
    local dir
    dir=$cache/debs-$({ . /etc/os-release && echo "$ID $VERSION_ID"; uname -m; sha256sum <"$0"; } | sha256sum | cut -c 1-16)
    if [[ ! -f $dir/.complete ]]; then
        say "fetching PyTorch"
        rm -rf "$dir"
        mkdir -p "$dir/packages" "$dir/root"
        if ! apt-cache show python3-torch >/dev/null 2>&1; then apt-get update -qq >&2; fi
        (cd "$dir/packages" && wanted_debs | sort -u | xargs apt-get download -qq 2>/dev/null) ||
            die "apt-get could not download python3-torch and what it needs"
        find "$dir/packages" -name '*.deb' -print0 | xargs -0 -P 2 -I '{}' dpkg-deb -x '{}' "$dir/root"
        rm -rf "$dir/packages"
        touch "$dir/.complete"
    fi
    printf 'export TRADEWIND_ACCEPTANCE_DEBS=%q\n' "$dir/root"
}

clock=$cache/clock-$(sha256sum "$here/clock.c" | cut -c 1-16).so
if [[ ! -f $clock ]]; then
    command -v cc >/dev/null || die "clock.c cannot be compiled: there is no cc (Debian: apt-get install gcc libc6-dev)"
    cc -O2 -Wall -Wextra -Werror -shared -fPIC -o "$clock.part" "$here/clock.c" -ldl && mv "$clock.part" "$clock"
fi
printf 'export TRADEWIND_ACCEPTANCE_CLOCK=%q\n' "$clock"

if ! command -v java >/dev/null; then
    [[ $(id -u) == 0 ]] || die "Spark needs Java 17, and there is no java on PATH (Debian: apt-get install default-jre-headless)"
    say "installing Java"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends default-jre-headless; } >&2
fi

# The downloads of one wait for those of the other, not for its unpacking and compiling.
make_debs >"$cache/.debs.out" & debs=$!
make_venv dags
make_venv tools
make_venv ge
wait "$debs" || die "the Debian packages could not be unpacked"
cat "$cache/.debs.out"
