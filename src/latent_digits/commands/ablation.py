"""What initial weights, warm-up, averaging, standardized latents and a given start are worth.

All on the validation set. `make ablation` trains an autoencoder with the original report's
hyperparameters from SEEDS seeds in each of CELLS, and heads on the last cell's encoders and on as
many untrained ones; and it searches as `tune` does, but from a start drawn at random.
`reports/ablation.json` grows by each training that ends, so that a killed run goes on; of other
code, data or parameters it begins anew. It is in git, and no stage's output: `plot` reads it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from latent_digits.console import ProgressDisplay, run_stage, say
from latent_digits.data.dataset import Dataset, load_dataset
from latent_digits.data.fingerprint import fingerprint
from latent_digits.data.resume_cache import code_of
from latent_digits.data.storage import Row, read_json, write_json
from latent_digits.models.architecture import Architecture
from latent_digits.models.networks import Autoencoder, Head
from latent_digits.models.objectives import classification, measure, reconstruction
from latent_digits.models.weights import arrays_of
from latent_digits.project.params import (
    Budget,
    Params,
    ReportHyperparameters,
    SearchSpace,
    load_params,
)
from latent_digits.project.provenance import read_study
from latent_digits.search.execution import about, trial_of
from latent_digits.search.sampler import (
    PlannedTrial,
    Trial,
    best_trial,
    constant_mse,
    hyperparameters_of,
    in_optunas_terms,
    run_trial,
    search,
)
from latent_digits.seeds import seed_for
from latent_digits.study.trainings import HeadTraining, Report, Task, features, trained
from latent_digits.study.variants import architecture_of, own_recipe, tuned_recipe
from latent_digits.training import ranks
from latent_digits.training.checkpoint import Checkpoint
from latent_digits.training.dead_units import dead_shares
from latent_digits.training.hyperparameters import Hyperparameters
from latent_digits.training.initialization import WEIGHTED, fan_in, initialised
from latent_digits.training.loop import Pairs, Recipe, best_row, best_so_far, fit
from latent_digits.training.training_data import (
    TrainingData,
    brightness,
    images_of,
    labels_of,
    training_data_of,
)
from latent_digits.training.workers import Workers, side_by_side, workers

FILE = Path("reports/ablation.json")
SEEDS = 4
EPOCHS = 25  # half of the study's
INITIAL = {  # weights, by name
    "PyTorch's": lambda seed, build, brightness: seeded(seed, build),
    "He's": lambda seed, build, brightness: hes(seeded(seed, build)),
    "this study's": initialised,
}
Training = Callable[[TrainingData, Report], Row]
CELLS = [{"initial": initial, "warmup": warmup} for initial in INITIAL for warmup in (200, 500)]


def main() -> None:
    params = load_params()
    train = load_dataset(Path("data/split/train.safetensors"))
    val = load_dataset(Path("data/split/val.safetensors"))
    hparams = hyperparameters_of(in_optunas_terms(params.tune.report_hyperparameters))
    trainings = all_trainings(hparams, params, train)
    used = {"seed": True, "tune": True, "finetune": {"hidden", "head"}}
    read = params.model_dump(include=used)
    code = Path(__file__).read_text(encoding="utf-8"), code_of("tune"), code_of("finetune")
    commit, dirty = read_study(Path.cwd()).commit
    before = read_json(FILE) if FILE.exists() else {}
    found = {
        "commit": commit[:7] + (" with changes" if dirty else ""),
        "inputs": fingerprint(*code, train.digest, read),
        "split": train.digest,
        "hyperparameters": asdict(hparams),
        "epochs": EPOCHS,
        "rows": {},
        "trials": {},
    }
    if before.get("inputs") == found["inputs"]:
        found = before
    missing = {name: one for name, one in trainings.items() if name not in found["rows"]}
    done = len(found["rows"])
    with (
        workers(side_by_side(len(trainings))) as pool,
        ProgressDisplay("ablation", "training") as progress,
    ):
        data = training_data_of(train, val)
        shared = pool.share(data)
        progress.begin("seeds", len(trainings), done)
        calls = {name: (one, shared) for name, one in missing.items()}
        for name, row in pool.run(calls, lambda name, event: None):
            rows = found["rows"] | {name: row}
            found["rows"] = {name: rows[name] for name in trainings if name in rows}
            write_json(FILE, found)
            progress.advance("seeds", len(rows), len(trainings), name)
        if params.tune.trials:
            progress.begin("search", params.tune.trials, len(found["trials"]))
            best = searched(pool, shared, params, constant_mse(data), found, progress)
            found["search"] = {"trial": best.number, "val_mse": best.value, **asdict(best.hparams)}
            write_json(FILE, found)
    say(f"ablation: {len(trainings)} trainings, {done} of them from before; see {FILE}.")


def searched(
    pool: Workers,
    shared: Any,
    params: Params,
    constant_mse: float,
    found: Row,
    progress: ProgressDisplay,
) -> Trial:
    """The best trial of a search from a start drawn at random; `found` gets and has its trials."""
    seed = seed_for(params.seed, "ablation", "search")
    start = drawn_start(params.tune.space, np.random.default_rng(seed_for(seed, "start")))

    def evaluate(generation: Sequence[PlannedTrial]) -> list[Trial]:
        done, planned = found["trials"], {str(one.number): one for one in generation}
        ended = [trial_of(one, done[name]) for name, one in planned.items() if name in done]
        calls = {
            name: (run_trial, shared, one, seed_for(seed, "trial", one.number), None)
            for name, one in planned.items()
            if name not in done
        }
        for name, trial in pool.run(calls, lambda name, event: None):
            done = done | {name: about(trial)}
            found["trials"] = {name: done[name] for name in sorted(done, key=int)}
            write_json(FILE, found)
            progress.advance("search", len(done), params.tune.trials, f"trial {name}")
            ended.append(trial)
        return ended

    tune = params.tune.model_copy(update={"report_hyperparameters": start})
    return best_trial(search(evaluate, tune, constant_mse, seed))


def drawn_start(space: SearchSpace, rng: np.random.Generator) -> ReportHyperparameters:
    """Hyperparameters from anywhere in the space, the learning rate log-uniform."""
    low, high = math.log(space.lr.low), math.log(space.lr.high)
    return ReportHyperparameters(
        latent_dim=int(rng.integers(space.latent_dim.low, space.latent_dim.high + 1)),
        optimizer=space.optimizer[rng.integers(len(space.optimizer))],
        lr=min(math.exp(rng.uniform(low, high)), space.lr.high),
        batch_size=space.batch_size[rng.integers(len(space.batch_size))],
        dropout=rng.uniform(space.dropout.low, space.dropout.high),
        channels=space.channels[rng.integers(len(space.channels))],
        units=space.units[rng.integers(len(space.units))],
    )


def all_trainings(hparams: Hyperparameters, params: Params, data: Dataset) -> dict[str, Training]:
    """What gives each row of the file, by the rows' names."""
    recipe = tuned_recipe(hparams, Budget(epochs=EPOCHS, patience=EPOCHS))
    trainings: dict[str, Training] = {}
    for n in range(1, SEEDS + 1):
        seed = seed_for(params.seed, "ablation", n)
        head = HeadTraining(
            latent_dim=hparams.latent_dim,
            architecture=architecture_of(hparams, data),
            hidden=params.finetune.hidden,
            classes=len(data.classes),
            encoder_weights=None,
            recipe=own_recipe(params.finetune.head),
            seed=seed,
        )
        for cell in CELLS:
            name = f"{cell['initial']}, {cell['warmup']} steps, seed {n}"
            on_it = head if cell is CELLS[-1] and data.classes else None
            trainings[name] = InCell(hparams, recipe, seed, cell, on_it)
        if data.classes:
            trainings[f"untrained encoder, seed {n}"] = OnUntrainedEncoder(head)
    return trainings


@dataclass(frozen=True)
class InCell:
    """The autoencoder in a cell: the best validation MSE up to each epoch, who is dead, and what a
    `head` on its encoder reaches.
    """

    hparams: Hyperparameters
    recipe: Recipe
    seed: int
    cell: Row
    head: HeadTraining | None = None

    def __call__(self, data: TrainingData, report: Report) -> Row:
        train, val = images_of(data)
        hparams = self.hparams
        architecture = Architecture(train.shape[-1], hparams.channels, hparams.units)
        build = partial(Autoencoder, hparams.latent_dim, hparams.dropout, architecture)
        model = INITIAL[self.cell["initial"]](self.seed, build, brightness(data))
        without: list[float] = []

        def measure_without_average(checkpoint: Checkpoint) -> None:
            values = measure(model, reconstruction, val, val, self.seed)["loss"]
            without.append(values.double().mean().item())

        history = fit(
            model,
            reconstruction,
            Pairs(train, train),
            Pairs(val, val),
            replace(self.recipe, warmup=self.cell["warmup"]),
            self.seed,
            on_epoch=measure_without_average,
        )
        row = {
            **self.cell,
            "val_mse": best_so_far([row["val_loss"] for row in history]),
            "val_mse_without_average": best_so_far(without),
            "dead": dead_shares(best_row(history)),
        }
        if self.head is None:
            return row
        encoder = arrays_of(model.get_submodule("encoder"))
        return row | {
            "heads": accuracies(data, replace(self.head, encoder_weights=encoder), report)
        }


@dataclass(frozen=True)
class OnUntrainedEncoder:
    """The head on another untrained encoder."""

    head: HeadTraining

    def __call__(self, data: TrainingData, report: Report) -> Row:
        return {"heads": accuracies(data, self.head, report)}


def accuracies(data: TrainingData, head: HeadTraining, report: Report) -> Row:
    """A head's validation accuracy, trained on standardized latents and on latents as they come."""
    standardized = head(data, None, report)
    encoder = head.encoder(brightness(data)).to(ranks.current().device)
    train, val = (
        Pairs(features(encoder, images), labels)
        for images, labels in zip(images_of(data), labels_of(data), strict=True)
    )
    task = Task(classification, train, val, brightness(data))
    build = partial(Head, head.latent_dim, head.hidden, head.classes)
    raw = trained(build, task, head.recipe, head.seed, None, report)
    found = {"standardized": standardized, "raw": raw}
    return {name: best_row(one.history)["val_accuracy"] for name, one in found.items()}


def seeded(seed: int, build: Callable[[], nn.Module]) -> nn.Module:
    """What `build` makes, with PyTorch's own initial weights."""
    torch.manual_seed(seed_for(seed, "init"))
    return build()


@torch.no_grad()
def hes(model: nn.Module) -> nn.Module:
    """The weights of He et al. 2015 and no bias, in every layer."""
    for layer in model.modules():
        if isinstance(layer, WEIGHTED):
            bound = math.sqrt(6 / fan_in(layer))
            layer.weight.uniform_(-bound, bound)
            layer.bias.zero_()  # pyright: ignore[reportOptionalMemberAccess]
    return model


if __name__ == "__main__":
    run_stage(main)
