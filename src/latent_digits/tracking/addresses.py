"""Where runs are logged: the tracking server, and the folder that keeps what it has not got."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

# Not by `urlsplit`, whose errors quote a password that has brackets in it.
LOGIN = re.compile(r"(https?://)([^/?#]*)@", re.IGNORECASE)
OPTION = re.compile(r"\b((?:ssl)?password|passfile|pwd)=[^&\s'\"]*", re.IGNORECASE)
PIECE = 4  # characters of a password; fewer may be part of any word


def workspace() -> Path:
    """The top folder of what runs: the project, or the copy in which DVC runs an experiment."""
    return Path.cwd()


def home() -> Path:
    """The project's own folder, which DVC names to what it runs in a copy as well."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def configured_uri() -> str:
    """The tracking server that the user names, else a SQLite file beside the project."""
    return os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"


def data_base() -> Path | None:
    """The SQLite file that is the tracking server, relative to the project; None for any other."""
    scheme, _, rest = configured_uri().partition(":///")
    if scheme.partition("+")[0] != "sqlite":
        return None
    return (home() / unquote(rest.partition("?")[0])).resolve()


def login() -> tuple[str, str] | None:
    """The user and the password in an HTTP server's address."""
    found = LOGIN.match(configured_uri())
    user, _, password = found[2].partition(":") if found else ("", "", "")
    return (unquote(user), unquote(password)) if user and password else None


def tracking_uri() -> str:
    """The tracking server's address for MLflow, which does not depend on the process's folder.

    Without what `login` returns: MLflow prints addresses.
    """
    if login():
        return LOGIN.sub(r"\1", configured_uri(), count=1)
    file = data_base()
    if file is None:
        return configured_uri()
    _, mark, options = configured_uri().partition("?")
    return f"{sqlite_address(file)}{mark}{options}"


def sqlite_address(file: Path) -> str:
    """A SQLite file's address, whatever its folders are called.

    Slashes are quoted as well: MLflow makes a folder of what stands before the last of them, and
    does not unquote its name.
    """
    return f"sqlite:///{quote(str(file), safe='')}"


def place() -> str:
    """Where runs are logged, for a person to read: without password and options."""
    return str(data_base() or without_secrets(configured_uri()).partition("?")[0])


def queue_folder() -> Path:
    """The folder of the upload queue: what is not sent yet."""
    return home() / "mlflow-unsent"


@contextmanager
def only_one(name: str) -> Iterator[None]:
    """A block that one process at a time runs."""
    queue_folder().mkdir(exist_ok=True)
    with (queue_folder() / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def without_secrets(text: str) -> str:
    """The text without the user and the password of any address in it.

    Nor with a part of ours, which is what a library quotes that reads an address otherwise.
    """
    for ours in re.findall("//(.*@)", configured_uri()):  # which may hold a space
        text = text.replace(ours, "")
        for piece in re.split(r"[@\[\]/?#]", ours.partition(":")[2]):
            if len(piece) >= PIECE:
                text = text.replace(piece, "…")
    return OPTION.sub(r"\1=…", re.sub(r"//\S*@", "//", text))
