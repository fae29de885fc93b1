"""What a study does, in small and on made-up images: `python tests/golden.py` prints its digests.

Those in `golden.json` hold on every x86-64 processor with AVX2; `--write` makes that file anew,
after a change that moves numbers. Nothing comes from the network or from `params.yaml`.
"""

import latent_digits  # noqa: F401, I001  (before NumPy, as in a stage)

import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from latent_digits import engine
from latent_digits.arithmetic import in_force, one_thread
from latent_digits.study.noise import Noise
from latent_digits.data.dataset import Dataset
from latent_digits.training.training_data import TrainingData, training_data_of
from latent_digits.evaluation.measures import Evaluation, evaluation_of, latents
from latent_digits.report.figures.curves import Curve, Panel, learning_curves
from latent_digits.report.figures.drawing import Drawing, draw
from latent_digits.report.dataset_info import DatasetInfo
from latent_digits.report.figures.planes import Points, scattered
from latent_digits.data.fingerprint import fingerprint
from latent_digits.preparation.collection import DIGITS, Collection, Labelled
from latent_digits.project.params import TuneParams
from latent_digits.evaluation.arrays import interpolation, noise_panel, projections
from latent_digits.preparation.splits import draw_splits
from latent_digits.training.loop import Recipe
from latent_digits.study.trainings import (
    AutoencoderTraining,
    ClassifierTraining,
    HeadTraining,
    Trained,
    VaeTraining,
)
from latent_digits.search.sampler import PlannedTrial, Trial, run_trial, search, table
from latent_digits.models.architecture import REPORTS
from latent_digits.models.weights import build

GOLDEN = Path(__file__).with_name("golden.json")
SEED, Z, HIDDEN = 7, 5, 16
NOISE = Noise(0.5, 0.3, 0.05, 0.5)
RECIPE = Recipe("adam", 5e-3, 48, epochs=2, patience=2)
SEARCH = {
    "trials": 60,
    "generation": 10,
    "startup_trials": 10,
    "pruning_warmup": 1,
    "pruning_peers": 2,
    "epochs": 3,
    "space": {
        "latent_dim": {"low": 2, "high": 50},
        "optimizer": ["adam", "sgd"],
        "lr": {"low": 1e-5, "high": 1e-2},
        "batch_size": [32, 64],
        "dropout": {"low": 0.0, "high": 1.0},
        "channels": [[8, 16, 32]],
        "units": [64],
    },
    "report_hyperparameters": {
        "latent_dim": 33,
        "optimizer": "adam",
        "lr": 5.41e-3,
        "batch_size": 32,
        "dropout": 1.19e-3,
        "channels": [8, 16, 32],
        "units": 64,
    },
}


def images(count: int, labels: np.ndarray, seed: int) -> np.ndarray:
    """Ten patterns under noise, uint8: whole numbers only, the same everywhere."""
    patterns = np.random.default_rng(0).integers(0, 256, (10, 28, 28), dtype=np.int64)
    noise = np.random.default_rng(seed).integers(0, 256, (count, 28, 28), dtype=np.int64)
    return ((3 * patterns[labels] + noise) // 4).astype(np.uint8)


def sets() -> tuple[Dataset, Dataset, Dataset]:
    """A made-up data set, split as `prepare` does."""
    labels = [np.arange(count) * 7 % 10 for count in (500, 60)]
    parts = (Labelled(images(len(one), one, n), one) for n, one in enumerate(labels, 1))
    return draw_splits(
        Collection("made up", DIGITS, *parts), train=300, val=150, test=50, stratify=True, seed=SEED
    )


def nothing(event: Any) -> None:
    pass


def trainings(training_data: TrainingData) -> dict[str, Trained]:
    """Each of the study's trainings, for two epochs."""
    common: Any = {"latent_dim": Z, "recipe": RECIPE, "seed": SEED}
    autoencoder = AutoencoderTraining(**common, dropout=0.1)
    ae = autoencoder(training_data, None, nothing)
    encoder = {
        name.removeprefix("encoder."): array
        for name, array in ae.weights.items()
        if name.startswith("encoder.")
    }
    others = {
        "denoiser": replace(autoencoder, noise=NOISE),
        "vae": VaeTraining(**common),
        "classifier": HeadTraining(**common, hidden=HIDDEN, encoder_weights=encoder),
        "classifier_end_to_end": ClassifierTraining(**common, hidden=HIDDEN, dropout=0.1),
    }
    return {"ae": ae} | {name: one(training_data, None, nothing) for name, one in others.items()}


def invented(planned: PlannedTrial) -> Trial:
    """A trial that costs nothing; its value comes of sums and products, which have one rounding."""
    value = abs(planned.hparams.dropout - 0.1) + planned.hparams.lr + 1 / planned.hparams.latent_dim
    best = tuple(value * (1 + 1 / (epoch + 1)) for epoch in range(len(planned.bars)))
    return Trial(planned.number, planned.generation, planned.hparams, "complete", best)


def trials(training_data: TrainingData) -> list[Trial]:
    """A search of which the first two trials are trained, the others invented."""

    def evaluate(generation: Sequence[PlannedTrial]) -> list[Trial]:
        return [
            run_trial(training_data, one, SEED, None, nothing) if one.number < 2 else invented(one)
            for one in generation
        ]

    return search(evaluate, TuneParams.model_validate(SEARCH), math.inf, SEED)


def loaded(trained: Trained, **about: Any) -> Any:
    about = {"latent_dim": Z, "hidden": HIDDEN, "classes": 10, **asdict(REPORTS), **about}
    network = build(about)
    network.load_state_dict({k: torch.from_numpy(v) for k, v in trained.weights.items()})
    return engine.accelerate(network).eval()


def measures(evaluation: Evaluation, found: dict[str, Trained]) -> dict[str, Any]:
    """What `evaluate` measures and projects."""
    ae, vae = (
        loaded(found["ae"], model="autoencoder"),
        loaded(found["vae"], model="variational_autoencoder"),
    )
    classifier = loaded(found["classifier"], model="classifier")
    z = latents(ae, evaluation.val.images)
    pixels = evaluation.val.images.flatten(1)[:, 300:333].numpy().astype(np.float32)
    return {
        "metrics": [
            evaluation.summary(one)
            for one in (
                evaluation.autoencoder(ae),
                evaluation.pca(Z),
                evaluation.denoiser(loaded(found["denoiser"], model="autoencoder"), NOISE, NOISE),
                evaluation.vae(vae, 0.01),
                evaluation.classifier(classifier, 1),
            )
        ],
        "arrays": [
            evaluation.confusion(classifier),
            interpolation(vae, evaluation.val, 7),
            noise_panel(evaluation.val.images[0], NOISE, SEED),
        ],
        "projections": projections(z, 10, SEED),
        # Of more than 15 columns scikit-learn finds neighbours in another way; the study has 33.
        "projections_33": projections(pixels, 10, SEED),
    }


def figures(found: dict[str, Trained], pca: np.ndarray, labels: np.ndarray) -> dict[str, str]:
    """Two figures' files, PNG and SVG."""
    curve = Curve("Z = 5", found["ae"].history, "loss", "black")
    points = Points(pca, labels, DatasetInfo("made up", DIGITS, 28))
    drawn = {
        "curves": lambda: learning_curves([Panel("title", "mean squared error", [curve])]),
        "scatter": lambda: scattered(points, ["one", "other"]),
    }
    with TemporaryDirectory() as folder:
        paths = {one: draw(Path(folder), Drawing(one, "", "", drawn[one]), 80) for one in drawn}
        return {
            name: hashlib.sha256(b"".join(path.read_bytes() for path in both)).hexdigest()
            for name, both in paths.items()
        }


def digests() -> dict[str, str]:
    """All of it, each part under its name."""
    train, val, test = sets()
    training_data = training_data_of(train, val)
    with one_thread(flush_denormals=True):  # as in a worker
        found = trainings(training_data)
        searched = table(trials(training_data))
    with one_thread():  # as in `evaluate`
        measured = measures(evaluation_of(train, val, test, SEED, 200), found)
    drawn = figures(found, measured["projections"]["pca"], val.labels)
    return {
        "split": train.digest,
        **{name: fingerprint(one.weights, one.history) for name, one in found.items()},
        "search": fingerprint(searched),
        **{name: fingerprint(value) for name, value in measured.items()},
        **{f"figure_{name}": digest for name, digest in drawn.items()},
    }


def main() -> None:
    found = digests()
    if "--write" in sys.argv:
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n")
    about = {
        "cores": len(os.sched_getaffinity(0)),
        "zone": time.tzname[0],
        "libraries": in_force(),
    }
    print(json.dumps({"digests": found, "about": about}))


if __name__ == "__main__":
    main()
