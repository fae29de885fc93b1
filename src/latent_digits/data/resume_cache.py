"""The resume cache: what a stage has done so far, in files keyed by their inputs.

DVC deletes a stage's outputs before it runs it, so what it goes on from after a kill lies
elsewhere, in `.resume`. A file is used only for the very inputs that it was made from, code
included, and only if it is whole.
"""

import fcntl
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
import yaml

from latent_digits.console import UserError, say
from latent_digits.data.fingerprint import fingerprint
from latent_digits.data.storage import Arrays, Row, files_of, read_tensors, write_tensors

FOLDER = Path(".resume")
DAMAGED = ".damaged"


class ResumeCache:
    """The files of one stage; while it is open, of one process.

    `inputs` are what all of the stage's work depends on; its code is added to them.
    """

    def __init__(self, stage: str, *inputs: Any):
        self.stage = stage
        self.folder = FOLDER / stage
        self.inputs = fingerprint(code_of(stage), torch.__version__, *inputs)

    def __enter__(self) -> Self:
        """Wait for a process that outlived a killed `dvc repro`: what it finishes is taken over."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = (self.folder / "lock").open("w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{self.stage}: another process works on this stage; waiting for its end.")
            fcntl.flock(self.lock, fcntl.LOCK_EX)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.lock.close()

    def slot(self, name: str, *inputs: Any) -> "Slot":
        """The place of `name`, whose work depends on `inputs` as well."""
        path = self.folder / f"{name}.safetensors"
        return Slot(self.stage, name, path, fingerprint(self.inputs, name, *inputs))

    def keep_only(self, *names: str) -> None:
        """Delete the files of all other names, and what a killed writer left."""
        kept = {f"{name}.safetensors" for name in names} | {"lock"}
        for path in self.folder.iterdir():
            if path.name not in kept and path.suffix != DAMAGED:
                path.unlink()


class Slot:
    """One file of the cache. Saving replaces what is there, whatever inputs that was made from."""

    def __init__(self, stage: str, name: str, path: Path, key: str):
        self.stage, self.name, self.path, self.key = stage, name, path, key

    def save(self, arrays: Arrays, about: Row) -> None:
        content = {"key": self.key, "about": about}
        digest = {"sha256": fingerprint(arrays, content)}
        write_tensors(self.path, arrays, content | digest)

    def clear(self) -> None:
        self.path.unlink(missing_ok=True)

    def load(self) -> tuple[Arrays, Row] | None:
        """What was saved for the same inputs; a damaged file is said and set aside."""
        if not self.path.exists():
            return None
        try:
            arrays, content = read_tensors(self.path)
        except UserError as error:
            return self.set_aside(str(error).partition("; delete it")[0])
        if content.pop("sha256", None) != fingerprint(arrays, content):
            return self.set_aside("its checksum does not match")
        return (arrays, content["about"]) if content["key"] == self.key else None

    def set_aside(self, damage: str) -> None:
        aside = self.path.replace(self.path.with_suffix(DAMAGED))
        say(f"{self.stage} {self.name}: damaged file set aside as {aside} ({damage}).")


def code_of(stage: str) -> dict[str, str]:
    """The content of each code file that the stage depends on, by itself or in a folder."""
    stages = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    files = [one for path in stages[stage]["deps"] for one in files_of(Path(path))]
    return {f"{one}": one.read_text(encoding="utf-8") for one in files if one.suffix == ".py"}
