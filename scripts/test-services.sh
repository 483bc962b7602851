#!/usr/bin/env bash
# Private PostgreSQL and Redis servers for tests, `make cluster` and `make bench`; MariaDB for who asks.
#
#   eval "$(scripts/test-services.sh start DIR)"   start both, print `export …` lines
#   scripts/test-services.sh start DIR --with mysql   the same and MariaDB (adds it where the two run already)
#   scripts/test-services.sh stop DIR              stop what `start` started, remove DIR
#   scripts/test-services.sh env DIR               print the `export …` lines again
#
# Each DIR is one instance: free loopback ports, random passwords, own data. Nothing outside DIR is touched, except that
# missing server binaries are installed from the system's packages when this runs as root with apt-get.
#
#   TRADEWIND_TEST_FSYNC=on    durable Postgres commits (for measuring); default off
set -euo pipefail

usage() { sed -n '2,11p' "$0" | sed 's/^# \{0,1\}//' >&2; exit 2; }
say() { printf '%s\n' "test-services: $*" >&2; }
die() { say "$*"; exit 1; }

# --- binaries ---------------------------------------------------------------------------------------------------------

# The folder of PostgreSQL's server binaries; Debian keeps them off PATH.
find_pg_bin() {
    local dir
    for dir in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5 -rn) \
        "$(pg_config --bindir 2>/dev/null || true)" \
        "$(dirname "$(command -v initdb 2>/dev/null || echo /nonexistent/initdb)")" \
        /opt/homebrew/opt/postgresql@*/bin /usr/pgsql-*/bin; do
        if [[ -x "$dir/initdb" && -x "$dir/pg_ctl" && -x "$dir/postgres" ]]; then
            printf '%s\n' "$dir"
            return 0
        fi
    done
    return 1
}

# Installs Debian packages without letting them start their system-wide services.
apt_install() {
    local policy=/usr/sbin/policy-rc.d made=no status=0
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && made=yes
    fi
    say "installing $*"
    {
        apt-get update -qq || say "apt-get update failed; trying with the lists that are there"
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
    } >&2 || status=$?
    if [[ $made == yes ]]; then rm -f "$policy"; fi
    return "$status"
}

ensure_binaries() {
    local missing=()
    find_pg_bin >/dev/null || missing+=(postgresql)
    command -v redis-server >/dev/null || missing+=(redis-server)
    if ((${#missing[@]} > 0)); then
        if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
            apt_install "${missing[@]}" || die "could not install ${missing[*]}; install them and run this again"
        else
            die "missing: ${missing[*]}. Install the server packages (Debian, Ubuntu: sudo apt-get install ${missing[*]}; macOS: brew install postgresql@16 redis) and run this again"
        fi
    fi
    PG_BIN=$(find_pg_bin) || die "PostgreSQL's initdb, pg_ctl and postgres are not on PATH nor in the usual folders"
    command -v redis-server >/dev/null || die "redis-server is not on PATH"
    local major
    major=$(redis-server --version | sed -n 's/.*v=\([0-9]*\).*/\1/p')
    [[ ${major:-0} -ge 7 ]] || die "Redis 7 or newer is needed; redis-server is version ${major:-unknown}"
}

# Only for who asks for MySQL: most runs need no second database server. MariaDB, because Debian has it.
ensure_mysql_binaries() {
    local packages=(mariadb-server-core mariadb-client-core)
    PATH=$PATH:/usr/sbin
    if ! { command -v mariadbd && command -v mariadb-install-db; } >/dev/null; then
        if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
            apt_install "${packages[@]}" || die "could not install ${packages[*]}; install them and run this again"
        fi
    fi
    { command -v mariadbd && command -v mariadb-install-db; } >/dev/null ||
        die "missing: mariadbd. Install it (Debian, Ubuntu: sudo apt-get install ${packages[*]}; macOS: brew install mariadb) and run this again"
}

# --- helpers ----------------------------------------------------------------------------------------------------------

random_word() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# A loopback port that nobody listens on now. Somebody may take it before we do, so callers retry.
free_port() {
    local port
    while :; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            printf '%s\n' "$port"
            return 0
        fi
    done
}

# Runs a command as the user that Postgres runs as: initdb refuses root.
as_pg_user() {
    if [[ $(id -u) != 0 ]]; then
        "$@"
    else
        setpriv --reuid="$PG_USER" --regid="$(id -g "$PG_USER")" --clear-groups -- env -C / HOME=/ "$@"
    fi
}

choose_pg_user() {
    PG_USER=$(id -un)
    if [[ $(id -u) == 0 ]]; then
        local user
        for user in postgres "${SUDO_USER:-}" nobody; do
            if [[ -n $user && $user != root ]] && id "$user" >/dev/null 2>&1; then
                PG_USER=$user
                return 0
            fi
        done
        die "running as root, and there is no user postgres or nobody to run PostgreSQL as"
    fi
}

# --- postgres ---------------------------------------------------------------------------------------------------------

start_postgres() {
    local dir=$1 fsync=${TRADEWIND_TEST_FSYNC:-off} password root port attempt
    case $fsync in on | off) ;; *) die "TRADEWIND_TEST_FSYNC is \"$fsync\"; use on or off" ;; esac
    choose_pg_user
    root=$dir/postgres
    mkdir -p "$root"
    chmod 711 "$dir"
    if [[ $(id -u) == 0 ]]; then
        chown "$PG_USER" "$root"
        # The data must lie where the unprivileged user can reach it; a home folder of root is not such a place.
        if ! as_pg_user test -x "$root" || ! as_pg_user test -w "$root"; then
            rmdir "$root"
            root=$(mktemp -d "${TMPDIR:-/tmp}/tradewind-postgres.XXXXXX")
            chown "$PG_USER" "$root"
        fi
    fi
    chmod 700 "$root"
    printf '%s\n' "$root" >"$dir/postgres.root"
    printf '%s\n' "$PG_BIN" >"$dir/postgres.bin"
    printf '%s\n' "$PG_USER" >"$dir/postgres.user"

    password=$(random_word)
    printf '%s\n' "$password" >"$root/password"
    chmod 600 "$root/password"
    if [[ $(id -u) == 0 ]]; then chown "$PG_USER" "$root/password"; fi
    as_pg_user "$PG_BIN/initdb" --pgdata="$root/data" --username=postgres --pwfile="$root/password" \
        --auth=scram-sha-256 --encoding=UTF8 --no-locale --no-sync >"$dir/initdb.log" 2>&1 ||
        die "initdb failed: $(tail -n 3 "$dir/initdb.log")"
    as_pg_user tee -a "$root/data/postgresql.conf" >/dev/null <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
shared_buffers = 128MB
fsync = $fsync
full_page_writes = $fsync
logging_collector = off
log_min_messages = warning
CONF
    for attempt in 1 2 3 4 5; do
        port=$(free_port)
        if as_pg_user "$PG_BIN/pg_ctl" start --pgdata="$root/data" --wait --timeout=60 --silent \
            --log="$root/server.log" --options="-p $port" >/dev/null 2>&1 </dev/null; then
            printf 'postgres://postgres:%s@127.0.0.1:%s/postgres\n' "$password" "$port" >"$dir/postgres.url"
            return 0
        fi
        say "PostgreSQL did not start on port $port (try $attempt)"
    done
    die "PostgreSQL does not start: $(as_pg_user tail -n 5 "$root/server.log")"
}

stop_postgres() {
    local dir=$1 root
    [[ -f $dir/postgres.root ]] || return 0
    root=$(<"$dir/postgres.root")
    PG_BIN=$(<"$dir/postgres.bin")
    PG_USER=$(<"$dir/postgres.user")
    if [[ -f $root/data/postmaster.pid ]]; then
        as_pg_user "$PG_BIN/pg_ctl" stop --pgdata="$root/data" --mode=immediate --wait --timeout=30 --silent >/dev/null 2>&1 ||
            say "PostgreSQL in $root was not running any more"
    fi
    rm -rf "$root"
}

# --- redis ------------------------------------------------------------------------------------------------------------

start_redis() {
    local dir=$1 root=$1/redis password port attempt tick
    mkdir -p "$root"
    chmod 700 "$root"
    password=$(random_word)
    for attempt in 1 2 3 4 5; do
        port=$(free_port)
        (
            umask 077
            cat >"$root/redis.conf" <<CONF
bind 127.0.0.1
port $port
requirepass $password
appendonly no
save ""
maxmemory-policy noeviction
dir $root
pidfile $root/redis.pid
logfile $root/server.log
daemonize yes
CONF
        )
        rm -f "$root/redis.pid"
        redis-server "$root/redis.conf" >/dev/null
        for tick in $(seq 1 100); do
            if [[ -s $root/redis.pid ]] && kill -0 "$(<"$root/redis.pid")" 2>/dev/null &&
                redis_answers "$port" "$password"; then
                printf 'redis://default:%s@127.0.0.1:%s/0\n' "$password" "$port" >"$dir/redis.url"
                return 0
            fi
            sleep 0.05
        done
        say "Redis did not start on port $port (try $attempt)"
    done
    die "Redis does not start: $(tail -n 5 "$root/server.log")"
}

# Asks with bash alone: redis-cli is a package of its own on some systems.
redis_answers() {
    local port=$1 password=$2 line
    exec 3<>"/dev/tcp/127.0.0.1/$port" 2>/dev/null || return 1
    printf 'AUTH %s\r\nPING\r\n' "$password" >&3
    IFS= read -r -t 2 line <&3 && [[ $line == +OK* ]] && IFS= read -r -t 2 line <&3 && [[ $line == +PONG* ]]
    local status=$?
    exec 3>&-
    return "$status"
}

stop_redis() {
    local pidfile=$1/redis/redis.pid pid tick
    [[ -s $pidfile ]] || return 0
    pid=$(<"$pidfile")
    # The number may have been given to somebody else since.
    if ps -o args= -p "$pid" 2>/dev/null | grep -q redis-server; then
        kill -TERM "$pid" 2>/dev/null || true
        for tick in $(seq 1 100); do
            kill -0 "$pid" 2>/dev/null || return 0
            sleep 0.05
        done
        kill -KILL "$pid" 2>/dev/null || true
    fi
}

# --- mysql ------------------------------------------------------------------------------------------------------------

start_mysql() {
    local dir=$1 root=$1/mysql password port attempt
    choose_pg_user
    mkdir -p "$root"
    chmod 711 "$dir"
    if [[ $(id -u) == 0 ]]; then
        chown "$PG_USER" "$root"
        if ! as_pg_user test -x "$root" || ! as_pg_user test -w "$root"; then
            rmdir "$root"
            root=$(mktemp -d "${TMPDIR:-/tmp}/tradewind-mysql.XXXXXX")
            chown "$PG_USER" "$root"
        fi
    fi
    chmod 700 "$root"
    printf '%s\n' "$root" >"$dir/mysql.root"
    password=$(random_word)
    # `--no-defaults`: the system's own settings name other folders and users.
    as_pg_user mariadb-install-db --no-defaults --datadir="$root/data" --auth-root-authentication-method=normal \
        --skip-test-db --innodb-log-file-size=8M >"$dir/mysql-install.log" 2>&1 ||
        die "mariadb-install-db failed: $(tail -n 3 "$dir/mysql-install.log")"
    # Run by the server before it takes connections.
    as_pg_user tee "$root/init.sql" >/dev/null <<SQL
ALTER USER root@localhost IDENTIFIED BY '$password';
CREATE USER IF NOT EXISTS tradewind@'127.0.0.1' IDENTIFIED BY '$password';
GRANT ALL ON *.* TO tradewind@'127.0.0.1';
CREATE DATABASE IF NOT EXISTS tradewind CHARACTER SET utf8mb4;
SQL
    as_pg_user chmod 600 "$root/init.sql"
    for attempt in 1 2 3 4 5; do
        port=$(free_port)
        # A socket of its own: the default one would be shared by all servers. Its path must be short.
        as_pg_user setsid mariadbd --no-defaults --datadir="$root/data" --bind-address=127.0.0.1 --port="$port" \
            --socket="$(mysql_socket "$root")" --pid-file="$root/mysql.pid" --init-file="$root/init.sql" \
            --skip-name-resolve --skip-log-bin --performance-schema=off --innodb-log-file-size=8M \
            --innodb-buffer-pool-size=32M --innodb-flush-log-at-trx-commit=0 >"$dir/mysql.log" 2>&1 </dev/null &
        disown
        if mysql_comes_up "$root/mysql.pid" "$port" "$dir/mysql.log"; then
            printf 'mysql://tradewind:%s@127.0.0.1:%s/tradewind\n' "$password" "$port" >"$dir/mysql.url"
            return 0
        fi
        say "MariaDB did not start on port $port (try $attempt)"
        stop_mysql_server "$root"
    done
    die "MariaDB does not start: $(tail -n 5 "$dir/mysql.log")"
}

# A socket's path may have 107 characters. This name is found again from the folder's.
mysql_socket() {
    local path=$1/mysql.sock
    if ((${#path} > 100)); then path=/tmp/tradewind-mysql-$(printf '%s' "$1" | cksum | cut -d' ' -f1).sock; fi
    printf '%s\n' "$path"
}

# The server greets who connects, once it serves. A server that cannot start ends, and says so in its log.
mysql_comes_up() {
    local pidfile=$1 port=$2 log=$3 tick
    for tick in $(seq 1 300); do
        if [[ -s $pidfile ]] && mysql_greets "$port"; then return 0; fi
        if grep -q '\[ERROR\] Aborting' "$log"; then return 1; fi
        sleep 0.1
    done
    return 1
}

mysql_greets() {
    local port=$1 status=0
    exec 3<>"/dev/tcp/127.0.0.1/$port" 2>/dev/null || return 1
    # Binary: it holds zero bytes.
    timeout 2 head -c 40 <&3 | tr -d '\0' | grep -aqi mariadb || status=1
    exec 3>&-
    return "$status"
}

stop_mysql_server() {
    local pidfile=$1/mysql.pid pid tick
    [[ -s $pidfile ]] || return 0
    pid=$(<"$pidfile")
    # The number may have been given to somebody else since.
    ps -o args= -p "$pid" 2>/dev/null | grep -q mariadbd || return 0
    kill -TERM "$pid" 2>/dev/null || true
    for tick in $(seq 1 100); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
}

stop_mysql() {
    local dir=$1 root
    [[ -f $dir/mysql.root ]] || return 0
    root=$(<"$dir/mysql.root")
    stop_mysql_server "$root"
    rm -rf "$root" "$dir/mysql.root" "$dir/mysql.url"
}

mysql_is_running() {
    local dir=$1 root
    [[ -f $dir/mysql.url ]] || return 1
    root=$(<"$dir/mysql.root")
    [[ -s $root/mysql.pid ]] && kill -0 "$(<"$root/mysql.pid")" 2>/dev/null
}

# --- commands ---------------------------------------------------------------------------------------------------------

print_env() {
    local dir=$1
    [[ -f $dir/postgres.url && -f $dir/redis.url ]] || die "no services run in $dir"
    printf 'export TRADEWIND_TEST_POSTGRES_URL=%q\n' "$(<"$dir/postgres.url")"
    printf 'export TRADEWIND_TEST_REDIS_URL=%q\n' "$(<"$dir/redis.url")"
    [[ ! -f $dir/mysql.url ]] || printf 'export TRADEWIND_TEST_MYSQL_URL=%q\n' "$(<"$dir/mysql.url")"
}

is_running() {
    local dir=$1 root
    [[ -f $dir/postgres.url && -f $dir/redis.url && -s $dir/redis/redis.pid ]] || return 1
    root=$(<"$dir/postgres.root")
    [[ -f $root/data/postmaster.pid ]] || return 1
    kill -0 "$(head -n 1 "$root/data/postmaster.pid")" 2>/dev/null && kill -0 "$(<"$dir/redis/redis.pid")" 2>/dev/null
}

start() {
    local dir=$1 mysql=$2
    if [[ -f $dir/.tradewind-services ]]; then
        if is_running "$dir"; then
            dir=$(cd "$dir" && pwd)
            if [[ $mysql == yes ]] && ! mysql_is_running "$dir"; then
                stop_mysql "$dir"
                ensure_mysql_binaries
                trap 'stop_mysql "'"$dir"'"' ERR EXIT
                start_mysql "$dir"
                trap - ERR EXIT
                (umask 077 && print_env "$dir" >"$dir/env")
            fi
            print_env "$dir"
            return 0
        fi
        stop "$dir"
    elif [[ -d $dir && -n $(ls -A "$dir") ]]; then
        die "$dir is not empty and was not made by this script; name another folder"
    fi
    ensure_binaries
    if [[ $mysql == yes ]]; then ensure_mysql_binaries; fi
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    : >"$dir/.tradewind-services"
    # A half-started instance is of no use to anybody.
    trap 'stop "'"$dir"'"' ERR EXIT
    start_postgres "$dir"
    start_redis "$dir"
    if [[ $mysql == yes ]]; then start_mysql "$dir"; fi
    trap - ERR EXIT
    (umask 077 && print_env "$dir" >"$dir/env")
    print_env "$dir"
}

stop() {
    local dir=$1
    [[ -d $dir ]] || return 0
    [[ -f $dir/.tradewind-services ]] || die "$dir was not made by this script; nothing stopped or removed"
    stop_redis "$dir"
    stop_mysql "$dir"
    stop_postgres "$dir"
    rm -rf "$dir"
}

[[ $# -ge 2 && -n $2 ]] || usage
with_mysql=no
case "$1 $# ${3:-} ${4:-}" in
"start 4 --with mysql") with_mysql=yes ;;
*" 2 "*) ;;
*) usage ;;
esac
case $1 in
start) start "$2" "$with_mysql" ;;
stop) stop "$2" ;;
env) print_env "$2" ;;
*) usage ;;
esac
