"""`make pruning`: what a search would have found and cost, had other rules given up its trials.

The searches of a few seeds are run whole, no trial given up: files of `benchmarks/results/searches`
which are kept, so that a seed is run once. Each rule then goes through the same trials in their
order, and sees of each as many epochs as it lets it have. (Under another rule TPE would have asked
for other trials; that is left out.) Writes `benchmarks/pruning.md` and a plot.
"""

import statistics
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import optuna
from optuna import pruners

from bench import HERE, SPLIT, machine
from latent_digits.console import ProgressDisplay, run_stage
from latent_digits.data.dataset import load_dataset
from latent_digits.data.storage import read_csv, write_csv
from latent_digits.project.params import TuneParams, load_params
from latent_digits.search.sampler import (
    COMPLETE,
    PlannedTrial,
    Trial,
    columns,
    constant_mse,
    final_state,
    hyperparameters_of,
    pruning_bars,
    run_trial,
    search,
    table,
)
from latent_digits.seeds import seed_for
from latent_digits.training.training_data import TrainingData, training_data_of
from latent_digits.training.workers import side_by_side, workers

SEEDS = (1, 2, 3)  # one that has no file yet takes three quarters of an hour of a core
SEARCHES = HERE / "results/searches"
OURS, NONE = "the best four (this project)", "none"
LINES = {
    OURS: {"color": "#222222", "linewidth": 2.5, "zorder": 3},
    NONE: {"color": "#888888", "linestyle": "--"},
}


class Outcome(NamedTuple):
    """What a rule let happen: the epochs that each trial had, its value, infinite if given up."""

    epochs: list[int]
    values: list[float]

    def best_after(self, epochs: int) -> float:
        """The least value of the trials that had ended by then."""
        ended = np.cumsum(self.epochs) <= epochs
        return min((v for v, there in zip(self.values, ended, strict=True) if there), default=inf)

    def epochs_to_best(self) -> int:
        return sum(self.epochs[: int(np.argmin(self.values)) + 1])


Rule = Callable[[Sequence[Trial], TuneParams, float], Outcome]


def to_the_end(trials: Sequence[Trial], params: TuneParams, constant: float) -> Outcome:
    return Outcome([len(trial.val_mse) for trial in trials], [value_of(trial) for trial in trials])


def of_the_best(peers: int) -> Rule:
    """This project's rule, with so many `tune.pruning_peers`."""

    def rule(trials: Sequence[Trial], params: TuneParams, constant: float) -> Outcome:
        ruled = params.model_copy(update={"pruning_peers": peers})
        done: list[Trial] = []
        for start in range(0, len(trials), params.generation):
            bars = pruning_bars(done, ruled, constant)
            done += [cut(trial, bars, constant) for trial in trials[start:][: params.generation]]
        return to_the_end(done, params, constant)

    return rule


def cut(trial: Trial, bars: Sequence[float], constant: float) -> Trial:
    """A whole trial, as far as the bars let it come."""
    for epoch, (value, bar) in enumerate(zip(trial.val_mse, bars, strict=False), start=1):
        if value > bar:
            seen = trial.val_mse[:epoch]
            return replace(trial, val_mse=seen, state=final_state(seen, bars, constant))
    return trial


def of_optuna(pruner: pruners.BasePruner) -> Rule:
    """One of Optuna's, which looks at every trial before, one after the other."""

    def rule(trials: Sequence[Trial], params: TuneParams, constant: float) -> Outcome:
        study = optuna.create_study(study_name="replay", pruner=pruner)  # Hyperband hashes it
        epochs, values = [], []
        for trial in trials:
            asked, seen = study.ask(), 0
            for seen, value in enumerate(trial.val_mse, start=1):
                asked.report(value, seen)
                if seen < params.epochs and asked.should_prune():
                    break
            whole = seen == len(trial.val_mse)
            state = optuna.trial.TrialState
            if whole and seen == params.epochs:
                study.tell(asked, trial.value)
            else:
                study.tell(asked, state=state.FAIL if whole else state.PRUNED)
            epochs.append(seen)
            values.append(value_of(trial) if whole else inf)
        return Outcome(epochs, values)

    return rule


def value_of(trial: Trial) -> float:
    return trial.value if trial.state == COMPLETE else inf


warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
# Optuna's with their defaults, and halving also as one would set it for trials of ten epochs.
RULES: dict[str, Rule] = {
    NONE: to_the_end,
    OURS: of_the_best(4),
    "the best two": of_the_best(2),
    "the best eight": of_the_best(8),
    "Optuna's MedianPruner": of_optuna(pruners.MedianPruner()),
    "Optuna's PercentilePruner, 25 %": of_optuna(pruners.PercentilePruner(25.0)),
    "Optuna's SuccessiveHalvingPruner": of_optuna(pruners.SuccessiveHalvingPruner()),
    "Optuna's SuccessiveHalvingPruner, from 1 epoch by 3": of_optuna(
        pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    ),
    "Optuna's HyperbandPruner": of_optuna(pruners.HyperbandPruner(max_resource=10)),
    "Optuna's WilcoxonPruner": of_optuna(pruners.WilcoxonPruner()),
}


def whole_search(data: TrainingData, params: TuneParams, seed: int) -> list[Trial]:
    """The search of a seed with no trial given up."""
    whole = params.model_copy(update={"pruning_warmup": params.epochs})
    base = seed_for(seed, "tune")
    with (
        workers(side_by_side(params.generation)) as pool,
        ProgressDisplay("pruning", "trial") as progress,
    ):
        shared, ended = pool.share(data), 0
        progress.begin(f"seed {seed}", params.trials)

        def evaluate(planned: Sequence[PlannedTrial]) -> list[Trial]:
            nonlocal ended
            found = []
            seeds = {one.number: seed_for(base, "trial", one.number) for one in planned}
            calls = {
                f"trial-{one.number}": (run_trial, shared, one, seeds[one.number], None)
                for one in planned
            }
            for _, trial in pool.run(calls, lambda name, event: None):
                found.append(trial)
                ended += 1
                progress.advance(f"seed {seed}", ended, params.trials, f"last {trial.state}")
            return found

        trials = search(evaluate, whole, constant_mse(data), base)
        progress.end(f"seed {seed}", f"{len(trials)} trials")
    return trials


def kept_search(data: TrainingData, params: TuneParams, seed: int) -> list[Trial]:
    """`whole_search`, from its file if there is one."""
    path = SEARCHES / f"{seed}.csv"
    if not path.exists():
        SEARCHES.mkdir(parents=True, exist_ok=True)
        write_csv(path, columns(params.epochs), table(whole_search(data, params, seed)))
    return [trial_of(row) for row in read_csv(path)]


def trial_of(row: dict) -> Trial:
    """The inverse of `table`, of one row."""
    whole = ("latent_dim", "batch_size", "units")
    hparams = {
        name: int(row[name]) if name in whole else row[name]
        for name in ("latent_dim", "optimizer", "lr", "batch_size", "dropout", "channels", "units")
    }
    values = tuple(
        row[name] for name in row if name.startswith("val_mse_") and row[name] is not None
    )
    number, generation = int(row["trial"]), int(row["generation"])
    return Trial(number, generation, hyperparameters_of(hparams), row["state"], values)


def page(outcomes: dict[str, list[Outcome]], trials: Sequence[Sequence[Trial]]) -> str:
    """What `benchmarks/pruning.md` says."""
    best = [min(map(value_of, found)) for found in trials]
    count, seeds = len(trials[0]), ", ".join(map(str, SEEDS))
    m = machine()
    lines = [
        "# What giving up trials saves",
        "",
        f"Written by `make pruning`, {m['date']}, at commit {m['commit']}: searches of {count} "
        "trials, none of them given up, through which each rule goes in their order. Seeds: "
        f"{seeds}; of several the median, with the least and the most. An epoch is a trial's on "
        "48,000 images. *Regret*: by how much the validation MSE of the best trial that a rule "
        "lets end is above that of the best of all. (Under another rule TPE would have asked for "
        "other trials; that is left out.) Searches are kept from when they were first run. "
        "Optuna's rules have its defaults but where something else is said; this project's was "
        "chosen on this space, for another seed.",
        "",
        "![Regret by epochs](results/pruning.svg)",
        "",
        "| trials given up by | epochs | regret | epochs when its best trial ended | ended |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, found in outcomes.items():
        regrets = [min(one.values) / least - 1 for one, least in zip(found, best, strict=True)]
        cells = [
            spread([sum(one.epochs) for one in found]),
            spread([100 * regret for regret in regrets], ".2f", " %"),
            spread([one.epochs_to_best() for one in found]),
            spread([sum(value < inf for value in one.values) for one in found]),
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def spread(values: Sequence[float], form: str = ".0f", unit: str = "") -> str:
    """median (least to most), of one seed its value"""
    low, middle, high = min(values), statistics.median(values), max(values)
    between = f" ({low:{form}} to {high:{form}})" if len(values) > 1 else ""
    return f"{middle:{form}}{between}{unit}"


def plot(outcomes: dict[str, list[Outcome]], best: Sequence[float], path: Path) -> None:
    """Regret by epochs, the median over seeds, of each rule until its search ends."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "pruning"
    figure, axis = plt.subplots(figsize=(8, 4))
    for name, found in outcomes.items():
        epochs = np.arange(10, max(sum(one.epochs) for one in found) + 1)
        of_seeds = [
            [100 * (one.best_after(n) / least - 1) for n in epochs]
            for one, least in zip(found, best, strict=True)
        ]
        line = {"linewidth": 1} | LINES.get(name, {})
        axis.plot(epochs, np.median(of_seeds, axis=0), label=name, **line)
    axis.set(xlabel="epochs trained, of all trials", ylabel="regret, %", xscale="log")
    axis.legend(fontsize=8, frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    params = load_params().tune
    sets = (load_dataset(SPLIT / f"{name}.safetensors") for name in ("train", "val"))
    data = training_data_of(*sets)
    trials = [kept_search(data, params, seed) for seed in SEEDS]
    constant = constant_mse(data)
    outcomes = {
        name: [rule(found, params, constant) for found in trials] for name, rule in RULES.items()
    }
    best = [min(map(value_of, found)) for found in trials]
    plot(outcomes, best, HERE / "results/pruning.svg")
    (HERE / "pruning.md").write_text(page(outcomes, trials), encoding="utf-8")


if __name__ == "__main__":
    run_stage(main)
