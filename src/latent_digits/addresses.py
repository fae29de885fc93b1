"""Where runs are logged: the tracking server, and the folder that keeps what it has not got."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def workspace() -> Path:
    """The top folder of what runs: the project, or the copy in which DVC runs an experiment."""
    return Path.cwd()


def home() -> Path:
    """The project's own folder, which DVC names to what it runs in a copy as well."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, else a SQLite file beside the project, by absolute address."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home() / 'mlflow.db'}"


def journals() -> Path:
    """The folder of what is not sent yet."""
    return home() / "mlflow-unsent"


@contextmanager
def only_one(name: str) -> Iterator[None]:
    """A block that one process at a time runs."""
    journals().mkdir(exist_ok=True)
    with (journals() / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def one_line(error: BaseException) -> str:
    """What went wrong, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
