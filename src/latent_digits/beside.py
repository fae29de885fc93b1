"""Calls beside each other: in a process of its own, or in threads."""

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from latent_digits.arithmetic import variables
from latent_digits.console import UserError
from latent_digits.starting import SIGNALS

R = TypeVar("R")
T = TypeVar("T")
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
    UserError of the call is raised here; any other, or its process's end, is a RuntimeError, and
    its own traceback is on the terminal.
    """
    context = get_context("fork") if forked else get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=send, args=(sender, function, arguments))

    def result() -> R:
        try:
            found = receiver.recv()
        except EOFError:
            raise RuntimeError(
                f"the process that computed {function.__name__} ended early"
            ) from None
        if isinstance(found, UserError):
            raise found
        return found

    try:
        with deaf(), variables(OPENMP):
            process.start()
        sender.close()
        yield result
    finally:
        if process.pid:
            process.kill()
            process.join()


@contextmanager
def deaf() -> Iterator[None]:
    """A block that no signal interrupts; what it begins hears none for good.

    Ctrl-C, which a terminal sends to both, is for this process, and so is SIGTERM.
    """
    resource_tracker.ensure_running()  # by whose start signals would be let in again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*SIGNALS, signal.SIGALRM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def in_threads(function: Callable[[T], R], parts: Iterable[T]) -> list[R]:
    """The function of each part, a thread a core: for what works without Python's lock."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return [*pool.map(function, parts)]


def send(sender: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        sender.send(function(*arguments))
    except UserError as error:
        sender.send(error)
