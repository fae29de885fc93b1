"""The study as a revision has it: its files, read from the working tree or out of git.

Nothing here needs data, a cache or a remote beyond one commit: forks and shallow clones have none.
"""

import io
import math
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from latent_digits.catalogue import METRICS, MODELS
from latent_digits.console import UserError
from latent_digits.provenance import Study, flatten, git, read_study
from latent_digits.replicas import FILE, Replicas, read_replicas, recipe_of
from latent_digits.storage import Arrays, Row, read_csv, read_json, read_tensors

MAIN = ("origin/main", "main", "origin/master", "master")


class NoBaseError(UserError):
    """There is nothing to compare with."""


@dataclass(frozen=True)
class Revision:
    """The study in `folder`, known as `name`; `commit` is "" where there is none."""

    folder: Path
    name: str
    commit: str
    subject: str
    changes: bool  # that no commit has

    @cached_property
    def study(self) -> Study:
        return read_study(self.folder)

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The headlines by name; of a revision from before there were any, from its long table."""
        found = dict(flatten(self.read("metrics.json")))
        named = {
            one.name: one.scale * found[one.key] for one in METRICS if is_number(found.get(one.key))
        }
        return named or {name: value for name, value in found.items() if is_number(value)}

    @cached_property
    def details(self) -> dict[str, float]:
        """All that was measured, by dotted name, without intervals."""
        found = dict(flatten(self.read("evaluation.json") or self.read("metrics.json")))
        bounds = ("_low", "_high")
        return {k: v for k, v in found.items() if is_number(v) and not k.endswith(bounds)}

    @cached_property
    def per_image(self) -> tuple[Arrays, Mapping[str, Row]]:
        """Values by headline and test image, and how each was measured; nothing where unknown."""
        path = self.folder / "reports/per_image.safetensors"
        if not path.exists():
            return {}, {}
        arrays, about = read_tensors(path)
        return arrays, about["ways"]

    @cached_property
    def replicas(self) -> Replicas | None:
        path = self.folder / FILE
        return read_replicas(path) if path.exists() else None

    @cached_property
    def recipe(self) -> str:
        return recipe_of(self.study)

    @cached_property
    def seed(self) -> Any:
        return self.study.params.get("seed")

    def values(self, name: str) -> list[float]:
        """A headline under the study's seed, then under those of replicas of the same recipe."""
        own = self.replicas is not None and self.replicas.recipe == self.recipe
        others = self.replicas.values(name) if own and self.replicas else []
        return [self.metrics[name], *others]

    def right(self, name: str) -> np.ndarray | None:
        """Which test images a classifier has right, bool [N]; None for other headlines."""
        arrays, _ = self.per_image
        found = arrays.get(name)
        return found == arrays["labels"] if found is not None and found.dtype == np.uint8 else None

    def of_images(self, name: str) -> np.ndarray | None:
        """A headline's value for each test image, float64 [N], in its unit; None where unknown."""
        right = self.right(name)
        if right is not None:
            return 100.0 * right
        found = self.per_image[0].get(name)
        return None if found is None else found.astype(np.float64)

    def curves(self) -> dict[str, list[float]]:
        """The validation loss by epoch, of each training."""
        found = {}
        for model in MODELS:
            path = self.folder / f"reports/histories/{model}.csv"
            if path.exists():
                found[model] = [row["val_loss"] for row in read_csv(path)]
        return found

    def read(self, name: str) -> Any:
        path = self.folder / "reports" / name
        return read_json(path) if path.exists() else {}


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_finite(value: float) -> bool:
    return math.isfinite(value)


def working_tree(folder: Path) -> Revision:
    """What lies in `folder`, committed or not."""
    commit = git(folder, "rev-parse", "--quiet", "--verify", "HEAD")
    changes = bool(git(folder, "status", "--porcelain", "--untracked-files=no"))
    subject = git(folder, "log", "-1", "--format=%s") if commit else ""
    return Revision(folder, "the working tree", commit, subject, changes)


@contextmanager
def committed(folder: Path, revision: str) -> Iterator[Revision]:
    """The project as `revision` of its repository has it, in a folder of its own meanwhile."""
    commit = resolved(folder, revision)
    subject = git(folder, "log", "-1", "--format=%s", commit)
    with TemporaryDirectory(prefix="latent-digits-base-") as place:
        packed = subprocess.run(
            ["git", "archive", "--format=tar", commit], cwd=folder, capture_output=True, check=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(place, filter="data")
        if not (Path(place) / "dvc.yaml").exists():
            raise NoBaseError(f"{revision} has no dvc.yaml: it is from before there was a study.")
        yield Revision(Path(place), revision or commit[:7], commit, subject, changes=False)


def resolved(folder: Path, revision: str) -> str:
    """The commit that `revision` names; by default where HEAD has left main.

    One that a shallow clone lacks is fetched. Raises NoBaseError where it cannot be had.
    """
    if not git(folder, "rev-parse", "--quiet", "--verify", "HEAD"):
        raise NoBaseError(
            f"{folder} has no commit yet, so there is nothing to compare with; commit first."
        )
    if not revision:
        return fork_point(folder)
    if revision.startswith("-"):
        raise NoBaseError(f"BASE is {revision!r}; it should be a commit, a branch or a tag.")
    if found := commit_of(folder, revision):
        return found
    remote = git(folder, "remote").splitlines()
    if not remote:
        raise NoBaseError(
            f"{revision} is no commit, branch or tag here, and there is no remote to fetch it from."
        )
    fetched = subprocess.run(
        ["git", "fetch", "--quiet", "--depth=1", remote[0], revision],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if fetched.returncode == 0 and (found := commit_of(folder, "FETCH_HEAD")):
        return found
    said = fetched.stderr.strip().splitlines()
    raise NoBaseError(
        f"{revision} is no commit, branch or tag here, and {remote[0]} does not give it "
        f"({said[-1] if said else 'no reason given'}); `git fetch --unshallow` fetches everything, "
        "or say another one with BASE=…"
    )


def fork_point(folder: Path) -> str:
    """The commit at which HEAD has left main; main itself where a shallow clone hides it."""
    for name in MAIN:
        if found := commit_of(folder, name):
            return git(folder, "merge-base", "HEAD", name) or found
    raise NoBaseError("no branch main is known here; say what to compare with: BASE=REVISION.")


def commit_of(folder: Path, name: str) -> str:
    """The commit's full name, or nothing."""
    found = subprocess.run(
        ["git", "rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() if found.returncode == 0 else ""
