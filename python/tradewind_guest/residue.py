"""What loading a file leaves behind in its process that forked tasks cannot share, and what they must have anew."""

from __future__ import annotations

import gc
import os
import random
import resource
import signal
import sys
import time
import warnings
from collections.abc import Iterable
from typing import Any

#: Most memory that a load may add to a process that stays.
_MAX_GROWTH = 512 << 20
#: Modules whose objects live in several processes at once.
_SHARING = ("multiprocessing.synchronize", "multiprocessing.queues", "multiprocessing.heap")
#: numpy asks the system for 128 bits; nobody writes a seed of that size.
_LEAST_ENTROPY = 80
_ENDING_THREAD_LOOKS = 5
#: Whose handler for SIGALRM every load leaves.
_ALARM_MODULE = "airflow.dag_processing.importers.python_importer"


class Snapshot:
    """The process before a load."""

    def __init__(self) -> None:
        self._fds = _fds()
        self._folder = os.getcwd()
        self._handlers = _handlers()
        self._random = random.getstate()
        self._memory = _private_bytes()
        self._shared = _shared_things()
        self._has_numpy_random = "numpy.random" in sys.modules

    def why_not_shared(self) -> str | None:
        """Say why tasks cannot be forked from this process now; None when they can."""
        return (
            self._why_threads()
            or self._why_open()
            or self._why_changed()
            or (None if self._has_numpy_random else _why_numpy())
        )

    def _why_threads(self) -> str | None:
        for _ in range(_ENDING_THREAD_LOOKS):
            if len(os.listdir("/proc/self/task")) == 1:
                return None
            # One that was joined may need a moment yet.
            time.sleep(0.01)
        # A library that knows of forks (OpenBLAS) ends its threads before one and starts others when it needs them.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        left = len(os.listdir("/proc/self/task")) - 1
        return f"it leaves {left} thread(s) running" if left else None

    def _why_open(self) -> str | None:
        for fd in sorted(_fds() - self._fds):
            try:
                return f"it leaves {os.readlink(f'/proc/self/fd/{fd}')} open"
            except OSError:
                continue  # The one that listed them.
        if _has_children():
            return "it starts processes"
        if _shared_things() > self._shared:
            return "it makes locks or memory that processes share"
        return None

    def _why_changed(self) -> str | None:
        if os.getcwd() != self._folder or os.listdir(self._folder):
            return "it changes the working directory, or leaves files there"
        for signum, handler in _handlers().items():
            if handler != self._handlers.get(signum) and getattr(handler, "__module__", None) != _ALARM_MODULE:
                return f"it installs a handler for {signal.Signals(signum).name}"
        if any(signal.getitimer(timer)[0] for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)):
            return "it starts a timer"
        if random.getstate() != self._random:
            return "it uses random numbers"
        if _private_bytes() - self._memory > _MAX_GROWTH:
            return f"it takes more than {_MAX_GROWTH >> 20} MiB of memory"
        return None


def reseed(unseeded: Iterable[random.Random], numpy_bits: Iterable[Any]) -> None:
    """Give a forked task random numbers of its own, as a process that loads the file for itself has them."""
    # The generator of `random` itself is seeded by Python after every fork.
    for generator in unseeded:
        generator.seed()
    for bits in numpy_bits:
        # What makes a copy of a generator carries its state, and the seeds of those that it will beget.
        bits.__setstate__(type(bits)().__reduce__()[2])


def seeded_by_the_system() -> list[Any]:
    """List the generators of numpy that each process must seed for itself."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is None:
        return []
    return [
        found
        for found in gc.get_objects()
        if isinstance(found, numpy_random.BitGenerator) and _entropy_bits(found) > _LEAST_ENTROPY
    ]


def _entropy_bits(bits: Any) -> int:
    """How much went into the seed; 0 for a legacy seed, which is the caller's."""
    entropy = getattr(getattr(bits, "_seed_seq", None), "entropy", 0)
    return entropy.bit_length() if isinstance(entropy, int) else 0


def _fds() -> set[int]:
    return {int(name) for name in os.listdir("/proc/self/fd")}


def _handlers() -> dict[int, Any]:
    return {signum: signal.getsignal(signum) for signum in signal.valid_signals()}


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _private_bytes() -> int:
    with open("/proc/self/statm", "rb") as statm:
        resident, shared = (int(field) for field in statm.read().split()[1:3])
    return (resident - shared) * resource.getpagesize()


def _shared_things() -> int:
    util = sys.modules.get("multiprocessing.util")
    known = list(util._afterfork_registry.values()) if util else []
    return sum(type(thing).__module__ in _SHARING for thing in known)


def _why_numpy() -> str | None:
    """Whether the file draws from numpy's own generator without seeding it."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is None:
        return None
    bits = numpy_random.mtrand._rand._bit_generator
    if _entropy_bits(bits) <= _LEAST_ENTROPY:
        return None
    fresh, state = type(bits)(bits._seed_seq).state["state"], bits.state["state"]
    if state["pos"] != fresh["pos"] or (state["key"] != fresh["key"]).any():
        return "it uses numpy's random numbers"
    return None
