"""The search's trials, run by workers side by side, shown as they end and logged."""

from collections.abc import Sequence

from latent_digits.console import ProgressDisplay, say
from latent_digits.data.resume_cache import ResumeCache
from latent_digits.data.storage import Row
from latent_digits.project.params import TuneParams
from latent_digits.search.sampler import PlannedTrial, Trial, constant_mse, run_trial, search, table
from latent_digits.seeds import seed_for
from latent_digits.tracking.stage_run import StageRun
from latent_digits.training.checkpoint import Checkpoint
from latent_digits.training.checkpoint_file import CheckpointFile
from latent_digits.training.training_data import TrainingData
from latent_digits.training.workers import side_by_side, workers


def run_search(data: TrainingData, params: TuneParams, seed: int, run: StageRun) -> list[Trial]:
    """The table of trials, each trained by a worker; what a killed search had finished is kept."""
    count = side_by_side(params.generation)
    with (
        ResumeCache("tune", data) as cache,
        workers(count) as pool,
        ProgressDisplay("tune", "trial") as progress,
    ):
        shared = pool.share(data)
        progress.begin("search", params.trials)
        done: list[Trial] = []

        def evaluate(generation: Sequence[PlannedTrial]) -> list[Trial]:
            stored = {
                str(planned.number): StoredTrial(cache, planned, seed) for planned in generation
            }
            ended = [one.result for one in stored.values() if one.result]
            for trial in ended:
                show(trial)
            if ended:
                say(f"tune: {len(ended)} of trials {span(generation)} were finished before")
            calls = {
                name: (run_trial, shared, one.planned, one.seed, one.checkpoint_file.latest)
                for name, one in stored.items()
                if not one.result
            }
            for name, trial in pool.run(calls, lambda name, event: stored[name].advance(event)):
                stored[name].finish(trial)
                show(trial)
                ended.append(trial)
            return ended

        def show(trial: Trial) -> None:
            done.append(trial)
            best = min(done, key=lambda trial: trial.value)
            note = f"best val MSE {best.value:.5f} (trial {best.number})  last {trial.state}"
            progress.advance("search", len(done), params.trials, note)
            run.trial(table([trial])[0])
            if trial.val_mse:
                run.metrics({"trial": {"val_mse": trial.value}}, step=trial.number)

        trials = search(evaluate, params, constant_mse(data), seed)
        progress.end("search", f"{len(trials)} trials")
        cache.keep_only(*(f"trial-{trial.number}" for trial in trials))
        return trials


class StoredTrial:
    """What is stored of a trial: how far it came, then how it ended."""

    def __init__(self, cache: ResumeCache, planned: PlannedTrial, seed: int):
        self.planned = planned
        self.seed = seed_for(seed, "trial", planned.number)
        name = f"trial-{planned.number}"
        self.slot = cache.slot(name, planned, self.seed)
        self.checkpoint_file = CheckpointFile(cache.slot(f"{name}-epochs", planned, self.seed))
        found = self.slot.load()
        self.result = found and trial_of(planned, found[1])

    def advance(self, checkpoint: Checkpoint) -> None:
        self.checkpoint_file.save(checkpoint)

    def finish(self, trial: Trial) -> None:
        self.slot.save({}, about(trial))
        self.checkpoint_file.slot.clear()


def about(trial: Trial) -> Row:
    """How a trial ended."""
    return {"state": trial.state, "val_mse": trial.val_mse, "live_units": trial.live_units}


def trial_of(planned: PlannedTrial, about: Row) -> Trial:
    """The inverse of `about`."""
    number, generation, hparams, _ = planned
    values = tuple(about["val_mse"])
    return Trial(number, generation, hparams, about["state"], values, about["live_units"])


def span(generation: Sequence[PlannedTrial]) -> str:
    return f"{generation[0].number} to {generation[-1].number}"
