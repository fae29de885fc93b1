"""Each stage's run in MLflow: parameters, metrics an epoch, files. Written, never read.

Nothing here returns a value that a stage could write, so no output depends on this code.
"""

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latent_digits.console import say

if TYPE_CHECKING:
    from mlflow import MlflowClient

# MLflow takes 7 s to import on a slow core, and worker processes import what a stage's script
# imports: so it is imported where it is used, once, in the process that logs.

EXPERIMENT = "latent-digits"


class StageRun:
    """The MLflow run of one stage. What is logged is written in order, by a thread of its own.

    So importing MLflow and waiting for its server overlap with the stage's work. A failure there is
    said once and stops nothing: the results are in files, MLflow is where they are looked at.
    """

    def __init__(self, stage: str, parameters: Mapping[str, Any]):
        self.jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self.failure = ""
        self.run_id = ""
        self.writer = threading.Thread(target=self.write, name="mlflow", daemon=True)
        self.writer.start()
        self.jobs.put(partial(self.create, stage, parameters))

    def metrics(self, values: Mapping[str, Any], step: int = 0) -> None:
        """Nested numbers under dotted names, at one step (an epoch, or a trial)."""
        now = time.time_ns() // 1_000_000
        self.jobs.put(partial(self.write_metrics, dict(flatten(values)), now, step))

    def files(self, *paths: Path) -> None:
        """Files and folders as artifacts, under their own names."""
        self.jobs.put(partial(self.write_files, paths))

    def end(self, status: str, error: str = "", patience: float = 120.0) -> None:
        """Write what is pending, then how the stage ended; wait `patience` seconds for that."""
        self.jobs.put(partial(self.write_end, status, error))
        self.jobs.put(None)
        self.writer.join(patience)
        if self.writer.is_alive():
            say(f"mlflow: not everything was written within {patience:.0f} s; gave up waiting.")

    def write(self) -> None:
        """In the writer's thread: one job after the other; after a failure, the end alone."""
        while (job := self.jobs.get()) is not None:
            if self.failure and getattr(job, "func", None) != self.write_end:
                continue
            try:
                job()
            except Exception as error:
                self.failure = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
                say(f"mlflow: {self.failure}; the stage goes on, its run is incomplete.")

    # What follows runs in the writer's thread.

    def create(self, stage: str, parameters: Mapping[str, Any]) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Param

        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # of its first set-up
        self.client = MlflowClient(tracking_uri=tracking_uri())
        run = self.client.create_run(
            experiment_of(self.client), run_name=stage, tags={"stage": stage}
        )
        self.run_id = run.info.run_id
        flat = [Param(name, str(value)) for name, value in flatten(parameters)]
        self.client.log_batch(self.run_id, params=flat)

    def write_metrics(self, values: Mapping[str, Any], now: int, step: int) -> None:
        from mlflow.entities import Metric

        flat = [Metric(name, float(value), now, step) for name, value in values.items()]
        self.client.log_batch(self.run_id, metrics=flat)

    def write_files(self, paths: Sequence[Path]) -> None:
        for path in paths:
            if path.is_dir():
                self.client.log_artifacts(self.run_id, str(path), path.name)
            else:
                self.client.log_artifact(self.run_id, str(path))

    def write_end(self, status: str, error: str) -> None:
        from mlflow.entities import RunTag

        if not self.run_id:
            return
        if self.failure:
            status, error = "FAILED", error or f"incomplete: {self.failure}"
        if error:
            self.client.log_batch(self.run_id, tags=[RunTag("error", error[:5000])])
        self.client.set_terminated(self.run_id, status)


@contextmanager
def stage_run(stage: str, parameters: Mapping[str, Any]) -> Iterator[StageRun]:
    """A run that ends FINISHED, FAILED with the message, or KILLED, as the block does."""
    run = StageRun(stage, parameters)
    try:
        yield run
    except KeyboardInterrupt:
        run.end("KILLED", patience=5.0)
        raise
    except BaseException as error:
        run.end("FAILED", str(error))
        raise
    run.end("FINISHED")


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
