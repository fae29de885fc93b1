"""Functions that tests send to worker processes: they must be importable there."""

import ctypes
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from distributed import get_worker

from latent_digits.arithmetic import in_force
from latent_digits.search.sampler import PlannedTrial, Trial, run_trial
from latent_digits.study.trainings import AutoencoderTraining, Report, Trained
from latent_digits.training import ranks
from latent_digits.training.checkpoint import Checkpoint
from latent_digits.training.training_data import TrainingData


def double(value: Any, report: Callable[[Any], None]) -> Any:
    report("doubling")
    return value * 2


def silent(seconds: int, report: Any) -> str:
    """Hold Python's lock, under which no heartbeat is sent."""
    ctypes.PyDLL(None).sleep(seconds)
    return "awake"


def interruptions(report: Any) -> float:
    """How often in a second Dask does something in this worker of its own accord."""
    return sum(1000 / one.callback_time for one in get_worker().periodic_callbacks.values())


def fail(report: Callable[[Any], None]) -> None:
    raise ZeroDivisionError("as asked")


def dying(marker: Path, value: Any, report: Callable[[Any], None]) -> Any:
    """`value`, but the first time the worker process is killed before it is returned."""
    report("alive")
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return value


def deadly(report: Callable[[Any], None]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying_trial(
    marker: Path,
    training_data: TrainingData,
    planned: PlannedTrial,
    seed: int,
    checkpoint: Any,
    report: Any,
) -> Trial:
    """A real trial, but trial 1's worker is killed after its second epoch, the first time."""

    def on_epoch(checkpoint: Checkpoint) -> None:
        report(checkpoint)
        if planned.number == 1 and len(checkpoint.history) == 2 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    return run_trial(training_data, planned, seed, checkpoint, on_epoch)


@dataclass(frozen=True, kw_only=True)
class DyingRank(AutoencoderTraining):
    """A real training, but the first time rank 1's worker is killed after two epochs.

    The file `marker` says after which epochs the starts were.
    """

    marker: str

    def __call__(
        self, training_data: TrainingData, checkpoint: Checkpoint | None, report: Report
    ) -> Trained:
        killed = Path(f"{self.marker}-killed")
        if ranks.current().rank == 0:
            with Path(self.marker).open("a") as starts:
                starts.write(f"{len(checkpoint.history) if checkpoint else 0} ")

        def on_report(event: Any) -> None:
            report(event)
            dying = ranks.current().rank == 1 and not killed.exists()
            if dying and isinstance(event, Checkpoint) and len(event.history) == 2:
                killed.touch()
                os.kill(os.getpid(), signal.SIGKILL)

        return super().__call__(training_data, checkpoint, on_report)


def failing_rank(training_data: TrainingData, report: Callable[[Any], None]) -> None:
    """Rank 1 raises an exception of its own, while rank 0 waits for it."""
    if ranks.current().rank == 1:
        raise ZeroDivisionError("as asked")
    ranks.current().add_up(torch.zeros(1))


def listening(report: Callable[[Any], None]) -> set[str]:
    """The addresses at which this process listens while it is a rank."""
    connections = psutil.Process().net_connections("inet")
    return {one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN}


def in_force_here(report: Callable[[Any], None]) -> dict[str, str]:
    """What the libraries of this worker's process work with."""
    return in_force()


def sums(shared: Any, report: Callable[[Any], None]) -> int:
    return sum(shared)


def where(shared: Any, report: Callable[[Any], None]) -> int:
    """The process that it runs in; a second passes."""
    time.sleep(1)
    return os.getpid()
