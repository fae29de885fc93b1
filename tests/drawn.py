"""A made-up study of any data set, as the figures read it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from latent_digits.catalogue import MODELS
from latent_digits.report.dataset_info import DIGITS
from latent_digits.report.figures.drawing import Study

POINTS = 60
FASHION = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
LEVELS = {"gaussian_mean": 0.5, "salt_pepper": 0.05, "speckle_variance": 0.5}
NOISE = {
    name: {**LEVELS, "gaussian_variance": variance}
    for name, variance in (("figure_3", 0.05), ("as_described", 0.3))
}
LINEAR = {"layer": "Linear", "shape": [5], "parameters": 30, "then": ["ReLU", "Dropout"]}
CONVOLUTION = {"layer": "Conv2d", "shape": [8, 14, 14], "parameters": 80, "then": ["ReLU"]}
LAYERS = [
    {"layer": "input", "shape": [1, 28, 28], "then": []},
    {**CONVOLUTION, "kernel": 3, "stride": 2},
    {**LINEAR, "kernel": None, "stride": None},
]


def about(value: float) -> dict[str, float]:
    return {"value": value, "low": 0.98 * value, "high": 1.01 * value, "count": 40}


EVIDENCE = {
    "latent_dim/tuned": {"value": 5},
    **{f"mse/ae/{z}": about(0.08 / z) for z in (2, 4, 5)},
    **{f"mse/pca/{z}": about(0.1 / z) for z in (2, 4)},
    **{
        f"labels/{count}/{way}": about(share)
        for count, shares in {10: (0.5, 0.6, 0.7), 1000: (0.8, 0.9, 0.95)}.items()
        for way, share in zip(("untrained", "end_to_end", "pretrained"), shares, strict=True)
    },
}


def study(
    name: str = "MNIST", classes: Sequence[str] = DIGITS, size: int = 28, **changes: Any
) -> Study:
    """A study of these classes, or with none as one without labels."""
    arrays = images(size) | numbers(len(classes))
    facts = {
        "data": {"name": name, "classes": list(classes), "size": size},
        "path": {"from": classes[0], "to": classes[-1]} if classes else {},
        "layers": {"encoder": LAYERS, "decoder": [{**LAYERS[0], "shape": [5]}, *LAYERS[1:]]},
        "parameters": {"ae": 220, "vae": 250},
        "noise": NOISE,
        "denoising": {"images": 40, "misread": {"clean": 1, "noisy": 30, "denoised": 4}},
    }
    trials = [trial(0, "complete", 0.01), trial(1, "complete", 0.02), trial(2, "pruned", 0.05)]
    trials += [trial(3, "degenerate", 0.09), trial(4, "failed", None)]
    histories = {name: history() for name in MODELS}
    hparams = {"latent_dim": 5, "dropout": 0.01}
    if not classes:
        arrays = {key: one for key, one in arrays.items() if not is_of_labels(key)}
        histories = {key: one for key, one in histories.items() if "classifier" not in key}
    return replace(Study(arrays, facts, hparams, trials, histories, EVIDENCE, 1.0, 50), **changes)


def is_of_labels(name: str) -> bool:
    """Whether `evaluate` has no such array where there are no labels."""
    whole = name in ("classifier.confusion", "val.labels")
    return whole or name.startswith("denoiser.failed") or name.endswith(("_read", "_label"))


def images(size: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    counts = dict.fromkeys(("ae.input", "ae.output", "vae.output"), 9)
    counts |= dict.fromkeys(("noise.figure_3", "noise.as_described"), 5)
    counts |= {"path.ae": 7, "path.vae": 7, "vae.prior": 64}
    for name in ("clean", "noisy", "denoised"):
        counts |= {f"denoiser.typical_{name}": 9, f"denoiser.failed_{name}": 4}
    found = {name: rng.random((count, size, size), np.float32) for name, count in counts.items()}
    return found | {f"{name}.grid": rng.random((3, 3, size, size)) for name in ("ae_2d", "vae_2d")}


def numbers(classes: int) -> dict[str, np.ndarray]:
    rng, some = np.random.default_rng(1), max(classes, 1)
    planes = ("ae.pca", "ae.tsne", "ae_2d.z", "vae_2d.z")
    return {
        **{name: rng.normal(size=(POINTS, 2)) for name in planes},
        **{f"{name}.window": np.array([[-2.0, 2.0], [-2.0, 2.0]]) for name in ("ae_2d", "vae_2d")},
        "ae.variance_shares": np.array([0.4, 0.3, 0.15, 0.1, 0.05]),
        "denoiser.typical_label": np.arange(9) % some,
        "denoiser.typical_read": np.arange(9) % some,
        "denoiser.failed_label": np.arange(4) % some,
        "denoiser.failed_read": (np.arange(4) + 1) % some,
        "path.ae_read": np.array([0, 0, 0, 5, 9, 9, 9]) % some,
        "path.vae_read": np.array([0, 0, 0, 8, 9, 9, 9]) % some,
        "vae.prior_read": np.arange(64) % some,
        "val.labels": np.arange(POINTS) % min(some, 7),  # digits 7 to 9 are missing
        "classifier.confusion": 9 * np.eye(some, dtype=np.int64) + 1,
    }


def history(*losses: float) -> list[dict[str, float]]:
    names = ("loss", "accuracy", "squared_error", "kl")
    return [
        {"epoch": epoch, **{f"{part}_{name}": loss for part in ("train", "val") for name in names}}
        for epoch, loss in enumerate(losses or (0.5, 0.2, 0.3), 1)
    ]


def trial(number: int, state: str, value: float | None) -> dict[str, Any]:
    hparams = {"latent_dim": 3.0 + number, "optimizer": "adam", "lr": 1e-3, "batch_size": 64.0}
    values = {"val_mse": value, "val_mse_1": value}
    return {"trial": number, "state": state, **values, "dropout": 0.1 * number, **hparams}
