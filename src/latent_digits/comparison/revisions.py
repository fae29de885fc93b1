"""The study as a revision has it: its files, read from the working tree or out of git.

Nothing here needs data, a cache or a remote beyond one commit: forks and shallow clones have none.
"""

import io
import math
import os
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from latent_digits.catalogue import METRICS, MODELS
from latent_digits.comparison.freshness import stale_stages
from latent_digits.comparison.values import LONGEST
from latent_digits.console import UserError
from latent_digits.data.storage import Arrays, Row, read_csv, read_json, read_tensors
from latent_digits.project.params import GateParams
from latent_digits.project.provenance import Study, flatten, git, read_study
from latent_digits.project.replicas import FILE, STAGES, Replicas, read_replicas, recipe_of

MAIN = ("origin/main", "main", "origin/master", "master")
HERE = ("src", "stages", "reports", "dvc.yaml", "dvc.lock", "params.yaml")
READ = ("metrics", "details", "per_image", "replicas", "gate", "curves", "recipe")
Name = Annotated[str, Field(max_length=LONGEST)]
NUMBERS = TypeAdapter(dict[Name, float])
WAYS = TypeAdapter(dict[Name, dict[Name, str | int | float]])
GATE = TypeAdapter(dict[Name, GateParams])


class NoBaseError(UserError):
    """There is nothing to compare with."""


class OldBaseError(NoBaseError):
    """The base is from before there was a study: nobody's fault."""


@dataclass(frozen=True)
class Revision:
    """The study in `folder`, known as `name`; `commit` is "" where there is none.

    Everything is read by `checked`, which raises UserError where a file is not what it should be.
    """

    folder: Path
    name: str
    commit: str
    subject: str
    changes: bool  # that no commit has

    def checked(self) -> "Revision":
        """This revision, of which every file has been read."""
        try:
            for name in READ:
                getattr(self, name)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise UserError(f"a file of {self.name} is odd ({where}: {first['msg']}).") from None
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise UserError(f"a file of {self.name} is odd ({reason}).") from None
        return self

    @cached_property
    def study(self) -> Study:
        return read_study(self.folder)

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The headlines by name; of a revision from before there were any, from its long table."""
        found = dict(flatten(self.read("metrics.json")))
        named = {one.name: one.scale * found[one.key] for one in METRICS if one.key in found}
        return NUMBERS.validate_python(named or found)

    @cached_property
    def details(self) -> dict[str, float]:
        """All that was measured, by dotted name, without intervals."""
        found = dict(flatten(self.read("evaluation.json") or self.read("metrics.json")))
        bounds = ("_low", "_high")
        kept = {name: value for name, value in found.items() if not name.endswith(bounds)}
        return NUMBERS.validate_python(kept)

    @cached_property
    def gate(self) -> dict[str, GateParams]:
        return GATE.validate_python(self.study.params.get("gate") or {})

    @cached_property
    def per_image(self) -> tuple[Arrays, Mapping[str, Row]]:
        """Values by headline and test image, and how each was measured; nothing where unknown."""
        path = self.folder / "reports/per_image.safetensors"
        if not path.exists():
            return {}, {}
        arrays, about = read_tensors(path)
        shapes = {array.shape for array in arrays.values()}
        if len(shapes) != 1 or len(*shapes) != 1:
            raise ValueError(f"{path.name} has arrays of shapes {sorted(shapes)}")
        return arrays, WAYS.validate_python(about["ways"])

    @cached_property
    def replicas(self) -> Replicas | None:
        path = self.folder / FILE
        return read_replicas(path) if path.exists() else None

    @cached_property
    def recipe(self) -> str:
        """Of which recipe the results are; "" where they are not those of the code beside them."""
        stale = {one.stage for one in stale_stages(self.study)}
        return "" if stale & {*STAGES} else recipe_of(self.study)

    @property
    def seed(self) -> Any:
        return self.study.params.get("seed")

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

    @cached_property
    def curves(self) -> dict[str, list[float]]:
        """The validation loss by epoch, of each training, as far as it is finite."""
        found = {}
        for model in MODELS:
            path = self.folder / f"reports/histories/{model}.csv"
            if path.exists():
                losses = [row["val_loss"] for row in read_csv(path)]
                odd = [n for n, loss in enumerate(losses) if not is_finite(loss)]
                found[model] = losses[: odd[0]] if odd else losses
        return found

    def read(self, name: str) -> Any:
        path = self.folder / "reports" / name
        return read_json(path) if path.exists() else {}


def is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def working_tree(folder: Path) -> Revision:
    """What lies in `folder`, committed or not."""
    commit = git(folder, "rev-parse", "--quiet", "--verify", "HEAD")
    changes = bool(git(folder, "status", "--porcelain", "--", *HERE))
    subject = git(folder, "log", "-1", "--format=%s") if commit else ""
    return Revision(folder, "the working tree", commit, subject, changes).checked()


@contextmanager
def committed(folder: Path, revision: str) -> Iterator[Revision]:
    """The project as `revision` of its repository has it, in a folder of its own meanwhile.

    Raises NoBaseError where it cannot be had or read.
    """
    commit = resolved(folder, revision)
    subject = git(folder, "log", "-1", "--format=%s", commit)
    with TemporaryDirectory(prefix="latent-digits-base-") as place:
        packed = subprocess.run(
            ["git", "archive", "--format=zip", "-0", commit],
            cwd=folder,
            capture_output=True,
            check=True,
        ).stdout
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            archive.extractall(place)  # keeps all within it, and makes no links
        if not (Path(place) / "dvc.yaml").exists():
            raise OldBaseError(
                f"{commit[:7]} has no dvc.yaml: it is from before there was a study."
            )
        name = revision or commit[:7]
        try:
            base = Revision(Path(place), name, commit, subject, changes=False).checked()
        except UserError as error:
            reason = f"{error}".replace(f"{place}/", "").partition("; delete it")[0].rstrip(".")
            raise NoBaseError(f"{name} cannot be read: {reason}; say another BASE.") from None
        yield base


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
    remotes = git(folder, "remote").splitlines()
    remote = "origin" if "origin" in remotes else next(iter(remotes), "")
    if found := commit_of(folder, revision) or commit_of(folder, f"{remote}/{revision}"):
        return found
    if not remote:
        raise NoBaseError(
            f"{revision} is no commit, branch or tag here, and there is no remote to fetch it from."
        )
    # A depth would make a whole clone a shallow one.
    shallow = git(folder, "rev-parse", "--is-shallow-repository") == "true"
    depth = ["--depth=1"] if shallow else []
    fetched = subprocess.run(
        ["git", "fetch", "--quiet", *depth, "--end-of-options", remote, revision],
        cwd=folder,
        env=os.environ | {"GIT_TERMINAL_PROMPT": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if fetched.returncode == 0 and (found := commit_of(folder, "FETCH_HEAD")):
        return found
    said = fetched.stderr.strip().splitlines()
    raise NoBaseError(
        f"{revision} is no commit, branch or tag here, and {remote} does not give it "
        f"({said[-1] if said else 'no reason given'}); say another BASE"
        f"{', or `git fetch --unshallow` for everything' if shallow else ''}."
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
