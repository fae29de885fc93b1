"""The search's trials, run by workers side by side, shown as they end and logged."""

from collections.abc import Sequence

from latent_digits.console import Board, say
from latent_digits.data.resume_cache import Store
from latent_digits.data.storage import Row
from latent_digits.project.params import TuneParams
from latent_digits.search.sampler import Asked, Trial, constant_mse, run_trial, search, table
from latent_digits.seeds import seed_for
from latent_digits.tracking.stage_run import StageRun
from latent_digits.training.checkpoint import Checkpoint
from latent_digits.training.digits import Digits
from latent_digits.training.resuming import Resuming
from latent_digits.training.workers import side_by_side, workers


def run_search(digits: Digits, params: TuneParams, seed: int, run: StageRun) -> list[Trial]:
    """The table of trials, each trained by a worker; what a killed search had finished is kept."""
    count = side_by_side(params.generation)
    with Store("tune", digits) as store, workers(count) as crew, Board("tune", "trial") as board:
        shared = crew.share(digits)
        board.begin("search", params.trials)
        done: list[Trial] = []

        def evaluate(generation: Sequence[Asked]) -> list[Trial]:
            states = {str(asked.number): TrialState(store, asked, seed) for asked in generation}
            ended = [state.result for state in states.values() if state.result]
            for trial in ended:
                show(trial)
            if ended:
                say(f"tune: {len(ended)} of trials {span(generation)} were finished before")
            calls = {
                name: (run_trial, shared, state.asked, state.seed, state.resuming.latest)
                for name, state in states.items()
                if not state.result
            }
            for name, trial in crew.run(calls, lambda name, event: states[name].advance(event)):
                states[name].finish(trial)
                show(trial)
                ended.append(trial)
            return ended

        def show(trial: Trial) -> None:
            done.append(trial)
            best = min(done, key=lambda trial: trial.value)
            note = f"best val MSE {best.value:.5f} (trial {best.number})  last {trial.state}"
            board.advance("search", len(done), params.trials, note)
            run.trial(table([trial])[0])
            if trial.val_mse:
                run.metrics({"trial": {"val_mse": trial.value}}, step=trial.number)

        trials = search(evaluate, params, constant_mse(digits), seed)
        board.end("search", f"{len(trials)} trials")
        store.keep(*(f"trial-{trial.number}" for trial in trials))
        return trials


class TrialState:
    """What is stored of a trial: how far it came, then how it ended."""

    def __init__(self, store: Store, asked: Asked, seed: int):
        self.asked = asked
        self.seed = seed_for(seed, "trial", asked.number)
        name = f"trial-{asked.number}"
        self.slot = store.slot(name, asked, self.seed)
        self.resuming = Resuming(store.slot(f"{name}-epochs", asked, self.seed))
        found = self.slot.load()
        self.result = found and trial_of(asked, found[1])

    def advance(self, checkpoint: Checkpoint) -> None:
        self.resuming.save(checkpoint)

    def finish(self, trial: Trial) -> None:
        self.slot.save({}, about(trial))
        self.resuming.slot.clear()


def about(trial: Trial) -> Row:
    """How a trial ended."""
    return {"state": trial.state, "val_mse": trial.val_mse, "live_units": trial.live_units}


def trial_of(asked: Asked, about: Row) -> Trial:
    """The inverse of `about`."""
    number, generation, design, _ = asked
    values = tuple(about["val_mse"])
    return Trial(number, generation, design, about["state"], values, about["live_units"])


def span(generation: Sequence[Asked]) -> str:
    return f"{generation[0].number} to {generation[-1].number}"
