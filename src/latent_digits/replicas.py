"""The study under further seeds, from `reports/replicas.json`: a run a seed, their mean and spread.

All seeds of one recipe (code, data and parameters but for the seed) are children of one run. A run
is known by recipe and seed, so that a file that has grown adds to what is there.
"""

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Run
from mlflow.utils import mlflow_tags
from pydantic import BaseModel, ValidationError

from latent_digits.console import UserError
from latent_digits.storage import read_json

FILE = Path("reports/replicas.json")


class Row(BaseModel):
    """One study: its seed, and its metrics by name."""

    seed: int
    metrics: dict[str, float]


class Replicas(BaseModel):
    """The file's content."""

    commit: str
    recipe: str
    rows: dict[str, Row]


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


class Seeds:
    """Where replicas are logged."""

    def __init__(self, client: MlflowClient, experiment: str):
        self.client, self.experiment = client, experiment

    def log(self, replicas: Replicas) -> None:
        """All seeds that are not logged yet, then mean and standard deviation over all."""
        recipe, commit = replicas.recipe, replicas.commit
        source = {mlflow_tags.MLFLOW_GIT_COMMIT: commit}
        group = self.run(f"replicas of {commit}", {"recipe": recipe, "role": "group"}, source)
        parent = {mlflow_tags.MLFLOW_PARENT_RUN_ID: group.info.run_id}
        for row in replicas.rows.values():
            tags = {"recipe": recipe, "role": "seed", "seed": f"{row.seed}"}
            self.end(self.run(f"seed {row.seed}", tags, source | parent), row.metrics)
        self.end(group, spread([row.metrics for row in replicas.rows.values()]), len(replicas.rows))

    def run(self, name: str, key: Mapping[str, str], tags: Mapping[str, str]) -> Run:
        """The run that has the tags of `key`, made if there is none."""
        query = " and ".join(f"tags.{tag} = '{value}'" for tag, value in key.items())
        found = self.client.search_runs([self.experiment], query, max_results=1)
        if found:
            return found[0]
        return self.client.create_run(self.experiment, tags={**key, **tags}, run_name=name)

    def end(self, run: Run, metrics: Mapping[str, float], step: int = 0) -> None:
        """The metrics at the time that the run has: logged twice, they are the same points."""
        points = [Metric(k, float(v), run.info.start_time, step) for k, v in metrics.items()]
        self.client.log_batch(run.info.run_id, metrics=points)
        if run.info.status == "RUNNING":
            self.client.set_terminated(run.info.run_id)


def spread(rows: list[dict[str, float]]) -> dict[str, Any]:
    """Mean and sample standard deviation of each metric, and how many seeds there are."""
    values: dict[str, Any] = {"seeds": len(rows)}
    for name in dict.fromkeys(name for row in rows for name in row):
        column = [row[name] for row in rows if name in row]
        values[f"mean/{name}"] = fmean(column)
        if len(column) > 1:
            values[f"std/{name}"] = stdev(column)
    return values
