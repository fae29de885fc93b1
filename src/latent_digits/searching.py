"""The search's trials, run by workers side by side, shown as they end and logged."""

from collections.abc import Sequence
from typing import Any

from latent_digits.console import Board
from latent_digits.digits import Digits, constant_mse
from latent_digits.params import TuneParams
from latent_digits.seeds import seed_for
from latent_digits.tracking import StageRun
from latent_digits.tuning import Asked, Trial, run_trial, search
from latent_digits.workers import local_workers


def run_search(digits: Digits, params: TuneParams, seed: int, run: StageRun) -> list[Trial]:
    """The table of trials, each trained by a worker."""
    with local_workers(most=params.generation) as workers, Board("tune", unit="trial") as board:
        shared = workers.share(digits)
        board.begin("search", params.trials)
        done: list[Trial] = []

        def evaluate(generation: Sequence[Asked]) -> list[Trial]:
            calls = {
                str(asked.number): (run_trial, shared, asked, seed_of(seed, asked))
                for asked in generation
            }
            return [show(trial) for _, trial in workers.run(calls, ignore)]

        def show(trial: Trial) -> Trial:
            done.append(trial)
            best = min(done, key=lambda trial: trial.value)
            note = f"best val MSE {best.value:.5f} (trial {best.number})  last {trial.state}"
            board.advance("search", len(done), params.trials, note)
            if trial.val_mse:
                run.metrics({"trial": {"val_mse": trial.value}}, step=trial.number)
            return trial

        trials = search(evaluate, params, constant_mse(digits), seed)
        board.end("search", f"{len(trials)} trials")
        return trials


def seed_of(seed: int, asked: Asked) -> int:
    return seed_for(seed, "trial", asked.number)


def ignore(name: str, event: Any) -> None:
    """Trials report each epoch; the board shows whole trials."""
