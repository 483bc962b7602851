"""Small Linux process helpers that the standard library lacks."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_MADV_COLLAPSE = 25
#: Smaller mappings are not worth a system call.
_LEAST_COLLAPSED = 4 << 20

_libc = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> None:
    """Become the parent of descendants that lose theirs, so that none of them gets out of sight."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when ``parent`` ends; end at once when it has ended already."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def parents() -> dict[int, int]:
    """Map each visible process to its parent."""
    table: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                with open(f"/proc/{name}/stat", "rb") as stat:
                    # The command name is in parentheses and may hold anything, parentheses too.
                    table[int(name)] = int(stat.read().rpartition(b")")[2].split()[1])
    return table


def descendants(root: int) -> list[int]:
    """List all processes below ``root``."""
    children: dict[int, list[int]] = {}
    for pid, parent in parents().items():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    queue = [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def environment_value(pid: int, name: str) -> str | None:
    """Read a variable from the environment that a process was started with."""
    wanted = name.encode() + b"="
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/environ", "rb") as environ:
            for entry in environ.read().split(b"\0"):
                if entry.startswith(wanted):
                    return entry[len(wanted) :].decode(errors="replace")
    return None


def kill(pid: int, signum: int) -> None:
    """Signal a process that may be gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signum)


def kill_group(pgid: int, signum: int) -> None:
    """Signal a process group that may be gone; a leader that has not made it yet gets the signal alone."""
    try:
        os.killpg(pgid, signum)
    except ProcessLookupError:
        kill(pgid, signum)
    except PermissionError:
        pass


def kill_tree(root: int) -> None:
    """Kill a process, its group, and everything below it, other sessions too (bash operators start one)."""
    kill(root, signal.SIGSTOP)  # So that it starts nothing while we look.
    below = descendants(root)
    kill_group(root, signal.SIGKILL)
    for pid in (root, *below):  # A root that was forked just now has no group of its own yet.
        kill(pid, signal.SIGKILL)


def use_huge_pages() -> None:
    """Put the heap on huge pages, where the kernel can (Linux 6.1): a fork then copies a tenth of the page tables."""
    _libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        rows = [line.split(maxsplit=5) for line in maps]
    for addresses, permissions, _, _, inode, *name in rows:
        if permissions == "rw-p" and inode == "0" and (not name or name[0].strip() == "[heap]"):
            start, end = (int(address, 16) for address in addresses.split("-"))
            if end - start >= _LEAST_COLLAPSED:
                _libc.madvise(start, end - start, _MADV_COLLAPSE)
