"""What `make repro` does before DVC: is `params.yaml` one that can be run, and nothing torn?

DVC writes `dvc.lock` and `.dvc/tmp/rwlock` in place, and makes an entry of its run cache in two
steps: the folder, then what is in it. A kill can leave of these what stops the next `dvc repro`. A
torn file and an empty folder are deleted; what is finished comes back from the run cache.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml
from dvc.repo import Repo
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from voluptuous import Invalid

from latent_digits.console import run_stage, say
from latent_digits.project import yaml_files
from latent_digits.project.params import load_params

LOCK, RWLOCK = Path("dvc.lock"), Path(".dvc/tmp/rwlock")
MOMENT = 1.0  # seconds: longer than DVC takes to write one of these, if it runs now


def parsed_lock(text: str) -> None:
    """Raises ValueError, YAMLError or Invalid if it is no whole `dvc.lock`."""
    if not text.endswith("\n"):  # a hash cut short is a valid string still
        raise ValueError("its last line is not whole")
    COMPILED_LOCKFILE_SCHEMA(yaml_files.parse(text))


def is_torn(path: Path, parse: Callable[[str], object]) -> bool:
    """Whether the file is there, and `parse` does not take its content."""
    try:
        parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except (ValueError, yaml.YAMLError, Invalid):
        return True
    return False


def torn() -> Iterator[Path]:
    """The torn files, and the empty folders of DVC's run cache."""
    if is_torn(LOCK, parsed_lock):
        yield LOCK
    if is_torn(RWLOCK, json.loads):
        yield RWLOCK
    entries = Path(Repo().stage_cache.cache_dir).glob("*/*")
    yield from (entry for entry in entries if not any(entry.iterdir()))


def repair() -> None:
    """Delete what is torn, with a sentence."""
    found = set(torn())
    if not found:
        return
    time.sleep(MOMENT)
    for path in found & set(torn()):
        if path.is_dir():
            path.rmdir()
            say("An empty entry of DVC's run cache, left by a kill, is deleted.")
        else:
            path.unlink()
            say(f"{path} was torn by a kill and is deleted; finished stages come back from cache.")


def main() -> None:
    load_params()
    repair()


if __name__ == "__main__":
    run_stage(main)
