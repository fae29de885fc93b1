"""Each stage's run in MLflow: parameters, metrics an epoch, files. Written, never read.

What is logged goes to an upload queue on disk, and from there to MLflow by a thread of its own. A
server that is slow, or dies, costs a line on the terminal; the next stage sends what it lacks.

Nothing here returns a value that a stage could write, so no output depends on this code.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from latent_digits.arithmetic import notices
from latent_digits.console import UserError, say, say_once
from latent_digits.data.storage import Row, require_room
from latent_digits.project.provenance import flatten, read_study
from latent_digits.tracking.addresses import place, queue_folder, workspace
from latent_digits.tracking.faults import one_line
from latent_digits.tracking.mlflow.system_metrics import SystemMetrics
from latent_digits.tracking.records import end_entry, model_entry, stage_entry, study_entry
from latent_digits.tracking.upload_queue import Kind, begin_queue

RETRY_SECONDS = 10.0
LATER = (
    "what it has not got is in the upload queue, mlflow-unsent/, for the next stage or `make sync` "
    "to send."
)


class StageRun:
    """The MLflow run of one stage. Its methods note in the upload queue what they get, and return.

    So importing MLflow, which takes 7 s on a slow core, and waiting for its server overlap with
    the stage's work.
    """

    def __init__(self, stage: str, parameters: Mapping[str, Any]):
        self.stage = stage
        require_room(workspace())
        for notice in notices():
            say_once(notice)
        self.study = read_study(workspace())
        settings = self.study.params.get("tracking", {})
        if settings.get("required", False):
            require_server()
        self.dependencies = self.study.digests(self.study.dependencies(stage))
        about = stage_entry(self.study, stage, parameters, self.dependencies)
        self.images = {one["name"]: one["images"] for one in about["datasets"]}.get("train", 0)
        self.epoch_ended: dict[str, float] = {}
        self.queue = begin_queue(queue_folder(), stage, study=study_entry(self.study), stage=about)
        self.noted, self.ended = threading.Event(), threading.Event()
        self.noted.set()
        self.writer = threading.Thread(target=self.write, name="mlflow", daemon=True)
        self.writer.start()
        self.machine = (
            SystemMetrics(self.metrics) if settings.get("system_metrics", False) else None
        )

    def metrics(self, values: Mapping[str, Any], step: int = 0) -> None:
        """Nested numbers under dotted names, at one step (an epoch, or a trial)."""
        timed = {name: self.timed(name, value) for name, value in values.items()}
        with harmless():
            self.note("metrics", values=dict(flatten(timed)), step=step)

    def trial(self, row: Row) -> None:
        """A trial of the search that has ended, as a row of the search's table."""
        with harmless():
            self.note("trial", row=row)

    def files(self, *paths: Path) -> None:
        """Files and folders as artifacts, under their own names."""
        with harmless():
            for path in paths:
                self.note("files", names=[self.queue.attach(path)])

    def trials(self, table: Path) -> None:
        """The search's table as an artifact, and what of its trials is not logged yet."""
        with harmless():
            name = self.queue.attach(table)
            self.note("files", names=[name])
            self.note("trials", file=name)

    def model(self, weights: Path) -> None:
        """A trained model, whose history is written: a version in the registry."""
        with harmless():
            about = model_entry(weights, self.dependencies)
            self.note("model", file=self.queue.attach(weights), code=self.code, **about)

    def end(self, status: str, error: str = "", patience: float = 120.0) -> None:
        """Note how the stage ended, and wait `patience` seconds until all is sent."""
        if self.machine:
            self.machine.stop()
        with harmless():
            entry = end_entry(self.study, self.stage, status, error)
            results = [self.queue.attach(self.study.folder / one) for one in entry["results"]]
            self.queue.add("end", **entry | {"results": results})
        self.ended.set()
        self.noted.set()
        self.writer.join(patience)
        if self.writer.is_alive():
            say(f"mlflow: not all was sent within {patience:.0f} s; {LATER}")

    @cached_property
    def code(self) -> str:
        """The name of the kept package, which all models of a stage share."""
        return self.queue.attach(Path(__file__).parents[1])

    def note(self, kind: Kind, **values: Any) -> None:
        self.queue.add(kind, **values)
        self.noted.set()

    def timed(self, name: str, row: Any) -> Any:
        """An epoch's values, with how long it took since the one before."""
        if not isinstance(row, Mapping) or "train_loss" not in row:
            return row
        now = time.monotonic()
        before, self.epoch_ended[name] = self.epoch_ended.get(name), now
        if before is None:
            return row
        seconds = now - before
        return {**row, "epoch_seconds": seconds, "images_per_second": self.images / seconds}

    def write(self) -> None:
        """In the writer's thread: send what is noted; after a failure, wait, each time longer."""
        sender, pause = None, RETRY_SECONDS
        while True:
            self.noted.wait()
            self.noted.clear()
            last = self.ended.is_set()
            try:
                sender = sender or connected()
                sender.send(self.queue)
                if last and self.queue.first("end"):
                    self.queue.remove()
                pause = RETRY_SECONDS
            except Exception as error:
                say_once(f"mlflow: {place()} does not take it ({one_line(error)}); {LATER}")
                sender = None  # what comes back may know nothing of before
                if not last:
                    self.ended.wait(pause)
                    pause *= 2
                    self.noted.set()
            if last:
                self.queue.close()
                return


@contextmanager
def harmless() -> Iterator[None]:
    """A block whose trouble, a full disk perhaps, is said and stops nothing."""
    try:
        yield
    except Exception as error:
        say(f"mlflow: {one_line(error)}; the stage goes on, its run is incomplete.")


def connected() -> Any:
    """A connection over which everything from before is sent."""
    from latent_digits.tracking.mlflow.sender import Sender  # imports MLflow

    sender = Sender()
    sender.send_left_behind()
    return sender


@contextmanager
def stage_run(stage: str, parameters: Mapping[str, Any]) -> Iterator[StageRun]:
    """A run that ends FINISHED, FAILED with the message, or KILLED, as the block does."""
    run = StageRun(stage, parameters)
    try:
        yield run
    except KeyboardInterrupt:
        run.end("KILLED", "interrupted", patience=5.0)
        raise
    except BaseException as error:
        run.end("FAILED", str(error))
        raise
    run.end("FINISHED")


def require_server() -> None:
    """Raise UserError unless the tracking server takes runs of this user.

    MLflow itself asks, since it has its own ways to find passwords, tokens and certificates.
    """
    try:
        from latent_digits.tracking.mlflow.sender import Sender  # imports MLflow

        Sender().require_permission()
    except Exception as error:
        raise UserError(
            f"mlflow: {place()} takes no runs ({one_line(error)}); mend that, or set "
            "tracking.required: false in params.yaml."
        ) from None
