"""Trainings, run by workers side by side, shown as they go, logged and stored."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from latent_digits.console import ProgressDisplay, UserError, losses, say
from latent_digits.data.dataset import Dataset
from latent_digits.data.resume_cache import ResumeCache
from latent_digits.data.storage import Row, write_csv
from latent_digits.models.weights import save_model
from latent_digits.project.params import FabricParams
from latent_digits.study.trainings import DegenerateError, Trained, Training
from latent_digits.tracking.stage_run import StageRun
from latent_digits.training.checkpoint import Checkpoint
from latent_digits.training.checkpoint_file import CheckpointFile
from latent_digits.training.loop import DivergedError, best_row
from latent_digits.training.ranks import DEFAULT, RankLostError, Spread, run_rank
from latent_digits.training.training_data import TrainingData
from latent_digits.training.workers import Call, CallError, Workers, side_by_side, workers

STARTS = 3  # of a training over several processes
REMEDIES: dict[type, str] = {
    DivergedError: "lower the learning rate",
    DegenerateError: "raise the learning rate or patience if the validation loss was still "
    "falling, else lower the learning rate or the dropout",
}


def run_trainings(
    cache: ResumeCache,
    data: TrainingData,
    trainings: Mapping[str, Training],
    fabric: FabricParams,
    log: Callable[[Row, int], Any],
) -> dict[str, Trained]:
    """Each training's result by its name; trainings that were killed go on as the `cache` has them.

    `log` gets each epoch's values under the training's name, and the epoch.

    Side by side, a process each, or one after the other where `fabric` asks for several processes
    a training. Raises UserError when one diverges or fails to learn each time.
    """
    stage, spread = cache.stage, Spread(**fabric.model_dump())
    count = spread.processes if spread.processes > 1 else side_by_side(len(trainings))
    with cache, workers(count) as pool, ProgressDisplay(stage) as progress:
        saved = {
            name: CheckpointFile(cache.slot(slot_name(name), training, spread))
            for name, training in trainings.items()
        }
        for name, training in trainings.items():
            before = saved[name].latest
            progress.begin(name, training.recipe.epochs, done=len(before.history) if before else 0)

        def on_report(name: str, event: Checkpoint | str) -> None:
            if isinstance(event, str):
                say(f"{stage} {name}: {event}")
            elif saved[name].save(event):
                row = event.history[-1]
                epoch = int(row["epoch"])
                progress.advance(name, epoch, trainings[name].recipe.epochs, losses(row))
                log({name: without_epoch(row)}, epoch)

        shared = pool.share(data)

        def call(name: str) -> Call:
            return trainings[name], shared, saved[name].latest

        calls = {name: partial(call, name) for name in trainings}
        results: dict[str, Trained] = {}
        try:
            for name, trained in ended(pool, spread, calls, on_report):
                results[name] = trained
                best = best_row(trained.history)
                progress.end(name, f"best epoch {best['epoch']:.0f}: {losses(best)}")
        except CallError as failure:
            remedy = REMEDIES.get(type(failure.__cause__))
            if remedy is None:
                raise
            raise UserError(
                f"{stage} {failure.name}: {failure.__cause__}; {remedy} in params.yaml (under tune "
                "where the hyperparameters come from the search)."
            ) from None
        cache.keep_only(*map(slot_name, trainings))
    return results


def ended(
    pool: Workers,
    spread: Spread,
    calls: Mapping[str, Callable[[], Call]],
    on_report: Callable[[str, Any], Any],
) -> Iterator[tuple[str, Trained]]:
    """(name, result) of each call as it ends: all side by side, or each over several processes.

    A call is asked for when it starts, so that it goes on from the latest checkpoint.
    """
    if spread.processes > 1:
        for name, call in calls.items():
            yield name, over_ranks(pool, spread, name, call, on_report)
        return
    # Without Fabric, where it would change nothing: its import takes seconds.
    before = () if spread == DEFAULT else (run_rank, spread, 0, None, "")
    yield from pool.run({name: (*before, *call()) for name, call in calls.items()}, on_report)


def over_ranks(
    pool: Workers,
    spread: Spread,
    name: str,
    call: Callable[[], Call],
    on_report: Callable[[str, Any], Any],
) -> Trained:
    """The result of a call that is started again when one of its processes is lost."""
    for _ in range(STARTS):
        try:
            return pool.run_spread(name, spread, call(), on_report)
        except RankLostError as loss:
            say(f"{name}: lost one of {spread.processes} processes ({loss}).")
    raise UserError(
        f"{name} was given up: it lost a process in each of {STARTS} starts; what was finished is "
        "kept."
    )


def save_trained(
    results: Mapping[str, Trained],
    trainings: Mapping[str, Training],
    dataset: Dataset,
    run: StageRun,
) -> None:
    """Store each training's weights and history under its name, and log them.

    A series is logged as its two folders, and its models are not registered.
    """
    series: set[Path] = set()
    for name, training in trainings.items():
        trained = results[name]
        weights = Path("data/models", f"{name}.safetensors")
        history = Path("reports/histories", f"{name}.csv")
        about = training.about | {
            "trainable_parameters": trained.trainable_parameters,
            "attempt": trained.attempt,
        }
        save_model(weights, trained.weights, about, dataset)
        write_csv(history, list(trained.history[0]), trained.history)
        if "/" in name:
            series |= {weights.parent, history.parent}
        else:
            run.model(weights)
            run.files(history)
    run.files(*sorted(series))


def save_untrained(trainings: Iterable[str], dataset: Dataset) -> None:
    """In place of classifiers, of which a data set without labels has none: files that hold none.

    DVC wants every output that `dvc.yaml` names.
    """
    columns = ["epoch", "train_loss", "val_loss", "train_accuracy", "val_accuracy"]
    for name in trainings:
        save_model(Path("data/models", f"{name}.safetensors"), {}, {"model": "none"}, dataset)
        write_csv(Path("reports/histories", f"{name}.csv"), columns, [])
    say(f"finetune: {dataset.name} has no labels, so there is no classifier to train")


def slot_name(name: str) -> str:
    """A training's name as that of a file without a folder."""
    return name.replace("/", ".")


def without_epoch(row: Row) -> Row:
    return {key: value for key, value in row.items() if key != "epoch"}
