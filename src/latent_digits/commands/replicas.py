"""The study's models again under other seeds: `make replicas N=5`.

The hyperparameters, the data and the test's noise stay; initial weights, batches, dropout and
training noise are drawn anew from the seeds 1, 2, … without the study's own. All of them are one
pool of work, so every worker is busy, and a killed run goes on. `reports/replicas.json` grows by
each seed; of another recipe it begins anew. It is in git, and no stage's output: `make compare`
reads it.
"""

import argparse
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from latent_digits.arithmetic import one_thread
from latent_digits.console import ProgressDisplay, UserError, run_stage, say
from latent_digits.data.dataset import Dataset, load_dataset
from latent_digits.data.resume_cache import FOLDER, ResumeCache
from latent_digits.data.storage import Arrays, Row, read_json, write_json
from latent_digits.evaluation.measures import evaluation_of
from latent_digits.evaluation.metrics import Models, headlines, measured
from latent_digits.models.weights import build
from latent_digits.project.params import Params, load_params
from latent_digits.project.provenance import Study, flatten, read_study
from latent_digits.project.replicas import (
    DETAILS,
    FILE,
    gives_the_same,
    read_replicas,
    recipe_of,
    summary,
)
from latent_digits.study.execution import run_trainings
from latent_digits.study.trainings import Report, Trained, Training
from latent_digits.study.variants import autoencoders, classifiers, denoisers, vaes
from latent_digits.training.hyperparameters import load_hyperparameters
from latent_digits.training.training_data import TrainingData, training_data_of
from latent_digits.training.workers import side_by_side, workers

Sets = tuple[Dataset, Dataset, Dataset]  # train, val, test
Named = dict[str, Training]
MOST = 1000


class ReplicasCache(ResumeCache):
    """What a killed run goes on from, beside the stages' own; the code is that of training."""

    def __init__(self, part: str, *inputs: Any):
        super().__init__("finetune", *inputs)
        self.stage, self.folder = "replicas", FOLDER / "replicas" / part

    def keep_only(self, *names: str) -> None:
        """Nothing is deleted: another way of measuring needs the trainings of every seed again."""


def main() -> None:
    number = number_of_seeds()
    params, study = load_params(), read_study(Path.cwd())
    require_current(study)
    train, val, test = (
        load_dataset(Path(f"data/split/{name}.safetensors")) for name in ("train", "val", "test")
    )
    hparams = load_hyperparameters(Path("reports/hyperparameters.json"), train)
    found = {**begun(study), "split": train.digest}
    seeds = seeds_beside(params.seed, number)
    missing = [seed for seed in seeds if str(seed) not in found["rows"]]
    say(f"replicas: seeds {seeds[0]} to {seeds[-1]}, of which {len(missing)} are to be trained.")
    if not missing:
        write_json(FILE, found)
    else:
        data = training_data_of(train, val)
        plans = {
            seed: autoencoders(hparams, params.train_ae, seed, train)
            | denoisers(hparams, params.train_denoise, params.noise.as_described, seed, train)
            | vaes(hparams, params.train_vae, seed, train)
            for seed in missing
        }
        models = trained("first", data, plans, params)
        heads = {
            seed: classifiers(hparams, encoder_of(models[seed]["ae"]), params.finetune, seed, train)
            for seed in missing
            if train.classes
        }
        for seed, classified in trained("heads", data, heads, params).items():
            models[seed] |= classified
        for seed, row in rows_of(models, (train, val, test), params):
            rows = found["rows"] | {str(seed): row}
            found["rows"] = {one: rows[one] for one in sorted(rows, key=int)}
            found["summary"] = summary([one["metrics"] for one in found["rows"].values()])
            write_json(FILE, found)
    say(f"replicas: {FILE} holds {len(found['rows'])} seeds beside the study's own.")


def number_of_seeds() -> int:
    parser = argparse.ArgumentParser(prog="replicas", description="The study under other seeds.")
    parser.add_argument("number", help="how many seeds, beside the study's own")
    text = parser.parse_args().number
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise UserError(f"N is {text!r}; it should be a number of seeds, 1 to {MOST}.")
    return int(text)


def seeds_beside(own: int, number: int) -> list[int]:
    """The first numbers from 1 on that are not the study's own seed."""
    return list(islice((seed for seed in count(1) if seed != own), number))


def require_current(study: Study) -> None:
    """Raise UserError unless split and hyperparameters are of the code and parameters here."""
    current = study.made({})
    if stale := [stage for stage in ("prepare", "tune") if stage not in current]:
        raise UserError(
            f"{' and '.join(stale)} has results of other code or parameters than those here, and "
            "replicas keep split and hyperparameters; run `dvc repro tune` first."
        )


def begun(study: Study) -> Row:
    """What the file holds of this recipe, or the beginning of it."""
    recipe = recipe_of(study)
    if FILE.exists():
        known = read_replicas(FILE)
        if known.recipe == recipe:
            return read_json(FILE)
        if gives_the_same(study, known.commit):
            say(f"replicas: other code, but the models of {known.commit}: its seeds are kept.")
            names = {key.partition(".")[0] for row in known.rows.values() for key in row.details}
            if new := sorted(
                {one.partition("/")[0] for one in {*read_json(Path(DETAILS))} - names}
            ):
                say(
                    f"replicas: they have no {', '.join(new)}, which the study had not then; "
                    f"delete {FILE} to train every seed anew."
                )
            return read_json(FILE) | {"recipe": recipe}
    commit, dirty = study.commit
    name = commit[:7] + (" with changes" if dirty else "")
    return {"commit": name, "recipe": recipe, "summary": {}, "rows": {}}


def trained(
    part: str, data: TrainingData, plans: dict[int, Named], params: Params
) -> dict[int, dict[str, tuple[Arrays, Row]]]:
    """Each seed's models by name, weights and description, from one pool of trainings."""
    flat = {f"seed{seed}_{name}": one for seed, plan in plans.items() for name, one in plan.items()}
    cache = ReplicasCache(part, data)
    results = run_trainings(cache, data, flat, params.fabric, lambda values, epoch: None)
    return {
        seed: {name: described(results[f"seed{seed}_{name}"], one) for name, one in plan.items()}
        for seed, plan in plans.items()
    }


def described(result: Trained, training: Training) -> tuple[Arrays, Row]:
    trainable = result.trainable_parameters
    return result.weights, training.about | {"trainable_parameters": trainable}


def encoder_of(autoencoder: tuple[Arrays, Row]) -> Arrays:
    weights, _ = autoencoder
    return {
        name.removeprefix("encoder."): value
        for name, value in weights.items()
        if name.startswith("encoder.")
    }


def rows_of(models: dict[int, dict[str, tuple[Arrays, Row]]], sets: Sets, params: Params) -> Any:
    """(seed, row of the file) as they are measured."""
    with (
        workers(side_by_side(len(models))) as pool,
        ProgressDisplay("replicas", "seed") as progress,
    ):
        shared = pool.share(sets)
        progress.begin("measured", len(models))
        calls = {str(seed): (row_of, shared, one, params) for seed, one in models.items()}
        for done, (seed, row) in enumerate(pool.run(calls, lambda name, event: None), 1):
            progress.advance("measured", done, len(models), f"seed {seed}")
            yield int(seed), row


def row_of(
    sets: Sets, models: dict[str, tuple[Arrays, Row]], params: Params, report: Report
) -> Row:
    """What `evaluate` would measure of these models."""
    networks = {}
    for name, (weights, about) in models.items():
        network = build(about)
        network.load_state_dict({key: torch.from_numpy(one) for key, one in weights.items()})
        networks[name] = network.eval()
    loaded = Models(networks, {name: about for name, (_, about) in models.items()})
    with one_thread():
        evaluation = evaluation_of(*sets, params.evaluate.seed, params.evaluate.bootstrap_resamples)
        found = dict(measured(evaluation, loaded, params))
    means = {key: float(np.mean(value)) for key, value in flatten(found)}
    return {"metrics": headlines(found), "details": means}


if __name__ == "__main__":
    run_stage(main)
