#!/usr/bin/env bash
# A whole distributed installation on this machine: PostgreSQL, Redis, two schedulers (one leads, one stands by), a DAG
# processor, and three workers on the queues `default`, `ml` and `default,ml`. Every process has a folder and a
# configuration of its own; workers know neither the DAG folder nor the database. docs/deploy.md does the same by hand.
#
#   scripts/cluster.sh [DIR]          start, wait, Ctrl-C stops      (DIR: .tradewind/cluster)
#   scripts/cluster.sh start [DIR]    start and return; writes DIR/env and DIR/pids
#   scripts/cluster.sh stop [DIR]     stop what `start` started
#
#   TRADEWIND_BINARY   the binary        (target/release/tradewind)
#   TRADEWIND_DAGS     the DAG folder    (dags)
#   TRADEWIND_CLUSTER  `small` starts one scheduler and one worker with 8 slots (for measuring)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

mode=attached
case ${1:-} in start | stop) mode=$1; shift ;; esac
dir=${1:-$root/.tradewind/cluster}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
binary=${TRADEWIND_BINARY:-$root/target/release/tradewind}
dags=$(cd "${TRADEWIND_DAGS:-$root/dags}" && pwd)
python=${TRADEWIND_TEST_PYTHON:-$root/.venv/bin/python}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

stop_cluster() {
  if [[ -f $dir/pids ]]; then
    # Workers first: they finish what they run and report it while a scheduler is there.
    for role in worker dag-processor scheduler; do
      awk -v role="$role" 'index($1, role) == 1 { print $2 }' "$dir/pids" | xargs -r kill -TERM 2>/dev/null || true
      for pid in $(awk -v role="$role" 'index($1, role) == 1 { print $2 }' "$dir/pids"); do
        for _ in $(seq 1 400); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
        kill -KILL "$pid" 2>/dev/null || true
      done
    done
    rm -f "$dir/pids"
  fi
  "$root/scripts/test-services.sh" stop "$dir/services" || true
}

if [[ $mode == stop ]]; then
  stop_cluster
  exit 0
fi

[[ -x $binary ]] || { echo "no binary at $binary; run \`make build\` first" >&2; exit 1; }
if [[ $mode == attached ]]; then
  trap 'trap - EXIT; echo; echo "Stopping the cluster..."; stop_cluster' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
fi

: >"$dir/pids"
services=$(TRADEWIND_TEST_FSYNC=${TRADEWIND_TEST_FSYNC:-on} "$root/scripts/test-services.sh" start "$dir/services")
eval "$services"
postgres=$TRADEWIND_TEST_POSTGRES_URL
redis=$TRADEWIND_TEST_REDIS_URL

# Secrets are made once a folder: they must fit what is in the database.
if [[ ! -f $dir/secrets.toml ]]; then
  (umask 077 && "$binary" config generate-secrets >"$dir/secrets.toml")
fi
secret() { sed -n "s/^$1 = \"\(.*\)\"/\1/p" "$dir/secrets.toml"; }

port_a=$(free_port)
port_b=$(free_port)
schedulers="[\"http://127.0.0.1:$port_a\", \"http://127.0.0.1:$port_b\"]"

config() { # config NAME, body on stdin: a folder and a configuration of its own
  mkdir -p "$dir/$1"
  (umask 077 && cat >"$dir/$1/tradewind.toml")
}
launch() { # launch NAME COMMAND...
  local name=$1
  shift
  # In a session of its own: Ctrl-C reaches this script, which then ends the parts in order.
  (cd "$dir/$name" && exec setsid "$binary" --config tradewind.toml "$@" >>"$dir/$name.log" 2>&1) &
  echo "$name $!" >>"$dir/pids"
}

for name in scheduler-a scheduler-b; do
  port=$port_a
  [[ $name == scheduler-b ]] && port=$port_b
  config "$name" <<TOML
[home]
dir = "home"
[store]
url = "$postgres"
[queue]
url = "$redis"
[scheduler]
name = "$name"
listen = "127.0.0.1:$port"
[security]
admin_token = "$(secret admin_token)"
worker_token = "$(secret worker_token)"
processor_token = "$(secret processor_token)"
fernet_key = "$(secret fernet_key)"
TOML
done

config dag-processor <<TOML
[home]
dir = "home"
[dags]
folder = "$dags"
[python]
interpreter = "$python"
guest_dir = "$root/python"
[client]
schedulers = $schedulers
[security]
processor_token = "$(secret processor_token)"
TOML

worker_config() { # worker_config NAME QUEUES SLOTS
  config "$1" <<TOML
[home]
dir = "home"
[queue]
url = "$redis"
[worker]
name = "$1"
queues = [$2]
slots = $3
[python]
interpreter = "$python"
guest_dir = "$root/python"
[client]
schedulers = $schedulers
[security]
worker_token = "$(secret worker_token)"
TOML
}
(cd "$dir/scheduler-a" && "$binary" --config tradewind.toml db migrate >/dev/null)
launch scheduler-a scheduler
launch dag-processor dag-processor
if [[ ${TRADEWIND_CLUSTER:-full} == small ]]; then
  workers=1
  worker_config worker-both '"default", "ml"' 8
else
  workers=3
  worker_config worker-default '"default"' 4
  worker_config worker-ml '"ml"' 4
  worker_config worker-both '"default", "ml"' 4
  launch scheduler-b scheduler
  launch worker-default worker
  launch worker-ml worker
fi
launch worker-both worker

cat >"$dir/env" <<ENV
export TRADEWIND__CLIENT__SCHEDULERS='$schedulers'
export TRADEWIND__SECURITY__ADMIN_TOKEN='$(secret admin_token)'
ENV
chmod 600 "$dir/env"
# shellcheck disable=SC1091
. "$dir/env"

ready() {
  [[ $("$binary" workers list -o json 2>/dev/null | grep -c '"status": *"active"') -ge $workers ]] &&
    "$binary" dags list -o json 2>/dev/null | grep -q '"dag_id"'
}
all_live() { while read -r _ pid; do kill -0 "$pid" 2>/dev/null || return 1; done <"$dir/pids"; }
for _ in $(seq 1 600); do
  ready && break
  all_live || break
  sleep 0.1
done
ready || { echo "the cluster did not get ready; see the logs in $dir" >&2; tail -n 5 "$dir"/*.log >&2; exit 1; }

[[ $mode == start ]] && exit 0
"$binary" scheduler status
"$binary" workers list
cat <<MESSAGE

The cluster is running; its folders and logs are in $dir. In another terminal:

  . $dir/env
  alias tradewind=$binary
  tradewind pools set ml_training 3 "Models trained at once"
  tradewind dags unpause ml_retraining && tradewind dags trigger ml_retraining --wait
  tradewind queues list

Ctrl-C stops everything.
MESSAGE
wait
