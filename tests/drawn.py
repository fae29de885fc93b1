"""A made-up study, as the figures read it."""

from dataclasses import replace
from typing import Any

import numpy as np

from latent_digits.catalogue import MODELS
from latent_digits.report.figures.drawing import Study

POINTS = 60
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


def study(**changes: Any) -> Study:
    arrays = images() | numbers()
    facts = {
        "layers": {"encoder": LAYERS, "decoder": [{**LAYERS[0], "shape": [5]}, *LAYERS[1:]]},
        "parameters": {"ae": 220, "vae": 250},
        "noise": NOISE,
        "denoising": {"images": 40, "misread": {"clean": 1, "noisy": 30, "denoised": 4}},
    }
    trials = [trial(0, "complete", 0.01), trial(1, "complete", 0.02), trial(2, "pruned", 0.05)]
    trials += [trial(3, "degenerate", 0.09), trial(4, "failed", None)]
    histories = {name: history() for name in MODELS}
    hparams = {"latent_dim": 5, "dropout": 0.01}
    return replace(Study(arrays, facts, hparams, trials, histories, EVIDENCE, 50), **changes)


def images() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    counts = dict.fromkeys(("ae.input", "ae.output", "vae.output"), 9)
    counts |= dict.fromkeys(("noise.figure_3", "noise.as_described"), 5)
    counts |= {"path.ae": 7, "path.vae": 7, "vae.prior": 64}
    for name in ("clean", "noisy", "denoised"):
        counts |= {f"denoiser.typical_{name}": 9, f"denoiser.failed_{name}": 4}
    found = {name: rng.random((count, 28, 28), np.float32) for name, count in counts.items()}
    return found | {f"{name}.grid": rng.random((3, 3, 28, 28)) for name in ("ae_2d", "vae_2d")}


def numbers() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    planes = ("ae.pca", "ae.tsne", "ae_2d.z", "vae_2d.z")
    return {
        **{name: rng.normal(size=(POINTS, 2)) for name in planes},
        **{f"{name}.window": np.array([[-2.0, 2.0], [-2.0, 2.0]]) for name in ("ae_2d", "vae_2d")},
        "ae.variance_shares": np.array([0.4, 0.3, 0.15, 0.1, 0.05]),
        "denoiser.typical_label": np.arange(9),
        "denoiser.typical_read": np.arange(9),
        "denoiser.failed_label": np.arange(4),
        "denoiser.failed_read": np.arange(4) + 1,
        "path.ae_read": np.array([0, 0, 0, 5, 9, 9, 9]),
        "path.vae_read": np.array([0, 0, 0, 8, 9, 9, 9]),
        "vae.prior_read": np.arange(64) % 10,
        "val.labels": np.arange(POINTS) % 7,  # digits 7 to 9 are missing
        "classifier.confusion": 9 * np.eye(10, dtype=np.int64) + 1,
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
