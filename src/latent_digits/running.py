"""Trainings, run by workers side by side, shown as they go, logged and stored."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from latent_digits.checkpoint import Checkpoint
from latent_digits.console import Board, UserError, losses, say
from latent_digits.dataset import Dataset
from latent_digits.digits import Digits
from latent_digits.resuming import Resuming
from latent_digits.storage import Row, write_csv
from latent_digits.store import Store
from latent_digits.tracking import StageRun
from latent_digits.training import DivergedError, best_row
from latent_digits.trainings import CollapsedError, Trained
from latent_digits.weights import save_model
from latent_digits.workers import CallError, side_by_side, workers


class Training(NamedTuple):
    """A function of `latent_digits.trainings` and its arguments between data and report."""

    function: Callable[..., Trained]
    arguments: tuple[Any, ...]
    epochs: int  # at most
    about: Row  # what it takes to build the model again; see `latent_digits.weights`


def run_trainings(
    stage: str, digits: Digits, trainings: Mapping[str, Training], run: StageRun
) -> dict[str, Trained]:
    """Each training's result by its name; trainings that were killed go on where they were.

    Raises UserError when one diverges.
    """
    count = side_by_side(len(trainings))
    with Store(stage, digits) as store, workers(count) as crew, Board(stage) as board:
        saved = {
            name: Resuming(store.slot(name, one.function, one.arguments))
            for name, one in trainings.items()
        }
        for name, training in trainings.items():
            before = saved[name].latest
            board.begin(name, training.epochs, done=len(before.history) if before else 0)

        def on_report(name: str, event: Checkpoint | str) -> None:
            if isinstance(event, str):
                say(f"{stage} {name}: {event}")
            elif saved[name].save(event):
                row = event.history[-1]
                epoch = int(row["epoch"])
                board.advance(name, epoch, trainings[name].epochs, losses(row))
                run.metrics({name: without_epoch(row)}, step=epoch)

        shared = crew.share(digits)
        calls = {
            name: (one.function, shared, *one.arguments, saved[name].latest)
            for name, one in trainings.items()
        }
        results: dict[str, Trained] = {}
        try:
            for name, trained in crew.run(calls, on_report):
                results[name] = trained
                best = best_row(trained.history)
                board.end(name, f"best epoch {best['epoch']:.0f}: {losses(best)}")
        except CallError as failure:
            if not isinstance(failure.__cause__, DivergedError | CollapsedError):
                raise
            sentence = f"{stage} {failure.name}: {failure.__cause__}"
            raise UserError(f"{sentence}; lower the learning rate in params.yaml.") from None
        store.keep(*trainings)
    return results


def save_trained(
    results: Mapping[str, Trained],
    trainings: Mapping[str, Training],
    dataset: Dataset,
    run: StageRun,
) -> None:
    """Store each training's weights and history under its name, and log them."""
    for name, training in trainings.items():
        trained = results[name]
        weights, history = (
            Path(f"data/models/{name}.safetensors"),
            Path(f"reports/histories/{name}.csv"),
        )
        about = training.about | {
            "trainable_parameters": trained.trainable_parameters,
            "attempt": trained.attempt,
        }
        save_model(weights, trained.weights, about, dataset)
        write_csv(history, list(trained.history[0]), trained.history)
        run.files(weights, history)


def without_epoch(row: Row) -> Row:
    return {key: value for key, value in row.items() if key != "epoch"}
