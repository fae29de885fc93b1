"""What every Python of `.venv` does first: `make` copies this file there, and has it imported.

The code that runs is that beside the `dvc.yaml` that is run, in a worktree, in a copy of the folder
and where `dvc exp run` runs an experiment as well: an editable install would name one folder for
all. And the study's arithmetic is settled before anything imports NumPy, as `dask worker` does.

MLflow is to tell its makers nothing of how it is used. Python looks for garbage less often than
after every 700 new objects: imports make hundreds of thousands, all to stay, and a fifth of the
time that torch and MLflow take went into looking.

Nothing is imported but what Python has imported already.
"""

import gc
import os
import sys


def source() -> str | None:
    """The folder `src` of the project in which Python starts, else that of the environment."""
    try:
        here = os.getcwd()
    except FileNotFoundError:  # it was deleted
        here = sys.prefix
    for top in (here, os.path.dirname(sys.prefix)):
        folder = os.path.join(top, "src")
        if os.path.exists(os.path.join(folder, "latent_digits", "arithmetic.py")):
            return folder
    return None


def start() -> None:
    gc.set_threshold(10_000)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    folder = source()
    if folder is None:
        return
    sys.path.append(folder)
    names: dict = {"__name__": "arithmetic"}  # not as a module: the package may come from elsewhere
    with open(os.path.join(folder, "latent_digits", "arithmetic.py"), encoding="utf-8") as code:
        exec(code.read(), names)
    names["settle"]()


start()
