#!/usr/bin/env bash
# Pins the environments of these tests anew: requirements-*.in -> requirements-*.txt.
set -euo pipefail
cd "$(dirname "$0")"
uv=$(command -v uv || echo ../../.venv/bin/uv)
pins=$(mktemp)
trap 'rm -f "$pins"' EXIT
grep -E '^apache-airflow' ../../python/requirements.lock >"$pins"
for name in dags ge tools; do
    flags=()
    if [[ $name != tools ]]; then flags=(--constraint "$pins" --override overrides.txt); fi
    "$uv" pip compile --quiet --no-header --no-annotate --python-version 3.11 "${flags[@]}" "requirements-$name.in" \
        --output-file "requirements-$name.txt"
done
