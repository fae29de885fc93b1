"""Calls beside each other: in a process of its own, or in threads."""

import ctypes
import os
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from latent_digits.arithmetic import variables
from latent_digits.console import UserError
from latent_digits.starting import SIGNALS

R = TypeVar("R")
T = TypeVar("T")
MOST_THREADS = 4  # each needs memory for its part
PR_SET_PDEATHSIG = 1  # of Linux's prctl: the signal that a process gets when its parent ends
OPENMP = {  # of a process that begins anew: OpenMP reads it as it is loaded
    "OMP_WAIT_POLICY": "PASSIVE",  # its threads leave the core to this process while they wait
    # scikit-learn takes it for granted that there are as many threads as it asks for.
    "OMP_THREAD_LIMIT": "2",
    "OMP_DYNAMIC": "FALSE",
}


@contextmanager
def beside(
    function: Callable[..., R], *arguments: Any, forked: bool = False
) -> Iterator[Callable[[], R]]:
    """Begin the call; what the block gets waits for its result. Its end ends the call.

    `forked`, its process has what this one has, imports too: before this one has threads. A
    UserError of the call is raised here; any other error is a RuntimeError, with its traceback as a
    note, and so is, without one, its process's early end.
    """
    context = get_context("fork") if forked else get_context("spawn")
    ours, theirs = context.Pipe()
    work = function, arguments
    begun_with = (work, os.getpid()) if forked else ()
    process = context.Process(target=answer, args=(theirs, *begun_with))
    early = RuntimeError(f"the process that computed {function.__name__} ended early")

    def result() -> R:
        try:
            found = ours.recv()
        except (EOFError, OSError):
            raise early from None
        if isinstance(found, Exception):
            raise found
        return found

    try:
        with deaf(), variables(OPENMP):
            process.start()
        theirs.close()
        if not forked:  # not with its start, which would wait for its imports with no end by Ctrl-C
            try:
                ours.send(work)
            except OSError:
                raise early from None
        yield result
    finally:
        if process.pid:
            process.kill()
            process.join()


@contextmanager
def deaf() -> Iterator[None]:
    """A block after which signals are heard; what it begins hears none for good.

    Ctrl-C, which a terminal sends to both, is for this process, and so is SIGTERM.
    """
    resource_tracker.ensure_running()  # by whose start signals would be let in again
    held: list[int] = []  # since another thread may get what this one does not
    numbers = {*SIGNALS, signal.SIGALRM}
    handlers = {one: signal.signal(one, lambda number, _: held.append(number)) for one in numbers}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for one, handler in handlers.items():
            signal.signal(one, handler)
        for number in held:
            signal.raise_signal(number)


def in_threads(function: Callable[[T], R], parts: Iterable[T]) -> list[R]:
    """The function of each part, in some threads: for what works without Python's lock."""
    with ThreadPoolExecutor(min(MOST_THREADS, len(os.sched_getaffinity(0)))) as pool:
        return [*pool.map(function, parts)]


def answer(asker: Connection, work: Any = None, forked_by: int = 0) -> None:
    """In the process: make the call that it was begun with, or else is sent.

    A forked one ends with the process that forked it, however that ends. Others may go on, for
    what they keep, and end or fail in silence.
    """
    if forked_by:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != forked_by:
            return
    with suppress(EOFError, OSError):
        work = work or asker.recv()
    if not work:
        return
    function, arguments = work
    try:
        found = function(*arguments)
    except UserError as error:
        found = error
    except Exception as error:  # which itself may not be one that can be sent
        found = RuntimeError(f"{function.__name__} failed: {type(error).__name__}: {error}")
        found.add_note(f"in its own process:\n{traceback.format_exc()}")
    with suppress(ConnectionError):
        asker.send(found)
