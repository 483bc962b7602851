#!/usr/bin/env bash
# Starts `tradewind standalone` on dags/, runs the example DAG while showing its tasks, and leaves the system running.
set -euo pipefail
cd "$(dirname "$0")/.."

tradewind=target/release/tradewind
home=${TRADEWIND__HOME__DIR:-.tradewind}
dag=${1:-ml_retraining}
mkdir -p "$home"
home=$(cd "$home" && pwd)

log=$home/standalone.log
# In a session of its own: Ctrl-C reaches this script, which then asks for an orderly end once.
setsid "$tradewind" standalone --home "$home" --dags-folder dags --queues default,ml >"$log" 2>&1 &
pid=$!
stop() {
  trap - INT TERM EXIT
  echo
  echo "Stopping (running tasks get a moment to finish)..."
  kill -TERM "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  echo "Stopped. Runs, logs and settings are kept in $home."
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

cli() { "$tradewind" --home "$home" "$@"; }
wait_for() { # wait_for SECONDS WHAT COMMAND...
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ! kill -0 "$pid" 2>/dev/null; then
      echo "tradewind ended while starting; its last words:" >&2
      tail -n 20 "$log" >&2
      exit 1
    fi
    if ((SECONDS > deadline)); then
      echo "$what did not happen in time; see $log" >&2
      cli dags list-import-errors >&2 || true
      exit 1
    fi
    sleep 0.1
  done
}

echo "Starting Tradewind..."
wait_for 30 "a healthy scheduler" cli scheduler status
wait_for 60 "loading the DAG $dag" cli dags details "$dag"
cli pools set ml_training 3 "Models trained at once" >/dev/null
cli dags unpause "$dag" >/dev/null
echo
cli dags trigger "$dag" --wait
echo
cli dags list
cat <<MESSAGE

Tradewind is running. In another terminal, try:

  alias tradewind="$PWD/$tradewind --home $home"
  tradewind tasks logs $dag latest notify
  tradewind xcom list $dag latest
  tradewind dags trigger native_pipeline --wait
  tradewind scheduler status

  home $home     log $log
$(grep -oE 'http://[0-9.:]+' "$log" | head -n 1 | sed 's/^/  gRPC /')

Ctrl-C stops everything.
MESSAGE
wait "$pid"
