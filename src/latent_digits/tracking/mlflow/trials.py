"""The trials of a search as runs of an experiment of their own, each as it ends.

A trial is known by its search and its number. One of a search that was killed, in the same version
of the study, is the same trial, and belongs to the search that went on from there.
"""

from dataclasses import fields

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag

from latent_digits.data.storage import Row
from latent_digits.project.renamed import TRIAL_STATES
from latent_digits.tracking.mlflow.server import end_run
from latent_digits.training.hyperparameters import Hyperparameters

# A search's trials, as MLflow says that they ended; the tag `state` has the exact word.
STATUS = {"complete": "FINISHED", "degenerate": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}


class Trials:
    """Where one search's trials are logged."""

    def __init__(self, client: MlflowClient, experiment: str, study: str, search: str):
        self.client, self.experiment = client, experiment
        self.tags = {"study": study, "search": search}

    def log(self, row: Row, time: int) -> None:
        """A row of the search's table: values an epoch, state and hyperparameters.

        What a trial's run has already stays as it is, so that no value is there at two times.
        """
        name = f"{row['trial']}"
        begun = time + int(name)  # so that trials that are logged together sort by their numbers
        run = self.known(name) or self.client.create_run(
            self.experiment, begun, self.tags | {"trial": name}, f"trial {name}"
        )
        run_id = run.info.run_id
        if run.info.status != "RUNNING":
            return
        values = [
            Metric("val_mse", float(row[f"val_mse_{epoch}"]), time, epoch)
            for epoch in range(1, int(row["epochs"]) + 1)
        ]
        # Rows of earlier versions lack some of it.
        if row.get("live_units") not in (None, ""):
            values.append(Metric("live_units", float(row["live_units"]), time, 0))
        hparams = [
            Param(one.name, f"{row[one.name]}")
            for one in fields(Hyperparameters)
            if one.name in row
        ]
        ended = f"{row['state']}"
        state = TRIAL_STATES.get(ended, ended)
        self.client.log_batch(run_id, values, hparams, [RunTag("state", state)])
        end_run(self.client, run, STATUS[state], time)

    def known(self, name: str) -> Run | None:
        """The trial's run, taken over from a search that did not come to its end."""
        if found := self.find("search", name):
            return found
        before = self.find("study", name)
        if not before or self.client.get_run(before.data.tags["search"]).info.status == "FINISHED":
            return None
        self.client.set_tag(before.info.run_id, "search", self.tags["search"])
        return before

    def find(self, tag: str, name: str) -> Run | None:
        query = f"tags.{tag} = '{self.tags[tag]}' and tags.trial = '{name}'"
        found = self.client.search_runs([self.experiment], query, max_results=1)
        return found[0] if found else None
