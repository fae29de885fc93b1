"""The noise of seeds: what `make replicas` has measured, and of which recipe.

A recipe is all that a model's quality follows from but the seed: the code and parameters of the
stages that train and measure, the split and the hyperparameters. Seeds of one recipe are redraws.
Code that is written otherwise and does the same is known by what it makes of the study's own seed.
"""

import json
import re
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from latent_digits.console import UserError
from latent_digits.data.storage import Row, read_json
from latent_digits.project import yaml_files
from latent_digits.project.provenance import Study, digest_of, flatten, git, locked, stages_in
from latent_digits.project.renamed import FILES

FILE = Path("reports/replicas.json")
HYPERPARAMETERS = "reports/hyperparameters.json"
HYPERPARAMETERS_FILES = (HYPERPARAMETERS, FILES[HYPERPARAMETERS])  # of older commits too
DETAILS = "reports/evaluation.json"
STAGES = ("train_ae", "train_denoise", "train_vae", "finetune", "evaluate")


Finite = Annotated[float, Field(allow_inf_nan=False)]
Name = Annotated[str, Field(pattern="^([0-9a-f]{7,64})?( with changes)?$")]


class Replica(BaseModel):
    """The study under one seed: its headlines by name, and all that was measured."""

    metrics: dict[str, Finite]
    details: dict[str, Finite] = {}


class Replicas(BaseModel):
    """The file's content: the study again, by seed, at a commit, of a recipe and on a split."""

    commit: Name
    recipe: str
    split: str = ""  # earlier versions did not say
    rows: dict[int, Replica]

    def values(self, name: str, without: object = None) -> list[float]:
        """A headline's value for each seed that has it, but for the seed `without`."""
        return [
            row.metrics[name]
            for seed, row in self.rows.items()
            if seed != without and name in row.metrics
        ]


def read_replicas(path: Path) -> Replicas:
    """Raises UserError where the file is missing or has another form."""
    try:
        return Replicas.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{path} is not as `make replicas` writes it ({where}: {first['msg']}); delete it, and "
            "`make replicas` makes it again."
        ) from None


def recipe_of(study: Study) -> str:
    """A name for the recipe: equal where nothing but the seed differs. Needs no data."""
    facts = {
        stage: {
            "cmd": study.stages[stage]["cmd"],
            "code": {
                path: study.sources.get(path)
                for path in study.dependencies(stage)
                if path not in study.makers
            },
            "params": {k: v for k, v in study.parameters(stage).items() if k != "seed"},
        }
        for stage in STAGES
        if stage in study.stages
    }
    split = locked(study.lock.get("prepare", {}), "outs")
    there = [path for path in HYPERPARAMETERS_FILES if (study.folder / path).exists()]
    hparams = study.digests(there) or None
    return digest_of([facts, split, hparams])


def gives_the_same(study: Study, commit: str) -> bool:
    """Whether the study's own seed gave these very histories and measures at `commit`, under the
    same parameters: then the recipe is that of there, whatever has happened to the code since.

    The bytes of a model may differ: its file tells how it is built, too.

    Raises UserError where a clone is not deep enough to tell.
    """
    made = study.made({})
    if not re.fullmatch("[0-9a-f]{7,64}", commit) or not made.keys() >= {*STAGES}:
        return False
    try:
        lock, details = (
            git(study.folder, "show", f"{commit}:./{path}") for path in ("dvc.lock", DETAILS)
        )
    except UserError:
        raise UserError(
            f"{FILE} is of commit {commit}, which is not here, so that nobody can tell whether its "
            "seeds are still those of this recipe; `git fetch --unshallow` gets it, or delete the "
            "file to train all of them anew."
        ) from None
    if not details:  # outside of git
        return False
    before = stages_in(f"dvc.lock of {commit}", yaml_files.parse(lock))
    measured = flat(json.loads(details)).items() <= flat(read_json(study.folder / DETAILS)).items()
    return measured and all(
        stage in before
        and parameters(study.lock[stage]).items() >= parameters(before[stage]).items()
        and made[stage].items() >= histories_of(before[stage]).items()
        for stage in STAGES
    )


def parameters(entry: Row) -> Row:
    """The parameters in a stage's entry of the lock, by their dotted names."""
    return flat(entry.get("params", {}).get("params.yaml", {}))


def flat(values: Row) -> Row:
    return dict(flatten(values))


def histories_of(entry: Row) -> dict[str, str]:
    outs = locked(entry, "outs")
    return {path: md5 for path, md5 in outs.items() if path.startswith("reports/histories/")}


def summary(rows: list[dict[str, float]]) -> Row:
    """Mean and sample standard deviation of every metric; of one value there is no deviation."""
    found = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row[name] for row in rows if name in row]
        deviation = stdev(values) if len(values) > 1 else None
        found[name] = {"mean": fmean(values), "deviation": deviation}
    return found
