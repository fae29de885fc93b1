"""The threads that compute the steps of chains together, in this process.

Each takes parts of a step, such as some of its channels, whose numbers follow from what the step
before left: so the bits are those of one thread, whatever the number of threads and whoever takes
which part. Threads wait for each other after each step, in compiled code, which Python's lock does
not hold up.
"""

import atexit
import os
import platform
from functools import cache
from threading import Lock, Thread

import numpy as np

from latent_digits.engine import kernels

_memory = np.zeros(kernels.TASK.itemsize + 64, np.uint8)
_start = -_memory.ctypes.data % 64  # of a cache line
_helpers: list[Thread] = []
_changing = Lock()


@cache
def address() -> int:
    """What the team shares: see `kernels.TICKET` and what follows."""
    word(kernels.CODE)[0] = kernels.address_of_parts()
    return _memory.ctypes.data + _start


def word(place: int) -> np.ndarray:
    """A word of what the team shares, int64 [1]."""
    return _memory[_start + place :][:8].view(np.int64)


def use_threads(count: int) -> None:
    """Have chains computed by so many threads from now on; 1 at the start.

    Each further one takes a core for itself while chains run, and none a few milliseconds later.
    There are fewer where the system gives no more, and none on another architecture than x86-64.
    """
    with _changing:
        if count == threads() or platform.machine() != "x86_64":
            return
        word(kernels.ENDING)[0] = 1
        kernels.serve(address())  # compiled, if it is not, before a thread of its own needs it
        while _helpers:
            _helpers[-1].join()
            _helpers.pop()
        word(kernels.ENDING)[0] = 0
        for _ in range(count - 1):
            helper = Thread(target=kernels.serve, args=(address(),), daemon=True)
            try:
                helper.start()
            except RuntimeError:  # no more threads to be had
                return
            _helpers.append(helper)


def threads() -> int:
    """How many compute."""
    return 1 + len(_helpers)


def forked() -> None:
    """A child has the one thread that forked."""
    global _changing
    _changing = Lock()
    _helpers.clear()


os.register_at_fork(after_in_child=forked)
atexit.register(use_threads, 1)  # while what they look at is there
