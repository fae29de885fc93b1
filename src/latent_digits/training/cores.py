"""Which cores a training may use: its own, and those that no other training keeps busy.

The results do not depend on it: see `latent_digits.engine.team`.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from latent_digits import engine

MOST = 4  # threads of a training, whose steps are too small to be divided further
LOOK_EACH = 0.3  # seconds


class Cores:
    """A training's seat among all that this user's processes train on this machine now.

    A seat is a name in the kernel's table of sockets: nobody else has it, and it is free again when
    its process ends, however that ends.
    """

    def __init__(self) -> None:
        self.number, self.seat = next(
            (number, seat) for number in count() if (seat := taken(number))
        )
        self.looked = 0.0

    def share(self) -> None:
        """Use as many threads as this training has cores; called often, it looks seldom."""
        if time.monotonic() - self.looked < LOOK_EACH:
            return
        self.looked = time.monotonic()
        cores = len(os.sched_getaffinity(0))
        others = [n for n in range(2 * cores) if n != self.number and not is_free(n)]
        trainings = 1 + len(others)
        more = sum(n < self.number for n in others) < cores % trainings
        engine.use_threads(max(1, min(MOST, cores // trainings + more)))


@contextmanager
def seated() -> Iterator[Cores]:
    """A seat for a training, at whose end this process computes with one thread again."""
    cores = Cores()
    try:
        yield cores
    finally:
        cores.seat.close()
        engine.use_threads(1)


def taken(number: int) -> socket.socket | None:
    """The seat of this number; None where another has it."""
    seat = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        seat.bind(f"\0latent-digits: training {number} of user {os.getuid()}")
    except OSError:
        seat.close()
        return None
    return seat


def is_free(number: int) -> bool:
    seat = taken(number)
    if seat:
        seat.close()
    return seat is not None
