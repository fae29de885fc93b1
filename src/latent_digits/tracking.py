"""Each stage's run in MLflow: parameters, metrics an epoch, files. Written, never read.

Nothing here returns a value that a stage could write, so no output depends on this code.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

# MLflow takes 7 s to import on a slow core, and worker processes import what a stage's script
# imports: so it is imported where it is used, once, in the process that logs.

EXPERIMENT = "latent-digits"


class StageRun:
    """The MLflow run of one stage."""

    def __init__(self, client: "MlflowClient", run_id: str):
        self.client = client
        self.run_id = run_id

    def parameters(self, values: Mapping[str, Any]) -> None:
        """Nested parameters under dotted names, as in `params.yaml`."""
        from mlflow.entities import Param

        flat = [Param(name, str(value)) for name, value in flatten(values)]
        self.client.log_batch(self.run_id, params=flat)

    def metrics(self, values: Mapping[str, Any], step: int = 0) -> None:
        """Nested numbers under dotted names, at one step (an epoch, or a trial)."""
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        flat = [Metric(name, float(value), now, step) for name, value in flatten(values)]
        self.client.log_batch(self.run_id, metrics=flat)

    def files(self, *paths: Path) -> None:
        """Files and folders as artifacts, under their own names."""
        for path in paths:
            if path.is_dir():
                self.client.log_artifacts(self.run_id, str(path), path.name)
            else:
                self.client.log_artifact(self.run_id, str(path))


@contextmanager
def stage_run(stage: str, parameters: Mapping[str, Any]) -> Iterator[StageRun]:
    """A run that ends FINISHED, FAILED with the message, or KILLED, as the block does."""
    from mlflow import MlflowClient
    from mlflow.entities import RunTag

    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # of its first set-up
    client = MlflowClient(tracking_uri=tracking_uri())
    run_id = client.create_run(
        experiment_of(client), run_name=stage, tags={"stage": stage}
    ).info.run_id
    run = StageRun(client, run_id)
    run.parameters(parameters)
    try:
        yield run
    except KeyboardInterrupt:
        client.set_terminated(run_id, "KILLED")
        raise
    except BaseException as error:
        client.log_batch(run_id, tags=[RunTag("error", str(error)[:5000])])
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, else a SQLite file beside the project, by absolute address."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{project() / 'mlflow.db'}"


def experiment_of(client: "MlflowClient") -> str:
    """The id of the study's experiment; artifacts of a local data base lie beside it."""
    if found := client.get_experiment_by_name(EXPERIMENT):
        return found.experiment_id
    local = tracking_uri().startswith("sqlite:")
    location = (project() / "mlartifacts").as_uri() if local else None
    return client.create_experiment(EXPERIMENT, artifact_location=location)


def project() -> Path:
    """The top folder: DVC names it to the stages that it runs."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) for every leaf of a nested mapping."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        elif not isinstance(value, Sequence) or isinstance(value, str):
            yield f"{prefix}{key}", value
        else:
            yield f"{prefix}{key}", list(value)
