"""A call in a process of its own, beside the work of this one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from latent_digits.arithmetic import one_thread, variables

R = TypeVar("R")
OPENMP = {  # of the call, which OpenMP reads as it is loaded
    "OMP_WAIT_POLICY": "PASSIVE",  # its threads leave the core to this process while they wait
    # scikit-learn takes it for granted that there are as many threads as it asks for.
    "OMP_THREAD_LIMIT": "2",
    "OMP_DYNAMIC": "FALSE",
}


@contextmanager
def beside(function: Callable[..., R], *arguments: Any) -> Iterator[Callable[[], R]]:
    """Begin the call; what the block gets waits for its result. Its end ends the call.

    Arithmetic is that of `one_thread`. What the call raises, or its process's end, is a
    RuntimeError; its own traceback is on the terminal.
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=send, args=(sender, function, arguments))
    with variables(OPENMP):
        process.start()
    sender.close()

    def result() -> R:
        try:
            return receiver.recv()
        except EOFError:
            raise RuntimeError(
                f"the process that computed {function.__name__} ended early"
            ) from None

    try:
        yield result
    finally:
        process.terminate()
        process.join()


def send(sender: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    with one_thread():
        sender.send(function(*arguments))
