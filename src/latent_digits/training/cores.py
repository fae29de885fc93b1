"""Which cores a training may use: its own, and those that no other training keeps busy.

The results do not depend on it: see `latent_digits.engine.team`.
"""

import errno
import math
import os
import socket
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

from dask.system import cpu_count

from latent_digits import engine

MOST = 4  # threads of a training, whose steps are too small to be divided further
LOOK_EACH = 0.3  # seconds


class Cores:
    """A training's seat among all that this user's processes train on the same cores now.

    A seat is a name in the kernel's table of sockets: nobody else has it, and it is free again when
    its process ends, however that ends. Where there are no such names a training has one thread.
    """

    def __init__(self) -> None:
        self.number = 0
        self.seat: socket.socket | None = None
        self.looked = -math.inf
        with suppress(OSError):
            self.number, self.seat = next(
                (number, seat) for number in count() if (seat := taken(number))
            )

    def share(self) -> None:
        """Use as many threads as this training has cores; called often, it looks seldom."""
        if self.seat is None or time.monotonic() - self.looked < LOOK_EACH:
            return
        self.looked = time.monotonic()
        with suppress(OSError):  # too many open files, for a look
            engine.use_threads(threads(self.number))

    def leave(self) -> None:
        """Leave the seat; this process computes with one thread again."""
        if self.seat:
            self.seat.close()
        engine.use_threads(1)


@contextmanager
def seated() -> Iterator[Cores]:
    """A seat for a training, until the end of the block."""
    cores = Cores()
    try:
        yield cores
    finally:
        cores.leave()


def threads(number: int) -> int:
    """How many the training on the seat of this number has, as it is divided just now."""
    cores = cpu_count()  # which containers and schedulers may have set
    others = [n for n in range(2 * cores) if n != number and not is_free(n)]
    trainings = 1 + len(others)
    more = sum(n < number for n in others) < cores % trainings
    return max(1, min(MOST, cores // trainings + more))


def taken(number: int) -> socket.socket | None:
    """The seat of this number; None where another has it.

    Raises OSError where the system gives none.
    """
    cores = zlib.crc32(repr(sorted(os.sched_getaffinity(0))).encode())
    seat = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        seat.bind(f"\0latent-digits: training {number} of user {os.getuid()} on cores {cores:x}")
    except OSError as error:
        seat.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    return seat


def is_free(number: int) -> bool:
    seat = taken(number)
    if seat:
        seat.close()
    return seat is not None
