#!/usr/bin/env bash
# Runs a command on a machine of its own, so that fixed paths, ports and host names of the tutorials touch nothing here:
#
#   tests/acceptance/inside.sh WORK_DIR [--keep DIR]... -- COMMAND [ARGUMENT...]
#
# The command sees this machine's files, but /tmp, /data, /models, /landing, /shared, /path and what lies new in /opt are
# folders of WORK_DIR/fs. It has its own network (loopback only, so every port is free), its own /etc/hosts (mlflow
# and mlflow-server are here, and the tests may add to it) and its own processes, which all end with it. DIRs below /tmp stay visible.
# Needs Linux namespaces: root has them, others need unprivileged user namespaces.
set -euo pipefail

if [[ ${1:-} != --second-stage ]]; then
    flags=(--mount --net --pid --fork --kill-child)
    if [[ $(id -u) != 0 ]]; then flags+=(--user --map-current-user --keep-caps); fi
    unshare "${flags[@]}" true ||
        { echo "inside.sh: no namespaces of our own can be made here; run this as root, or allow unprivileged user namespaces" >&2; exit 1; }
    exec unshare "${flags[@]}" -- "$0" --second-stage "$@"
fi
shift

work=$1
shift
keep=("$work")
while [[ $1 == --keep ]]; do
    keep+=("$2")
    shift 2
done
[[ $1 == -- ]] && shift

root=$work/root
mkdir -p "$root" "$work/fs"
mount -t tmpfs -o mode=755 acceptance "$root"

for entry in /*; do
    name=${entry#/}
    case $name in
    tmp | proc | data | models | landing | shared | path | opt | lost+found) ;;
    *)
        if [[ -L $entry ]]; then
            cp -P "$entry" "$root/$name"
        elif [[ -d $entry ]]; then
            mkdir "$root/$name"
            mount --rbind "$entry" "$root/$name"
        fi
        ;;
    esac
done

for name in tmp data models landing shared path opt; do
    mkdir -p "$root/$name" "$work/fs/$name"
    mount --bind "$work/fs/$name" "$root/$name"
done
chmod 1777 "$root/tmp"
for entry in /opt/*; do
    if [[ -d $entry && ! -L $entry ]]; then
        mkdir -p "$root$entry"
        mount --rbind "$entry" "$root$entry"
    fi
done
for dir in "${keep[@]}"; do
    if [[ $dir == /tmp/* ]]; then
        mkdir -p "$root$dir"
        mount --rbind "$dir" "$root$dir"
    fi
done

{ cat /etc/hosts; echo "127.0.0.1 mlflow mlflow-server"; } >"$work/hosts"
mount --bind "$work/hosts" "$root/etc/hosts"
mkdir -p "$root/proc"
mount -t proc proc "$root/proc"

# A new network's loopback is down, and `ip` is not everywhere.
python3 - <<'PY'
import fcntl, socket, struct
IFF_UP, SIOCGIFFLAGS, SIOCSIFFLAGS = 1, 0x8913, 0x8914
with socket.socket() as sock:
    request = struct.pack("16sh14x", b"lo", 0)
    flags = struct.unpack("16sh14x", fcntl.ioctl(sock, SIOCGIFFLAGS, request))[1]
    fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))
PY

exec chroot "$root" /usr/bin/env --chdir="$PWD" TMPDIR=/tmp "$@"
