"""The study under further seeds, from `reports/replicas.json`: a run a seed, their mean and spread.

All seeds of one recipe (code, data and parameters but for the seed) are children of one run. A run
is known by recipe and seed, so that a file that has grown adds to what is there.
"""

from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.entities import Metric, Run
from mlflow.utils import mlflow_tags

from latent_digits.project.replicas import Replicas, summary
from latent_digits.tracking.mlflow.server import end_run


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
        for seed, row in replicas.rows.items():
            tags = {"recipe": recipe, "role": "seed", "seed": f"{seed}"}
            self.end(self.run(f"seed {seed}", tags, source | parent), row.metrics)
        rows = [row.metrics for row in replicas.rows.values()]
        self.end(group, {"seeds": len(rows)} | spread(rows), len(rows))

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
            end_run(self.client, run, "FINISHED", run.info.start_time)


def spread(rows: list[dict[str, float]]) -> dict[str, float]:
    """Mean and standard deviation of each metric, grouped apart by MLflow."""
    found = summary(rows).items()
    means = {f"mean/{name}": one["mean"] for name, one in found}
    return means | {
        f"std/{name}": one["deviation"] for name, one in found if one["deviation"] is not None
    }
