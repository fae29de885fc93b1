"""How a command starts, before its imports, and ends: on Linux, and at a signal in a sentence.

A command is a stage's script, or a module of this package that Python runs. What else imports the
package (workers, notebooks, MLflow) keeps its own ways.

The imports take seconds, and until `console.run_stage` there is nothing to be closed. So a signal
in these ends the process at once, where an exception would show a traceback of some import.
"""

import atexit
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from traceback import walk_stack
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C, and what a cluster sends before it kills
INTERRUPTED = "interrupted: the same command goes on after the last finished epochs and trials."
MOMENT = 0.05  # seconds
DONE: list[int] = []  # the exit status of a command whose work is done


def start() -> None:
    """Exits with a sentence where the system is not Linux."""
    if not is_command():
        return
    if sys.platform != "linux":
        sys.exit(
            f"latent-digits runs on Linux only, and this is {sys.platform}; use a machine, a "
            "virtual machine or a container with Linux."
        )
    on_signal(leave)
    atexit.register(end)  # first, so that it is called last
    keep_compiled_code()


def end() -> None:
    """End the process when all is closed and its work is done.

    Python would first collect what is left, for more than a second where torch and MLflow are
    imported, though all of it ends with the process.
    """
    if not DONE:
        return
    with suppress(OSError, ValueError):  # who read has gone, or a stream is closed: Python says so
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
        os._exit(DONE[-1])


def is_command() -> bool:
    """Whether this process is `python stages/….py` or `python -m latent_digits.…`."""
    script = sys.argv[0]
    if script == "-m":  # so it is while Python looks for the module, and imports its package
        return True
    return script in sys.orig_argv and Path(script).resolve().parent.name == "stages"


def on_signal(handler: Any) -> None:
    """Let `handler` have the signals, but those that are ignored, as a background job's Ctrl-C."""
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


def leave(number: int, frame: object = None) -> None:
    """End the process now, as a kill would, but with a sentence."""
    os.write(2, f"{INTERRUPTED}\n".encode())
    os._exit(128 + number)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, so that what is open is closed; a second signal does not wait.

    Within an import it would leave a lock that all other imports wait for, and in a `__del__` be
    dropped: there, a moment later.
    """
    if any(is_deaf(one) for one, _ in walk_stack(frame)):
        signal.signal(signal.SIGALRM, lambda _, later: interrupt(number, later))
        signal.setitimer(signal.ITIMER_REAL, MOMENT)
        return
    on_signal(leave)
    raise KeyboardInterrupt(number)


def is_deaf(frame: FrameType) -> bool:
    """Whether an exception that is raised below this frame does harm, or is lost."""
    code = frame.f_code
    return code.co_filename.startswith("<frozen importlib") or code.co_name == "__del__"


@contextmanager
def interruptible() -> Iterator[None]:
    """A block in which a signal raises KeyboardInterrupt; after it, the process only ends."""
    on_signal(interrupt)
    try:
        yield
    finally:
        on_signal(signal.SIG_IGN)


def keep_compiled_code() -> None:
    """Let Numba keep it in `.resume/` where it cannot beside the code."""
    beside = Path(__file__).with_name("engine") / "__pycache__"
    with suppress(OSError):
        beside.mkdir(exist_ok=True)
    if not (beside.is_dir() and os.access(beside, os.W_OK)):
        os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(".resume/compiled").resolve()))
