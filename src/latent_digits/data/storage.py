"""Files between stages: written whole or not at all, read with a sentence when they are unfit.

Nothing that varies from run to run (time, host, path) is written, so equal content is equal bytes.
"""

import csv
import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from latent_digits.console import UserError

Arrays = dict[str, np.ndarray]
Row = dict[str, Any]
ROOM = 200_000_000  # bytes: what a whole study writes (134 MB on 2026-11-25), and some more


def require_room(folder: Path) -> None:
    """Raise UserError where a study does not fit on the disk, before it has cost any time."""
    free = shutil.disk_usage(folder).free
    if free < ROOM:
        raise UserError(
            f"the disk of {folder} has {free / 1e6:.0f} MB left, and a study takes "
            f"{ROOM / 1e6:.0f}; free some space, and the same command goes on."
        )


def files_of(path: Path) -> list[Path]:
    """The file, or all files of the folder but what Python and Numba have compiled; as `dvc` sees
    them, whose `.dvcignore` says the same.
    """
    if not path.is_dir():
        return [path] if path.exists() else []
    found = (one for one in sorted(path.rglob("*")) if one.is_file())
    return [one for one in found if "__pycache__" not in one.parts]


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A file to write beside `path` that takes its name when the block ends without an error.

    It is on the disk before it has the name, so that even a power cut leaves the old file or the
    new one. Raises UserError when the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")  # fixed, so that a killed writer leaves one
    try:
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(
            f"{path} cannot be written: {os.strerror(error.errno).lower()}. What was finished is "
            "kept: free some space, and `dvc repro` goes on from there."
        ) from None
    finally:
        draft.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    with atomic(path) as draft:
        draft.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: Path, value: object) -> None:
    """`value` as indented JSON; NaN and infinities are refused, since plots cannot show them."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """A header and one line a row; floats in their shortest exact form, None as nothing."""
    with atomic(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray], about: Row) -> None:
    """Arrays by name in a safetensors file, with `about` as its description."""
    # One metadata entry: safetensors keeps several in a hash map, whose order varies.
    description = {"about": json.dumps(about, sort_keys=True)}
    contiguous = {name: np.ascontiguousarray(array) for name, array in sorted(tensors.items())}
    write_bytes(path, save(contiguous, metadata=description))


def read_json(path: Path) -> Any:
    with explained(path, "JSON file"):
        return json.loads(path.read_text(encoding="utf-8"))


def read_csv(path: Path) -> list[Row]:
    """The rows of a CSV file; numbers as floats, empty cells as None."""
    with explained(path, "CSV file"), path.open(newline="", encoding="utf-8") as file:
        return [{key: number(text) for key, text in row.items()} for row in csv.DictReader(file)]


def number(text: str) -> float | str | None:
    if text == "":
        return None
    try:
        return float(text)
    except ValueError:
        return text


def read_tensors(path: Path) -> tuple[Arrays, Row]:
    """The arrays of a safetensors file and its description."""
    with explained(path, "safetensors file"), safe_open(path, framework="numpy") as file:
        about = json.loads((file.metadata() or {}).get("about", "{}"))
        return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118


@contextmanager
def explained(path: Path, kind: str) -> Iterator[None]:
    """Turn what goes wrong while reading `path` into a sentence."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing; `dvc repro` makes it again, `dvc checkout` restores it."
        ) from None
    except (OSError, ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path} is no readable {kind} ({reason}); delete it, and `dvc repro` makes it again."
        ) from None
