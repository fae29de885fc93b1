"""The search for hyperparameters: TPE over the original report's space, in generations of trials.

A generation is asked for, evaluated anywhere in any order, and told in order; the sampler is seeded
by study seed and generation, and pruning looks only at earlier generations. So the table of trials
depends on the parameters alone, never on the number of workers or on their speed.

Bergstra et al. 2011, "Algorithms for hyper-parameter optimization".
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any, NamedTuple

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from latent_digits.console import UserError
from latent_digits.data.storage import Row
from latent_digits.models.architecture import Architecture
from latent_digits.models.networks import Autoencoder
from latent_digits.models.objectives import reconstruction
from latent_digits.project.params import ReportHyperparameters, SearchSpace, TuneParams
from latent_digits.seeds import seed_for
from latent_digits.training.checkpoint import Checkpoint
from latent_digits.training.dead_units import has_dead_layer, live_neurons
from latent_digits.training.hyperparameters import Hyperparameters
from latent_digits.training.initialization import initialised
from latent_digits.training.loop import DivergedError, Pairs, Recipe, best_row, best_so_far, fit
from latent_digits.training.training_data import TrainingData, brightness, images_of

COMPLETE, PRUNED, DEGENERATE, FAILED = "complete", "pruned", "degenerate", "failed"


@dataclass(frozen=True)
class Trial:
    """Hyperparameters tried: the best validation MSE up to each finished epoch, and how it ended.

    complete: all epochs done. pruned: given up on the way, see `pruning_bars`. degenerate: done or
    given up, and no better than the mean image, or a layer is dead. failed: a loss was not finite.
    `live_units` is the least number of live neurons in a hidden layer at its best epoch: where that
    is less than Z, the latents depend on each other.
    """

    number: int
    generation: int
    hparams: Hyperparameters
    state: str
    val_mse: tuple[float, ...]
    live_units: int | None = None

    @property
    def value(self) -> float:
        """The best validation MSE; infinite when there is none."""
        return self.val_mse[-1] if self.val_mse else math.inf


class PlannedTrial(NamedTuple):
    """A trial to be run; `bars` are the values above which it is pruned, one an epoch."""

    number: int
    generation: int
    hparams: Hyperparameters
    bars: tuple[float, ...]


def search(
    evaluate: Callable[[Sequence[PlannedTrial]], list[Trial]],
    params: TuneParams,
    constant_mse: float,
    seed: int,
) -> list[Trial]:
    """All trials, in order; the original report's hyperparameters are trial 0.

    `evaluate` runs a generation; `constant_mse` is that of the mean image: what a trial must beat
    to go on.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = distributions(params.space)
    study = optuna.create_study(direction="minimize")
    study.enqueue_trial(in_optunas_terms(params.report_hyperparameters))
    done: list[Trial] = []
    for generation in range(math.ceil(params.trials / params.generation)):
        study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=params.startup_trials,
            seed=seed_for(seed, "generation", generation) % 2**32,
        )
        size = min(params.generation, params.trials - len(done))
        planned = [study.ask(space) for _ in range(size)]
        bars = pruning_bars(done, params, constant_mse)
        calls = [
            PlannedTrial(one.number, generation, hyperparameters_of(one.params), bars)
            for one in planned
        ]
        found = sorted(evaluate(calls), key=lambda trial: trial.number)
        for one, trial in zip(planned, found, strict=True):
            tell(study, one, trial, params.epochs)
        done += found
    return done


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """The space in Optuna's terms: Z and dropout uniform, the learning rate log-uniform.

    Of what has one choice nothing is drawn.
    """
    return {
        "latent_dim": IntDistribution(space.latent_dim.low, space.latent_dim.high),
        "optimizer": CategoricalDistribution(space.optimizer),
        "lr": FloatDistribution(space.lr.low, space.lr.high, log=True),
        "batch_size": CategoricalDistribution(space.batch_size),
        "dropout": FloatDistribution(space.dropout.low, space.dropout.high),
        "channels": CategoricalDistribution([joined(choice) for choice in space.channels]),
        "units": CategoricalDistribution(space.units),
    }


def in_optunas_terms(hparams: ReportHyperparameters) -> Row:
    return hparams.model_dump() | {"channels": joined(hparams.channels)}


def hyperparameters_of(params: Row) -> Hyperparameters:
    """What a trial is to try, from Optuna's terms."""
    values: Row = {**params, "channels": tuple(map(int, params["channels"].split("-")))}
    return Hyperparameters(**values)


def joined(channels: Sequence[int]) -> str:
    """Channels as text, which Optuna and a table take for a choice: "8-16-32"."""
    return "-".join(map(str, channels))


def tell(study: optuna.Study, planned: optuna.Trial, trial: Trial, epochs: int) -> None:
    """Report a trial to the sampler: its value when it did all `epochs`, else how far it came."""
    for epoch, value in enumerate(trial.val_mse, start=1):
        planned.report(value, epoch)
    if trial.state == FAILED:
        study.tell(planned, state=TrialState.FAIL)
    elif len(trial.val_mse) < epochs:
        study.tell(planned, state=TrialState.PRUNED)
    else:
        study.tell(planned, trial.value)


def pruning_bars(
    trials: Sequence[Trial], params: TuneParams, constant_mse: float
) -> tuple[float, ...]:
    """For each epoch, the value above which a trial is given up.

    A trial goes on while it beats the mean image and, once there are `pruning_peers` complete
    trials, while it is no worse than the worst of the best `pruning_peers` was at the same epoch.
    The bar gets stricter with the search: a median hardly prunes once TPE has found the good
    region, since most new trials beat most old ones. Infinite before `pruning_warmup`, and at the
    last epoch, where there is nothing left to save.
    """
    complete = [trial for trial in trials if trial.state == COMPLETE]
    best = sorted(complete, key=lambda trial: trial.value)[: params.pruning_peers]
    enough = len(best) == params.pruning_peers
    bars = [math.inf] * params.epochs
    for epoch in range(params.pruning_warmup, params.epochs):
        of_best = [trial.val_mse[epoch - 1] for trial in best] if enough else []
        bars[epoch - 1] = min(constant_mse, max(of_best, default=math.inf))
    return tuple(bars)


def run_trial(
    data: TrainingData,
    planned: PlannedTrial,
    seed: int,
    checkpoint: Checkpoint | None,
    report: Callable[[Checkpoint], Any],
) -> Trial:
    """One trial: an autoencoder with these hyperparameters, trained for an epoch a bar.

    It is measured by them once its learning rate has risen, with large batches in a later epoch.
    A degenerate trial is recorded, not tried again: hyperparameters that often give one are worse.
    Given a checkpoint that it has reported, the trial goes on after it.
    """
    number, generation, hparams, bars = planned
    best = best_so_far(row["val_loss"] for row in checkpoint.history) if checkpoint else []

    def on_epoch(checkpoint: Checkpoint) -> None:
        best[:] = best_so_far(row["val_loss"] for row in checkpoint.history)
        report(checkpoint)

    train, val = images_of(data)
    architecture = Architecture(train.shape[-1], hparams.channels, hparams.units)
    build = partial(Autoencoder, hparams.latent_dim, hparams.dropout, architecture)
    model = initialised(seed, build, brightness(data))
    recipe = Recipe(
        hparams.optimizer, hparams.lr, hparams.batch_size, len(bars), patience=len(bars)
    )
    warm = recipe.warm_epoch(len(train))
    try:
        history = fit(
            model,
            reconstruction,
            Pairs(train, train),
            Pairs(val, val),
            recipe,
            seed,
            stop=lambda history: len(history) >= warm and best[-1] > bars[len(history) - 1],
            checkpoint=checkpoint,
            on_epoch=on_epoch,
        )
    except DivergedError:
        return Trial(number, generation, hparams, FAILED, tuple(best))
    row = best_row(history)
    state = DEGENERATE if has_dead_layer(row) else final_state(best, bars, constant_mse(data))
    return Trial(number, generation, hparams, state, tuple(best), live_neurons(model, row))


def constant_mse(data: TrainingData) -> float:
    """The validation MSE of the mean image: what a trial must beat."""
    return reconstruction.constant_loss(data.train_images, data.val_images)


def final_state(best: Sequence[float], bars: Sequence[float], constant_mse: float) -> str:
    """How a trial with finite losses ended."""
    if best[-1] >= constant_mse:
        return DEGENERATE
    return COMPLETE if len(best) == len(bars) else PRUNED


def best_trial(trials: Sequence[Trial]) -> Trial:
    """The complete trial of the least validation MSE. Raises UserError when none is complete."""
    complete = [trial for trial in trials if trial.state == COMPLETE]
    if not complete:
        states = ", ".join(sorted({trial.state for trial in trials}))
        raise UserError(
            f"none of the {len(trials)} trials is complete ({states}): no hyperparameters to go on "
            "with. Raise tune.epochs and tune.pruning_warmup, above all with few images (their "
            "learning rate rises over the first steps), or widen tune.space in params.yaml."
        )
    return min(complete, key=lambda trial: trial.value)


def conclude(trials: Sequence[Trial], params: TuneParams) -> tuple[Hyperparameters, Row]:
    """The hyperparameters to go on with, and how they were found; else the original report's."""
    if params.trials == 0:
        report = hyperparameters_of(in_optunas_terms(params.report_hyperparameters))
        return report, {"found_by": "original report"}
    best = best_trial(trials)
    return best.hparams, {"found_by": "search", "trial": best.number, "val_mse": best.value}


def columns(epochs: int) -> list[str]:
    """The names of the table of trials' columns."""
    hparams = [field.name for field in fields(Hyperparameters)]
    by_epoch = [f"val_mse_{epoch}" for epoch in range(1, epochs + 1)]
    return ["trial", "generation", "state", "val_mse", "epochs", "live_units", *hparams, *by_epoch]


def table(trials: Sequence[Trial]) -> list[Row]:
    """A row a trial: hyperparameters, how it ended, and the best validation MSE up to each
    epoch."""
    return [
        {
            "trial": trial.number,
            "generation": trial.generation,
            "state": trial.state,
            "val_mse": trial.value if trial.val_mse else None,
            "epochs": len(trial.val_mse),
            "live_units": trial.live_units,
            **asdict(trial.hparams) | {"channels": joined(trial.hparams.channels)},
            **{f"val_mse_{epoch}": mse for epoch, mse in enumerate(trial.val_mse, start=1)},
        }
        for trial in trials
    ]
