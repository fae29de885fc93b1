"""The noise of seeds: what `make replicas` has measured, and of which recipe.

A recipe is all that a model's quality follows from but the seed: the code and parameters of the
stages that train and measure, the split and the design. Seeds of one recipe are redraws.
"""

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from latent_digits.provenance import Study, digest_of, locked
from latent_digits.storage import Row, read_json

FILE = Path("reports/replicas.json")
DESIGN = "reports/design.json"
STAGES = ("train_ae", "train_denoise", "train_vae", "finetune", "evaluate")


@dataclass(frozen=True)
class Replicas:
    """The study again under other seeds: a row of headlines for each, and of what recipe."""

    recipe: str
    commit: str
    rows: tuple[Row, ...]

    def values(self, name: str) -> list[float]:
        """A headline's value for each seed that has it."""
        return [row["metrics"][name] for row in self.rows if name in row["metrics"]]


def recipe_of(study: Study) -> str:
    """A name for the recipe: equal where nothing but the seed differs. Needs no data."""
    split = locked(study.lock.get("prepare", {}), "outs")
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
    design = study.folder / DESIGN
    return digest_of([facts, split, study.digests([DESIGN]) if design.exists() else None])


def read_replicas(folder: Path) -> Replicas | None:
    """What `reports/replicas.json` of a project holds, if there is one."""
    if not (folder / FILE).exists():
        return None
    found = read_json(folder / FILE)
    return Replicas(found["recipe"], found["commit"], tuple(found["rows"].values()))


def summary(rows: list[Row]) -> Row:
    """Mean and standard deviation of every headline over the seeds; of one seed no deviation."""
    found = {name: [row["metrics"][name] for row in rows] for name in rows[0]["metrics"]}
    return {
        name: {"mean": fmean(values), "deviation": stdev(values) if len(values) > 1 else None}
        for name, values in found.items()
    }
